//! What the programs of this package compute, each part through other symbols of the provider.
//!
//! ```
//! // A documentation test is a program like any other: it is linked with what this library names.
//! assert_eq!(links::product([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]), [19.0, 22.0, 43.0, 50.0]);
//! ```

use cblas_sys::{CBLAS_LAYOUT::CblasRowMajor, CBLAS_TRANSPOSE::CblasNoTrans, cblas_dgemm};
use std::ffi::{c_char, c_int};
use threadctl_src as _;

/// LAPACKE's names for the storage of a matrix.
pub const ROW_MAJOR: c_int = 101;
/// As [`ROW_MAJOR`].
pub const COLUMN_MAJOR: c_int = 102;

// No crate declares LAPACKE for Rust without also building it.
unsafe extern "C" {
    fn LAPACKE_dgesv(
        layout: c_int,
        n: c_int,
        nrhs: c_int,
        a: *mut f64,
        lda: c_int,
        pivots: *mut c_int,
        b: *mut f64,
        ldb: c_int,
    ) -> c_int;
}

/// The product of two matrices of 2 x 2, stored by rows: CBLAS.
///
/// ```
/// let identity = [1.0, 0.0, 0.0, 1.0];
/// assert_eq!(links::product(identity, [1.0, 2.0, 3.0, 4.0]), [1.0, 2.0, 3.0, 4.0]);
/// ```
pub fn product(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    let mut c = [0.0; 4];
    let (left, right, result) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    // SAFETY: three matrices of 2 x 2.
    unsafe {
        cblas_dgemm(
            CblasRowMajor,
            CblasNoTrans,
            CblasNoTrans,
            2,
            2,
            2,
            1.0,
            left,
            2,
            right,
            2,
            0.0,
            result,
            2,
        );
    }
    c
}

/// The solution of a system of two equations, stored by columns: LAPACK, over dispatch.
pub fn solution(mut a: [f64; 4], mut b: [f64; 2]) -> [f64; 2] {
    let (n, one, mut pivots, mut info) = (2, 1, [0; 2], 0);
    // SAFETY: a matrix of 2 x 2, two pivots, and a right-hand side of 2.
    unsafe {
        lapack_sys::dgesv_(
            &raw const n,
            &raw const one,
            a.as_mut_ptr(),
            &raw const n,
            pivots.as_mut_ptr(),
            b.as_mut_ptr(),
            &raw const n,
            &raw mut info,
        );
    }
    assert_eq!(info, 0, "dgesv_");
    b
}

/// The eigenvalues of a symmetric matrix of 2 x 2: LAPACK, in the backend itself.
pub fn eigenvalues(mut a: [f64; 4]) -> [f64; 2] {
    let (n, size, mut info) = (2, 64, 0);
    let (mut values, mut work) = ([0.0; 2], [0.0; 64]);
    let (job, triangle) = (b'N' as c_char, b'L' as c_char);
    // SAFETY: a matrix of 2 x 2, two eigenvalues, and a workspace of the size that is passed.
    unsafe {
        lapack_sys::dsyev_(
            &raw const job,
            &raw const triangle,
            &raw const n,
            a.as_mut_ptr(),
            &raw const n,
            values.as_mut_ptr(),
            work.as_mut_ptr(),
            &raw const size,
            &raw mut info,
        );
    }
    assert_eq!(info, 0, "dsyev_");
    values
}

/// The solution of a system of two equations, stored as `layout` says: LAPACKE.
pub fn solution_in_c(layout: c_int, mut a: [f64; 4], mut b: [f64; 2]) -> [f64; 2] {
    let mut pivots = [0; 2];
    let ldb = if layout == ROW_MAJOR { 1 } else { 2 };
    let (matrix, right) = (a.as_mut_ptr(), b.as_mut_ptr());
    // SAFETY: a matrix of 2 x 2, two pivots, and a right-hand side of 2.
    let info = unsafe { LAPACKE_dgesv(layout, 2, 1, matrix, 2, pivots.as_mut_ptr(), right, ldb) };
    assert_eq!(info, 0, "LAPACKE_dgesv");
    b
}

/// All of them on numbers whose results are known; LAPACKE where it is asked for. Says what it was computed on.
///
/// # Errors
/// When there is no backend.
pub fn check(lapacke: bool) -> threadctl::Result<String> {
    let matrix = [4.0, 1.0, 2.0, 3.0];
    let by_rows = product([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(by_rows, [19.0, 22.0, 43.0, 50.0], "the product");
    near("dgesv_", solution(matrix, [8.0, 7.0]), [1.0, 2.0]);
    near("dsyev_", eigenvalues([2.0, 1.0, 1.0, 2.0]), [1.0, 3.0]);
    if lapacke {
        near(
            "by columns",
            solution_in_c(COLUMN_MAJOR, matrix, [8.0, 7.0]),
            [1.0, 2.0],
        );
        near(
            "by rows",
            solution_in_c(ROW_MAJOR, matrix, [6.0, 8.0]),
            [1.0, 2.0],
        );
    }
    Ok(threadctl::backend::current()?.to_string())
}

fn near(what: &str, found: [f64; 2], expected: [f64; 2]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-14,
            "{what}: {found}, and it is {expected}"
        );
    }
}
