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
    /// A vector that is only read; `None` for one without elements or increment.
    pub fn input(start: *const T, len: usize, inc: isize) -> Option<Self> {
        Strided::output(start.cast_mut(), len, inc)
    }

    /// A vector that is written to; `None` as above.
    pub fn output(start: *mut T, len: usize, inc: isize) -> Option<Self> {
        (len > 0 && inc != 0).then_some(Strided {
            start: Shared::output(start),
            len,
            inc,
        })
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
