//! How a triangle is cut. Pure.
//!
//! Invariant: the strips of a cut cover the lines, none twice, none is empty; they depend on the arguments alone.

use smallvec::SmallVec;
use std::ops::Range;

/// A triangle cut into strips that cost about the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wedge {
    len: usize,
    /// How many lines there are from the point to the end of each strip.
    ends: SmallVec<[usize; 16]>,
    growing: bool,
}

impl Wedge {
    /// `len` lines, of 1, 2, ... elements if `growing`, else of ..., 2, 1, in at most so many strips that begin at
    /// multiples of `step`. A strip has a triangle on the diagonal and a rectangle beside it, where an element costs
    /// `beside` times as much.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place for a cut need not be exact, and is between 0 and the length"
    )]
    pub fn new(len: usize, parts: usize, step: usize, growing: bool, beside: f64) -> Self {
        // The strip that begins s lines from the point and costs c has d lines, where d d + 2 beside s d = c. With the
        // right c the last one ends where the triangle does.
        let end = |start: f64, cost: f64| {
            let beside = beside * start;
            start - beside + (beside * beside + cost).sqrt()
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..32 {
            let cost = f64::midpoint(low, high);
            if (0..parts).fold(0.0, |start, _| end(start, cost)) < 1.0 {
                low = cost;
            } else {
                high = cost;
            }
        }
        let (mut ends, mut start) = (SmallVec::new(), 0.0);
        for part in 1..=parts {
            start = end(start, high);
            let line = ((len as f64 * start) as usize).next_multiple_of(step.max(1));
            let line = if part == parts { len } else { line.min(len) };
            if line > ends.last().copied().unwrap_or(0) {
                ends.push(line);
            }
        }
        Wedge { len, ends, growing }
    }

    /// How many strips there are.
    pub fn parts(&self) -> usize {
        self.ends.len()
    }

    /// The lines of one of them.
    pub fn part(&self, index: usize) -> Range<usize> {
        let end = self.ends[index];
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        if self.growing {
            start..end
        } else {
            self.len - end..self.len - start
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a strip costs that ends so many lines from the point, in units of half an element.
    fn cost(from: usize, to: usize, beside: f64) -> f64 {
        let lines = (to - from) as f64;
        lines * lines + 2.0 * beside * from as f64 * lines
    }

    proptest! {
        #[test]
        fn strips_cover_the_lines_once(
            len in 1..5000_usize, parts in 1..200_usize, step in 1..300_usize, growing: bool, beside in 0.5..3.0,
        ) {
            let wedge = Wedge::new(len, parts, step, growing, beside);
            let mut strips: Vec<_> = (0..wedge.parts()).map(|part| wedge.part(part)).collect();
            prop_assert!(!strips.is_empty() && strips.len() <= parts);
            if !growing {
                strips.reverse();
            }
            let mut next = 0;
            for strip in strips {
                prop_assert!(strip.start == next && !strip.is_empty());
                next = strip.end;
            }
            prop_assert_eq!(next, len);
        }

        #[test]
        fn strips_cost_alike_where_there_is_room(parts in 2..20_usize, growing: bool, beside in 0.5..3.0) {
            let len = 100_000;
            let wedge = Wedge::new(len, parts, 1, growing, beside);
            let costs: Vec<f64> = (0..parts)
                .map(|part| wedge.part(part))
                .map(|lines| if growing { lines } else { len - lines.end..len - lines.start })
                .map(|lines| cost(lines.start, lines.end, beside))
                .collect();
            for other in &costs {
                prop_assert!((other / costs[0] - 1.0).abs() < 0.01, "{:?}", costs);
            }
        }
    }
}
