//! Through or shared, and in which tiles. Pure.
//!
//! Invariant: the answer depends on the routine, its element type, its shape and the size of the pool; never on how busy
//! the pool is, so that results repeat bit for bit.

mod product;

pub(super) use product::product;

use super::scalar::Scalar;

/// Up to so many pairs of a multiplication and an addition, a call of level 3 costs less than asking somebody to help,
/// and no library starts threads for it.
pub(super) const TINY: usize = 48 * 48 * 48;

/// How much more work a pair is than one of real numbers.
fn weight<T: Scalar>() -> usize {
    if T::COMPLEX { 4 } else { 1 }
}
