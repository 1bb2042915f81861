//! Level 2: matrices by vectors. Each element of the matrix is read once from memory; vectors that tiles add to have a
//! copy for each, and the copies are added up in their order.

mod both;
mod gemv;
mod ger;
mod hemv;
mod her;
mod trmv;
mod trsv;

pub use both::Both;

use super::check::{Trans, letter};
use super::matrix::Matrix;
use super::scalar::Scalar;
use super::strided::Strided;
use super::workspace::Workspace;
use crate::sys::blas::Kernels;
use std::ops::Range;

/// A part of op(A), by which kernels multiply.
#[derive(Debug, Clone, Copy)]
struct Block<'kernels, T> {
    kernels: &'kernels Kernels<T>,
    a: Matrix<T>,
    /// As BLAS is given it, and what it means.
    flag: u8,
    trans: Trans,
}

/// The operands of trmv and trsv.
struct Triangular<'kernels, T> {
    block: Block<'kernels, T>,
    /// Whether its upper triangle counts, as it is taken.
    upper: bool,
    x: Strided<T>,
}

impl<'kernels, T: Scalar> Triangular<'kernels, T> {
    /// As BLAS is given them; `None` for those that tiles do not stand for.
    fn read(
        kernels: &'kernels Kernels<T>,
        [uplo, flag, diag]: [u8; 3],
        n: isize,
        (a, lda): (*const T, isize),
        (x, incx): (*mut T, isize),
    ) -> Option<Self> {
        let (a, [n, _]) = Matrix::given(a, [n, n], lda)?;
        let trans = Trans::read(flag)?;
        let upper = letter(uplo, *b"UL")? == (trans == Trans::No);
        letter(diag, *b"UN")?;
        let x = Strided::output(x, n, incx)?;
        let block = Block {
            kernels,
            a,
            flag,
            trans,
        };
        x.apart_from([a.memory([n, n])])
            .then_some(Triangular { block, upper, x })
    }
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
                self.a.from(row, col).ptr(),
                self.a.ld(),
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
