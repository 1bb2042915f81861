//! Level 2: matrices by vectors. Each element of the matrix is read once from memory; vectors that tiles add to have a
//! copy for each, and the copies are added up in their order.

mod gemv;
mod ger;
mod hemv;
mod her;
mod trmv;
mod trsv;

use super::check::{Trans, positive};
use super::ptr::Shared;
use super::scalar::Scalar;
use super::strided::Strided;
use super::workspace::Workspace;
use crate::sys::blas::Kernels;
use std::ops::Range;

/// A matrix in column-major order, with its leading dimension.
#[derive(Debug, Clone, Copy)]
struct Matrix<T> {
    start: Shared<T>,
    rows: usize,
    cols: usize,
    ld: usize,
}

impl<T: Scalar> Matrix<T> {
    /// A matrix as BLAS is given it; `None` for one that it does not take, or that has no elements.
    fn new(start: *const T, rows: isize, cols: isize, ld: isize) -> Option<Self> {
        let [rows, cols, ld] = positive([rows, cols, ld])?;
        (ld >= rows).then_some(Matrix {
            start: Shared::output(start.cast_mut()),
            rows,
            cols,
            ld,
        })
    }

    /// Where the element is.
    ///
    /// # Safety
    /// It is in the matrix, which is as large as was said.
    unsafe fn at(&self, row: usize, col: usize) -> *mut T {
        // SAFETY: our caller's promise.
        unsafe { self.start.at_mut(row + col * self.ld) }
    }

    /// What it takes of memory.
    fn span(&self) -> (*const T, usize) {
        // SAFETY: the beginning of it.
        (
            unsafe { self.start.at(0) },
            (self.ld * (self.cols - 1)).saturating_add(self.rows),
        )
    }
}

/// A part of op(A), by which kernels multiply.
#[derive(Debug, Clone, Copy)]
struct Block<'kernels, T> {
    kernels: &'kernels Kernels<T>,
    a: Matrix<T>,
    /// As BLAS is given it, and what it means.
    flag: u8,
    trans: Trans,
}

impl<T: Scalar> Block<'_, T> {
    /// y = alpha op(A)[rows, cols] x + beta y, for the parts of x and y that these rows and columns meet.
    ///
    /// # Safety
    /// They are within op(A), x and y; nobody writes to A or that part of x, or touches that part of y, meanwhile.
    unsafe fn gemv(
        &self,
        (rows, cols): (&Range<usize>, &Range<usize>),
        alpha: T,
        (x, incx): (*const T, isize),
        beta: T,
        (y, incy): (*mut T, isize),
    ) {
        let (m, n) = self.trans.stored(rows.len(), cols.len());
        if m == 0 || n == 0 {
            return;
        }
        let (row, col) = self.trans.stored(rows.start, cols.start);
        // SAFETY: our caller's promise.
        unsafe {
            self.kernels.gemv(
                self.flag,
                m as isize,
                n as isize,
                alpha,
                self.a.at(row, col),
                self.a.ld as isize,
                x,
                incx,
                beta,
                y,
                incy,
            );
        }
    }
}

/// Adds these elements of all copies of a vector to those of y, in the order of the copies.
///
/// # Safety
/// They are within y, which nobody else touches; and nobody writes to the copies.
unsafe fn add_copies<T: Scalar>(
    kernels: &Kernels<T>,
    copies: &Workspace<T>,
    range: &Range<usize>,
    y: &Strided<T>,
) {
    for copy in copies.pieces() {
        let part = copy[range.clone()].as_ptr();
        // SAFETY: our caller's promise.
        unsafe {
            kernels.axpy(
                range.len() as isize,
                T::ONE,
                part,
                1,
                y.part(range),
                y.inc(),
            )
        };
    }
}
