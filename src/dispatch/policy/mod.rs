//! Through or shared, and in which tiles. Pure.
//!
//! Invariant: the answer depends on the routine, its element type, its shape and the size of the pool; never on how busy
//! the pool is, so that results repeat bit for bit.

pub(super) mod lapack;
mod product;
mod table;
mod triangle;
pub(super) mod vector;

pub(super) use product::{Size, Substitution, along, batch, mirrored, product, substitution};
pub(crate) use table::when_small_tiles_change;
pub(super) use table::{BUILT_IN, Table, of as shapes_of, simulate_small_tiles, tiny};
pub(super) use triangle::{Part, Triangle, triangle};

use super::scalar::Scalar;
use super::tuning::{Family, Least};

/// What a plan is for: a pool, and a library with its numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool<'blas> {
    /// How many workers it has.
    pub width: usize,
    /// From how much on calls of that library are shared.
    pub least: &'blas Least,
    /// How calls of that library are cut.
    pub shapes: &'static Table,
}

impl Pool<'_> {
    /// One of so many workers, for a library of which nothing is known.
    #[cfg(test)]
    pub fn built_in(width: usize) -> Self {
        Pool::of("openblas", width)
    }

    /// The same for the library that is called so.
    #[cfg(test)]
    pub fn of(library: &str, width: usize) -> Self {
        let least = &Least::BUILT_IN;
        let shapes = shapes_of(library);
        Pool {
            width,
            least,
            shapes,
        }
    }

    fn table(&self) -> &'static Table {
        self.shapes.in_force()
    }

    /// Whether so much work of a family of level 3 is shared.
    fn divides(&self, family: Family, work: usize) -> bool {
        let least = if table::small() {
            1
        } else {
            self.least.get(family)
        };
        self.width > 1 && work >= least
    }
}

/// How much more work a pair is than one of real numbers.
fn weight<T: Scalar>() -> usize {
    if T::COMPLEX { 4 } else { 1 }
}
