//! Vectors with an increment, and their parts.
//!
//! Invariant: the part of a vector, taken with the vector's own increment, has the elements that BLAS would take for
//! these indices, in the same order; for a negative increment BLAS begins at the far end.

use super::ptr::Shared;
use std::mem::size_of;
use std::ops::Range;

/// A vector of BLAS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strided<T> {
    start: Shared<T>,
    len: usize,
    inc: isize,
}

impl<T> Strided<T> {
    /// A vector that is only read; `None` for one without elements or increment, or larger than memory can be.
    pub fn input(start: *const T, len: usize, inc: isize) -> Option<Self> {
        Strided::output(start.cast_mut(), len, inc)
    }

    /// A vector that is written to; `None` as above.
    pub fn output(start: *mut T, len: usize, inc: isize) -> Option<Self> {
        let vector = Strided {
            start: Shared::output(start),
            len,
            inc,
        };
        let bytes = |elements: usize| elements.saturating_mul(size_of::<T>());
        (len > 0 && inc != 0 && isize::try_from(bytes(vector.span().1)).is_ok()).then_some(vector)
    }

    /// A copy of it, whose elements are beside each other from there on.
    pub fn copied(&self, start: *mut T) -> Self {
        Strided {
            start: Shared::output(start),
            len: self.len,
            inc: 1,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The increment, for every part too.
    pub fn inc(&self) -> isize {
        self.inc
    }

    /// From where the elements with these indices are found with the vector's increment.
    ///
    /// # Safety
    /// The indices are within the vector, and the vector is as large as was said.
    pub unsafe fn part(&self, range: &Range<usize>) -> *mut T {
        let first = if self.inc > 0 {
            range.start
        } else {
            self.len - range.end
        };
        // SAFETY: within the vector.
        unsafe { self.start.at_mut(first * self.inc.unsigned_abs()) }
    }

    /// What it takes of memory.
    pub fn span(&self) -> (*const T, usize) {
        let elements = (self.len - 1)
            .saturating_mul(self.inc.unsigned_abs())
            .saturating_add(1);
        // SAFETY: the beginning of it.
        (unsafe { self.start.at(0) }, elements)
    }

    /// Whether it has no memory in common with these.
    pub fn apart_from<const N: usize>(&self, others: [(*const T, usize); N]) -> bool {
        others.into_iter().all(|other| !overlap(self.span(), other))
    }
}

/// Whether two pieces of memory of so many elements have some in common.
fn overlap<T>(one: (*const T, usize), other: (*const T, usize)) -> bool {
    let start = |piece: (*const T, usize)| piece.0 as usize;
    let end = |piece: (*const T, usize)| {
        start(piece).saturating_add(piece.1.saturating_mul(size_of::<T>()))
    };
    start(one) < end(other) && start(other) < end(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_where_blas_takes_their_elements_from() {
        let memory = [0.0; 40];
        for inc in [1, 3, -1, -3] {
            let vector = Strided::input(memory.as_ptr(), 10, inc).unwrap();
            // Where BLAS takes element i of n from, which begin at `start`.
            let place = |start: usize, index: usize, n: usize| {
                let step = if inc < 0 { n - 1 - index } else { index };
                start + step * inc.unsigned_abs()
            };
            for range in [0..10, 0..4, 3..7, 9..10] {
                // SAFETY: within the vector.
                let part = unsafe { vector.part(&range) };
                let start = (part as usize - memory.as_ptr() as usize) / 8;
                for index in range.clone() {
                    let (inside, len) = (index - range.start, range.len());
                    assert_eq!(
                        place(start, inside, len),
                        place(0, index, 10),
                        "{inc} {range:?}"
                    );
                }
            }
        }
        assert!(Strided::input(memory.as_ptr(), 10, 0).is_none());
        assert!(Strided::input(memory.as_ptr(), 1, isize::MIN).is_some());
        for inc in [isize::MAX, isize::MIN, isize::MAX / 8] {
            assert!(Strided::input(memory.as_ptr(), 2, inc).is_none(), "{inc}");
        }
        assert!(Strided::input(memory.as_ptr(), 0, 1).is_none());
    }

    #[test]
    fn vectors_that_share_an_element_are_not_apart() {
        let memory = [0.0; 40];
        let at = |offset: usize| memory[offset..].as_ptr();
        let vector = Strided::input(at(10), 5, -2).unwrap();
        assert_eq!(vector.span(), (at(10), 9));
        for (offset, len, apart) in [
            (0, 10, true),
            (0, 11, false),
            (18, 3, false),
            (19, 3, true),
            (12, 1, false),
        ] {
            assert_eq!(
                vector.apart_from([(at(offset), len)]),
                apart,
                "{offset} {len}"
            );
        }
        assert!(!vector.apart_from([(at(0), 1), (at(18), 1)]));
    }
}
