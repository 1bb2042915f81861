//! Through or shared, and in which tiles. Pure.
//!
//! Invariant: the answer depends on the routine, its element type, its shape and the size of the pool; never on how busy
//! the pool is, so that results repeat bit for bit.

mod product;
mod table;
mod triangle;
pub(super) mod vector;

pub(super) use product::{Size, Substitution, along, batch, mirrored, product, substitution};
pub(super) use table::{simulate_small_tiles, tiny};
pub(super) use triangle::{Part, triangle};

use super::scalar::Scalar;

/// How much more work a pair is than one of real numbers.
fn weight<T: Scalar>() -> usize {
    if T::COMPLEX { 4 } else { 1 }
}
