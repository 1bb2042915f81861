//! A matrix product by hand, and the same by BLAS: why nobody should write the first.
//!
//! Even with rows in parallel and an inner loop of vector instructions, the one by hand reads `b` again for each few rows of `a`.
//! BLAS packs both into pieces that fit the caches and the registers.

use multiversion::multiversion;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Mismatch, same};

/// Rows per task.
const ROWS: usize = 8;

/// `a b` in loops.
///
/// # Errors
/// `a` has not as many columns as `b` has rows.
pub fn by_hand(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>, Mismatch> {
    same("rows of b", b.nrows(), a.ncols())?;
    let (inner, columns) = (a.ncols(), b.ncols());
    let mut product = Array2::zeros((a.nrows(), columns));
    let (a, b) = (a.as_standard_layout(), b.as_standard_layout());
    // All three are in rows, one after the other. An empty one leaves zeros.
    if let (Some(a), Some(b), Some(out)) = (a.as_slice(), b.as_slice(), product.as_slice_mut())
        && inner * columns > 0
    {
        let tasks = out
            .par_chunks_mut(ROWS * columns)
            .zip(a.par_chunks(ROWS * inner));
        tasks.for_each(|(out, a)| rows(a, b, out, inner, columns));
    }
    Ok(product)
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn rows(a: &[f64], b: &[f64], out: &mut [f64], inner: usize, columns: usize) {
    // Four rows of b at a time, so that a row of the product is read and written a quarter as often. Each of its elements is still
    // the sum in the order of the rows of b.
    let (groups, rest) = b.split_at(inner / 4 * 4 * columns);
    for (group, b) in groups.chunks_exact(4 * columns).enumerate() {
        let (first, second) = b.split_at(2 * columns);
        let (b0, b1) = first.split_at(columns);
        let (b2, b3) = second.split_at(columns);
        for (a, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
            let a = &a[4 * group..][..4];
            let b = b0.iter().zip(b1).zip(b2).zip(b3);
            for (out, (((b0, b1), b2), b3)) in out.iter_mut().zip(b) {
                *out = *out + a[0] * b0 + a[1] * b1 + a[2] * b2 + a[3] * b3;
            }
        }
    }
    for (k, b) in rest.chunks_exact(columns).enumerate() {
        let k = inner / 4 * 4 + k;
        for (a, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
            let factor = a[k];
            for (out, b) in out.iter_mut().zip(b) {
                *out += factor * b;
            }
        }
    }
}

/// `a b` by BLAS, shared with idle workers.
///
/// # Errors
/// `a` has not as many columns as `b` has rows.
pub fn by_blas(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>, Mismatch> {
    same("rows of b", b.nrows(), a.ncols())?;
    let mut product = Array2::zeros((a.nrows(), b.ncols()));
    general_mat_mul(1.0, &a, &b, 0.0, &mut product);
    Ok(product)
}
