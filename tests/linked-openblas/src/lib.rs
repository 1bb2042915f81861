//! A small numerical program: the Cholesky factor of a symmetric positive definite matrix, through ndarray-linalg.

// The usual way to bring in a BLAS: named once, so that its symbols are linked.
use openblas_src as _;

use ndarray::Array2;
use ndarray_linalg::{Cholesky as _, UPLO, error::Result};

/// A matrix of this order that is symmetric and positive definite.
pub fn sample(order: usize) -> Array2<f64> {
    Array2::from_shape_fn((order, order), |(row, column)| {
        let distance = row.abs_diff(column) as f64;
        let diagonal = if row == column { 1.0 } else { 0.0 };
        (-distance / 10.0).exp() + diagonal
    })
}

/// The largest element of |L Lᵀ - A| for the Cholesky factor L of A.
///
/// # Errors
/// When LAPACK finds that the matrix is not positive definite.
pub fn residual(matrix: &Array2<f64>) -> Result<f64> {
    let lower = matrix.cholesky(UPLO::Lower)?;
    let difference = lower.dot(&lower.t()) - matrix;
    Ok(difference
        .iter()
        .fold(0.0, |worst, element| element.abs().max(worst)))
}
