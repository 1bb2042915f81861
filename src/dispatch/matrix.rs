//! Matrices that tiles share: where a part of one is, and whether two have elements in common.
//!
//! Invariant: everything here only computes addresses; the kernels are what goes there.

use super::check::positive;
use super::ptr::Shared;
use super::scalar::Scalar;
use std::mem::size_of;

/// No piece of memory is larger.
const MOST_BYTES: usize = isize::MAX as usize;

/// A matrix as it is stored, or a part of one: where it begins, and how far apart its columns are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<T> {
    start: Shared<T>,
    ld: usize,
}

impl<T: Scalar> Matrix<T> {
    /// A matrix as BLAS is given it, and its rows and columns; `None` for one that it does not take, or that has no
    /// elements.
    pub fn given(start: *const T, shape: [isize; 2], ld: isize) -> Option<(Self, [usize; 2])> {
        let [rows, cols, ld] = positive([shape[0], shape[1], ld])?;
        // Of an input or an output: only its user knows.
        let matrix = Matrix::new(Shared::input(start), ld);
        (matrix.holds([rows, cols])).then_some((matrix, [rows, cols]))
    }

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

    /// Whether BLAS takes it for one of so many rows and columns: its columns are as far apart as they are long, at least, and
    /// it is no larger than memory can be, so that the place of any element can be computed.
    pub fn holds(self, shape: [usize; 2]) -> bool {
        self.ld >= shape[0] && self.span(shape).saturating_mul(size_of::<T>()) <= MOST_BYTES
    }

    /// From its first element to its last, where it has so many rows and columns.
    fn span(self, [rows, cols]: [usize; 2]) -> usize {
        let columns = cols.saturating_sub(1).saturating_mul(self.ld);
        columns.saturating_add(rows)
    }

    /// What it takes of memory: where that begins, and how many elements there are.
    pub fn memory(self, shape: [usize; 2]) -> (*const T, usize) {
        (self.ptr(), self.span(shape))
    }

    /// Whether it and another may have elements in common, where they have so many rows and columns. Parts of one
    /// matrix with no row or no column in common have none, although their memory interleaves.
    pub fn meets(self, shape: [usize; 2], other: Self, other_shape: [usize; 2]) -> bool {
        let (one, two) = (self.ptr() as usize, other.ptr() as usize);
        let (first, second, len, rows, next_rows) = if one <= two {
            (one, two, self.span(shape), shape[0], other_shape[0])
        } else {
            let len = other.span(other_shape);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_matrix_larger_than_memory_is_none() {
        let start = std::ptr::dangling::<f64>();
        let given = |shape, ld| Matrix::given(start, shape, ld).map(|(_, shape)| shape);
        assert_eq!(given([3, 2], 3), Some([3, 2]));
        for (shape, ld) in [
            ([0, 2], 3),
            ([3, 0], 3),
            ([3, 2], 0),
            ([3, 2], -3),
            ([3, 2], 2),
        ] {
            assert_eq!(given(shape, ld), None, "{shape:?} {ld}");
        }
        // One column is as long as it is, however far the next one would be.
        assert_eq!(given([3, 1], isize::MAX), Some([3, 1]));
        let most = isize::MAX / 8;
        assert_eq!(given([3, 2], most - 3), Some([3, 2]));
        for (shape, ld) in [
            ([3, 2], most - 2),
            ([3, 2], isize::MAX),
            ([3, 3], isize::MAX),
            ([3, isize::MAX], isize::MAX),
            ([isize::MAX, 1], isize::MAX),
        ] {
            assert_eq!(given(shape, ld), None, "{shape:?} {ld}");
        }
        // Nor does asking for it overflow.
        let huge = Matrix::input(start, usize::MAX);
        assert_eq!(huge.memory([3, 9]).1, usize::MAX);
        assert!(huge.meets([3, 9], huge, [3, 9]));
    }

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
