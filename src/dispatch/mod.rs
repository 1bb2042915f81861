//! How a BLAS or LAPACK call runs: straight through, or as tiles that idle rayon workers help with.
//!
//! [`share`](share()) is the primitive underneath, and useful by itself. [`Blas`] is a library whose calls are shared.

mod backend;
mod check;
mod grid;
pub mod lapack;
mod level1;
mod level2;
mod level3;
mod matrix;
mod policy;
mod ptr;
mod region;
mod run;
mod scalar;
pub mod share;
mod strided;
pub mod tuning;
mod wedge;
mod workspace;

use std::ops::Range;

pub use backend::Blas;
pub use region::{Pool, Region, region, region_in};
pub use scalar::Scalar;
pub use share::{share, simulate_cores, width};

/// The rows and columns of each tile of an m x n product of depth k, in a pool of `width`, in the order in which they are
/// handed out, by the built-in numbers; a single one where the product is not cut.
///
/// ```
/// let tiles = threadctl::dispatch::product_tiles::<f64>(1000, 1000, 1000, 4);
/// let covered: usize = tiles.iter().map(|(rows, cols)| rows.len() * cols.len()).sum();
/// assert_eq!(covered, 1000 * 1000);
/// ```
pub fn product_tiles<T: Scalar>(
    m: usize,
    n: usize,
    k: usize,
    width: usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    policy::product::<T>(m, n, k, policy::Pool::built_in(width)).map_or_else(
        || vec![(0..m, 0..n)],
        |grid| (0..grid.tiles()).map(|tile| grid.tile(tile)).collect(),
    )
}
