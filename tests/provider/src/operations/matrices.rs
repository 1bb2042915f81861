//! The matrices: well conditioned, with eigenvalues and singular values that are far from each other where vectors are compared.

use super::Number;
use ndarray::{Array1, Array2, ShapeBuilder as _};

/// A number between -1 and 1, another one for each place.
fn noise(row: usize, column: usize, seed: u64) -> f64 {
    let mut x = (row as u64 * 1_000_003 + column as u64) ^ (seed << 40);
    // The finalizer of SplitMix64.
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn entry<A: Number>(row: usize, column: usize, seed: u64, size: f64) -> A {
    A::made(
        size * noise(row, column, seed),
        size * noise(row, column, seed + 100),
    )
}

/// A matrix in one of the two layouts.
pub(super) fn laid<A: Number>(
    (rows, columns): (usize, usize),
    by_columns: bool,
    element: impl Fn(usize, usize) -> A,
) -> Array2<A> {
    Array2::from_shape_fn((rows, columns).set_f(by_columns), |(row, column)| {
        element(row, column)
    })
}

/// Noise beside a diagonal.
pub(super) fn with_diagonal<A: Number>(
    shape: (usize, usize),
    by_columns: bool,
    seed: u64,
    diagonal: impl Fn(usize) -> f64,
) -> Array2<A> {
    let size = 0.4 / (shape.0.max(shape.1) as f64).sqrt();
    laid(shape, by_columns, |row, column| {
        let noise = entry::<A>(row, column, seed, size);
        if row == column {
            noise + A::made(diagonal(row), 0.0)
        } else {
            noise
        }
    })
}

/// The same, Hermitian.
pub(super) fn hermitian<A: Number>(
    order: usize,
    by_columns: bool,
    seed: u64,
    diagonal: impl Fn(usize) -> f64,
) -> Array2<A> {
    let size = 0.4 / (order as f64).sqrt();
    laid((order, order), by_columns, |row, column| {
        if row == column {
            return A::made(diagonal(row), 0.0);
        }
        let noise = entry::<A>(row.min(column), row.max(column), seed, size);
        if row < column { noise } else { noise.conj() }
    })
}

/// Eigenvalues far from each other, some of which are pairs of conjugates where elements are real.
pub(super) fn general<A: Number>(order: usize, by_columns: bool) -> Array2<A> {
    let mut matrix = with_diagonal::<A>((order, order), by_columns, 7, |place| place as f64);
    for place in (0..order - 1).step_by(3) {
        // Blocks whose eigenvalues are some number plus and minus i.
        matrix[(place + 1, place + 1)] = matrix[(place, place)];
        matrix[(place, place + 1)] = A::made(1.0, 0.0);
        matrix[(place + 1, place)] = A::made(-1.0, 0.0);
    }
    matrix
}

/// A vector of noise.
pub(super) fn vector<A: Number>(order: usize, seed: u64) -> Array1<A> {
    Array1::from_shape_fn(order, |row| entry::<A>(row, 0, seed, 1.0))
}
