//! Many small decompositions and a large one beside them: ordinary ndarray-linalg in a rayon loop.
//!
//! Nothing here sets a number of threads. `threadctl-src` stands behind the LAPACK of ndarray-linalg: while the loop is full a
//! decomposition runs on the core that asks for it; products inside the large one are helped with by workers that the loop has
//! left idle.
//!
//! Invariant: results are in the order of the matrices, and the first matrix that fails is the one reported.

use ndarray::{Array1, Array2};
use ndarray_linalg::error::LinalgError;
use ndarray_linalg::{Eigh, JobSvd, SVDDC, UPLO};
use rayon::prelude::*;
use thiserror::Error;
use threadctl_src as _;

/// A matrix that could not be decomposed.
#[derive(Debug, Error)]
pub enum Failed {
    /// One of the small ones.
    #[error("matrix {index}: {error}")]
    Small {
        /// Which, from 0.
        index: usize,
        /// What LAPACK said.
        error: LinalgError,
    },
    /// The large one.
    #[error("the large matrix: {0}")]
    Large(LinalgError),
}

/// The singular values of each matrix, the largest first. On rayon's current pool.
///
/// # Errors
/// A matrix could not be decomposed, because it holds a NaN for example.
pub fn singular_values(matrices: &[Array2<f64>]) -> Result<Vec<Array1<f64>>, Failed> {
    each(matrices, |matrix| Ok(matrix.svddc(JobSvd::None)?.1))
}

/// The eigenvalues of each symmetric matrix (its lower triangle is read), the smallest first. On rayon's current pool.
///
/// # Errors
/// A matrix is not square or could not be decomposed.
pub fn eigenvalues(matrices: &[Array2<f64>]) -> Result<Vec<Array1<f64>>, Failed> {
    each(matrices, |matrix| Ok(matrix.eigh(UPLO::Lower)?.0))
}

/// The singular values of the small matrices, and of a large one beside them.
///
/// # Errors
/// As [`singular_values`].
pub fn with_a_large_one(
    small: &[Array2<f64>],
    large: &Array2<f64>,
) -> Result<(Vec<Array1<f64>>, Array1<f64>), Failed> {
    // The large one first: whoever is idle takes small ones, and helps with the large one when there are none left.
    let (large, small) = rayon::join(|| large.svddc(JobSvd::None), || singular_values(small));
    Ok((small?, large.map_err(Failed::Large)?.1))
}

fn each(
    matrices: &[Array2<f64>],
    decompose: impl Fn(&Array2<f64>) -> Result<Array1<f64>, LinalgError> + Send + Sync,
) -> Result<Vec<Array1<f64>>, Failed> {
    let all: Vec<Result<Array1<f64>, LinalgError>> = matrices.par_iter().map(decompose).collect();
    let indexed = all.into_iter().enumerate();
    indexed
        .map(|(index, result)| result.map_err(|error| Failed::Small { index, error }))
        .collect()
}
