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

/// A triangle cut into strips of about the same area, the last ones smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wedge {
    len: usize,
    large: usize,
    parts: usize,
    step: usize,
    growing: bool,
}

impl Wedge {
    /// `len` lines, of 1, 2, ... elements if `growing`, else of ..., 2, 1: in `large` strips of together three quarters of
    /// the area and as many for the rest, that begin at multiples of `step`.
    pub fn tapered(len: usize, large: usize, step: usize, growing: bool) -> Self {
        Wedge {
            len,
            large,
            parts: if large > 1 && len > step {
                2 * large
            } else {
                usize::from(len > 0)
            },
            step,
            growing,
        }
    }

    /// How many strips there are. Some may be empty.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// The lines of one of them.
    pub fn part(&self, index: usize) -> Range<usize> {
        // The widest lines first, so that the small strips are those at the point.
        let (start, end) = (
            self.line(self.parts - index - 1),
            self.line(self.parts - index),
        );
        if self.growing {
            start..end
        } else {
            self.len - end..self.len - start
        }
    }

    /// Where the strip with that number begins, counted from the point of the triangle.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place for a cut need not be exact, and is between 0 and the length"
    )]
    fn line(&self, index: usize) -> usize {
        if index == 0 || index >= self.parts {
            return if index == 0 { 0 } else { self.len };
        }
        let small = self.parts - self.large;
        let share = if index <= small {
            index as f64 / (4 * small) as f64
        } else {
            0.25 + 0.75 * (index - small) as f64 / self.large as f64
        };
        let line = (self.len as f64 * share.sqrt()) as usize;
        line.next_multiple_of(self.step.max(1)).min(self.len)
    }
}
