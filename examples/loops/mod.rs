//! Compiled loops, as Numba's users write them: element by element, reductions, products, distances, k-means.
//!
//! `arrays` has the loops over whole arrays, `products` matrix products by hand and by BLAS, `distances` those between points in both
//! forms, `kmeans` a complete program of them.
//!
//! Invariants: everything runs on rayon's current pool; results do not depend on the number of workers, bit for bit, since the
//! pieces are cut by the sizes alone and combined in order. (A product of BLAS repeats on pools of one size.)

pub mod arrays;
pub mod distances;
pub mod kmeans;
pub mod products;

use thiserror::Error;
use threadctl_src as _;

/// Sizes that do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}: {found}; wanted: {wanted}")]
pub struct Mismatch {
    /// Which argument.
    pub what: &'static str,
    /// Its size.
    pub found: usize,
    /// The size of the others.
    pub wanted: usize,
}

/// An error if the two are not equal.
fn same(what: &'static str, found: usize, wanted: usize) -> Result<(), Mismatch> {
    if found == wanted {
        return Ok(());
    }
    Err(Mismatch {
        what,
        found,
        wanted,
    })
}
