//! The elements of a matrix one by one, for the small cases of a library that has no LAPACK, and for what is no arithmetic.

use crate::dispatch::matrix::Matrix;
use crate::dispatch::scalar::Scalar;

/// An element.
///
/// # Safety
/// It is in the matrix, which lives, and nobody writes to it meanwhile.
#[inline]
pub(super) unsafe fn get<T: Scalar>(a: Matrix<T>, row: usize, col: usize) -> T {
    // SAFETY: our caller's promise.
    unsafe { a.from(row, col).ptr().read() }
}

/// Changes an element.
///
/// # Safety
/// It is in the matrix, an output that lives, and nobody else touches it meanwhile.
#[inline]
pub(super) unsafe fn set<T: Scalar>(a: Matrix<T>, row: usize, col: usize, value: T) {
    // SAFETY: our caller's promise.
    unsafe { a.from(row, col).ptr_mut().write(value) };
}
