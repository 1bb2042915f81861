//! How a length and a matrix are cut. Pure.
//!
//! Invariant: the parts of a cut cover the length, none twice, none is empty; they depend on the arguments alone.

use std::ops::Range;

/// A length cut into parts: large ones first, then small ones, so that those who come late find work that ends soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    len: usize,
    large: usize,
    large_len: usize,
    small_len: usize,
    parts: usize,
}

impl Cut {
    /// The length in one part.
    pub fn whole(len: usize) -> Self {
        Cut {
            len,
            large: 1,
            large_len: len,
            small_len: len,
            parts: usize::from(len > 0),
        }
    }

    /// In `parts` alike, each a multiple of `step` but the last; fewer where the length does not go so far.
    pub fn even(len: usize, parts: usize, step: usize) -> Self {
        let size = len.div_ceil(parts.max(1)).next_multiple_of(step.max(1));
        let parts = len.div_ceil(size.max(1));
        Cut {
            len,
            large: parts,
            large_len: size,
            small_len: size,
            parts,
        }
    }

    /// In `large` parts of together three quarters of the length, and as many for the rest, each a multiple of `step`
    /// but the last.
    pub fn tapered(len: usize, large: usize, step: usize) -> Self {
        let (large, step) = (large.max(1), step.max(1));
        let large_len = (len * 3).div_ceil(4 * large).next_multiple_of(step);
        let small_len = len.div_ceil(4 * large).next_multiple_of(step);
        let large = large.min(len.div_ceil(large_len.max(1)));
        let rest = len.saturating_sub(large * large_len);
        Cut {
            len,
            large,
            large_len,
            small_len,
            parts: large + rest.div_ceil(small_len.max(1)),
        }
    }

    /// The length that is cut.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Where one of them is.
    pub fn part(&self, index: usize) -> Range<usize> {
        let start = |index: usize| {
            let large = index.min(self.large);
            (large * self.large_len + (index - large) * self.small_len).min(self.len)
        };
        start(index)..start(index + 1)
    }
}

/// A matrix cut both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub rows: Cut,
    pub cols: Cut,
}

impl Grid {
    /// How many tiles there are.
    pub fn tiles(&self) -> usize {
        self.rows.parts() * self.cols.parts()
    }

    /// The rows and columns of one of them: down the rows first.
    pub fn tile(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let down = self.rows.parts().max(1);
        (self.rows.part(index % down), self.cols.part(index / down))
    }
}
