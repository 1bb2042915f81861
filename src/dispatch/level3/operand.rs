//! Factors of products, as they are taken.
//!
//! Invariant: everything here only computes addresses; [`product`] and the kernels are what goes there.

use crate::dispatch::check::Trans;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::scalar::Scalar;
use crate::sys::blas::Kernels;
use std::ops::Range;

/// A factor of a product: a matrix, and how it is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Op<T> {
    matrix: Matrix<T>,
    trans: Trans,
}

impl<T: Scalar> Matrix<T> {
    /// As it is: a factor of a product.
    pub(super) fn plain(self) -> Op<T> {
        Op::new(self, Trans::No)
    }
}

impl<T: Scalar> Op<T> {
    /// A factor as a flag of BLAS says.
    pub fn new(matrix: Matrix<T>, trans: Trans) -> Self {
        Op { matrix, trans }
    }

    /// The part that begins at that row and column of the matrix as it is taken.
    pub fn from(self, row: usize, col: usize) -> Self {
        let (row, col) = self.trans.stored(row, col);
        Op {
            matrix: self.matrix.from(row, col),
            ..self
        }
    }

    /// Whether its matrix [holds](Matrix::holds) what it is taken for. The shape is that in which it is taken.
    pub fn holds(self, [rows, cols]: [usize; 2]) -> bool {
        let (rows, cols) = self.trans.stored(rows, cols);
        self.matrix.holds([rows, cols])
    }

    /// Whether it and a matrix may have elements in common.
    pub fn meets(self, [rows, cols]: [usize; 2], other: Matrix<T>, shape: [usize; 2]) -> bool {
        let (rows, cols) = self.trans.stored(rows, cols);
        self.matrix.meets([rows, cols], other, shape)
    }

    /// Both: it is stored as it must be, and apart from what is written.
    pub fn is_apart(self, shape: [usize; 2], other: Matrix<T>, other_shape: [usize; 2]) -> bool {
        self.holds(shape) && !self.meets(shape, other, other_shape)
    }

    /// Where it begins.
    pub fn ptr(self) -> *const T {
        self.matrix.ptr()
    }

    /// Its transpose, conjugated too if `conjugated`, which must be how it is transposed itself, if it is.
    pub fn transposed(self, conjugated: bool) -> Self {
        let trans = match (self.trans, conjugated) {
            (Trans::No, false) => Trans::Yes,
            (Trans::No, true) => Trans::Conjugated,
            _ => Trans::No,
        };
        Op { trans, ..self }
    }
}

/// C = alpha A B + beta C, where A is m x k and B is k x n, as they are taken.
///
/// # Safety
/// They are within living matrices; nobody writes to A and B meanwhile, and nobody else touches C.
pub(super) unsafe fn product<T: Scalar>(
    kernels: &Kernels<T>,
    [m, n, k]: [usize; 3],
    (alpha, a, b): (T, Op<T>, Op<T>),
    (beta, c): (T, Matrix<T>),
) {
    // SAFETY: our caller's promise, handed on.
    unsafe {
        kernels.gemm(
            a.trans.flag(),
            b.trans.flag(),
            m as isize,
            n as isize,
            k as isize,
            alpha,
            a.matrix.ptr(),
            a.matrix.ld(),
            b.matrix.ptr(),
            b.matrix.ld(),
            beta,
            c.ptr_mut(),
            c.ld(),
        );
    }
}

/// What of 0..len is before and after a part of it.
pub(super) fn around(part: &Range<usize>, len: usize) -> [Range<usize>; 2] {
    [0..part.start, part.end..len]
}
