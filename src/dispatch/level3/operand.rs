//! Matrices that tiles share: where a part of one is, and whether two have elements in common.
//!
//! Invariant: everything here only computes addresses; [`product`] and the kernels are what goes there.

use crate::dispatch::check::Trans;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::sys::blas::Kernels;
use std::mem::size_of;
use std::ops::Range;

/// A matrix as it is stored, or a part of one: where it begins, and how far apart its columns are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<T> {
    start: Shared<T>,
    ld: usize,
}

impl<T: Scalar> Matrix<T> {
    /// One that begins there.
    pub fn new(start: Shared<T>, ld: usize) -> Self {
        Matrix { start, ld }
    }

    /// One that is only read.
    pub fn input(start: *const T, ld: usize) -> Self {
        Matrix::new(Shared::input(start), ld)
    }

    /// One of which each tile writes its own part.
    pub fn output(start: *mut T, ld: usize) -> Self {
        Matrix::new(Shared::output(start), ld)
    }

    /// The part that begins at that row and column.
    pub fn from(self, row: usize, col: usize) -> Self {
        Matrix {
            start: self.start.moved(row + col * self.ld),
            ..self
        }
    }

    /// Where it begins.
    pub fn ptr(self) -> *const T {
        self.start.ptr()
    }

    /// Where it begins, to write there; only for an output.
    pub fn ptr_mut(self) -> *mut T {
        self.start.ptr_mut()
    }

    /// How far apart its columns are.
    pub fn ld(self) -> isize {
        self.ld as isize
    }

    /// As it is: a factor of a product.
    pub fn plain(self) -> Op<T> {
        Op {
            matrix: self,
            trans: Trans::No,
        }
    }

    /// Whether its columns are as far apart as they are long, at least.
    pub fn holds(self, [rows, _]: [usize; 2]) -> bool {
        self.ld >= rows
    }

    /// Whether it and another may have elements in common, where they have so many rows and columns. Parts of one
    /// matrix with no row or no column in common have none, although their memory interleaves.
    pub fn meets(self, shape: [usize; 2], other: Self, other_shape: [usize; 2]) -> bool {
        let span =
            |ld: usize, [rows, cols]: [usize; 2]| cols.saturating_sub(1).saturating_mul(ld) + rows;
        let (one, two) = (self.ptr() as usize, other.ptr() as usize);
        let (first, second, len, rows, next_rows) = if one <= two {
            (one, two, span(self.ld, shape), shape[0], other_shape[0])
        } else {
            let len = span(other.ld, other_shape);
            (two, one, len, other_shape[0], shape[0])
        };
        let bytes = second - first;
        if bytes >= len.saturating_mul(size_of::<T>()) {
            return false;
        }
        if self.ld != other.ld || !bytes.is_multiple_of(size_of::<T>()) {
            return true;
        }
        // In the first one's rows: where the second one begins, and that it does not go round to the next column.
        let row = bytes / size_of::<T>() % self.ld;
        row < rows || row + next_rows > self.ld
    }
}

/// A factor of a product: a matrix, and how it is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Op<T> {
    matrix: Matrix<T>,
    trans: Trans,
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

    /// Whether its columns are as far apart as they are long, at least. The shape is that in which it is taken.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Two parts of one buffer meet exactly where they have an element in common.
        #[test]
        fn parts_meet_where_they_share_an_element(
            ld in 1_usize..9,
            one in (0_usize..40, 1_usize..9, 1_usize..5),
            two in (0_usize..40, 1_usize..9, 1_usize..5),
        ) {
            let buffer = [0.0_f32; 128];
            let part = |(start, rows, cols): (usize, usize, usize)| {
                let matrix = Matrix::input(buffer.as_ptr().wrapping_add(start), ld);
                let rows = rows.min(ld);
                let elements: Vec<usize> =
                    (0..cols).flat_map(|col| (0..rows).map(move |row| start + row + col * ld)).collect();
                (matrix, [rows, cols], elements)
            };
            let ((one, shape, elements), (two, other, others)) = (part(one), part(two));
            let common = elements.iter().any(|place| others.contains(place));
            prop_assert!(one.meets(shape, two, other) || !common);
            prop_assert_eq!(one.meets(shape, two, other), two.meets(other, one, shape));
            // And no alarm for blocks of one matrix.
            let inside = |elements: &[usize], rows: usize| elements[0] % ld + rows <= ld;
            if inside(&elements, shape[0]) && inside(&others, other[0]) {
                prop_assert_eq!(one.meets(shape, two, other), common);
            }
        }
    }
}
