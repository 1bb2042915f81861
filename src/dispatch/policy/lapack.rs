//! The numbers of LAPACK: where recursions end, and what is too small for them. Pure.

use super::table::small;
use super::{Pool, weight};
use crate::dispatch::grid::Cut;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::tuning::Family;
use std::mem::size_of;

/// What decides how factorizations are cut.
#[derive(Debug, Clone, Copy)]
pub(in crate::dispatch) struct Numbers {
    /// Up to so many columns a part of an LU factorization is the library's own.
    pub lu: usize,
    /// Up to that order a block on the diagonal is the library's own: Cholesky's, and the inverse and the square of a
    /// triangle.
    pub block: usize,
    /// From how many columns on an LU factorization is by panels in a pool.
    pub lu_panels: usize,
    /// How wide these are, and on MKL.
    lu_widths: [Widths; 2],
    /// From how many reflectors on a QR factorization finds the next block while the rest is updated, in a pool.
    pub qr_panels: usize,
    /// How wide its blocks are then, and on MKL.
    qr_widths: [Widths; 2],
    /// The columns that are updated are cut in as many large tiles on MKL as they are so many, at least one for each worker and at most two: the
    /// time that it takes to pack the panel for each is seen there.
    part_mkl: usize,
    /// The panels of a Cholesky factorization in a pool: the narrowest, those of most matrices, those of the largest; and on MKL.
    panels: [[usize; 3]; 2],
    /// So many columns are reflected at a time.
    pub reflectors: usize,
    /// From so many roots of the secular equation on these are found by several threads.
    roots: usize,
    /// Up to so many columns they are found one by one.
    pub single: usize,
    /// Parts begin at multiples of it, which kernels are unrolled by.
    pub step: usize,
    /// Up to so many pairs of a multiplication and an addition a call is the library's own.
    least: usize,
    /// From so many bytes on rows are exchanged by several threads.
    swapped: usize,
    /// Up to so many a Cholesky factorization is MKL's own, and a QR factorization.
    least_mkl: [usize; 2],
}

/// How wide panels are: what is left over a number, at least and at most so much, and a multiple of another one. MKL's products
/// are slower for 64 and 80 columns than for 48 and 96.
#[derive(Debug, Clone, Copy)]
struct Widths {
    over: usize,
    between: [usize; 2],
    step: usize,
}

const fn widths(over: usize, between: [usize; 2], step: usize) -> Widths {
    Widths {
        over,
        between,
        step,
    }
}

const BUILT_IN: Numbers = Numbers {
    lu: 64,
    block: 96,
    lu_panels: 160,
    lu_widths: [widths(8, [64, 256], 16), widths(16, [48, 192], 48)],
    qr_panels: 160,
    qr_widths: [widths(24, [48, 96], 16), widths(24, [48, 96], 48)],
    part_mkl: 128,
    panels: [[64, 128, 256], [96; 3]],
    reflectors: 64,
    roots: 96,
    single: 8,
    step: 16,
    least: 72 * 72 * 72,
    swapped: 128 << 10,
    least_mkl: [288 * 288 * 288, 160 * 160 * 160],
};

/// Nothing is too small: for tests.
const SMALL: Numbers = Numbers {
    lu: 2,
    block: 2,
    lu_panels: 12,
    lu_widths: [widths(4, [3, 6], 2), widths(4, [3, 6], 3)],
    qr_panels: 12,
    qr_widths: [widths(4, [3, 6], 2), widths(4, [3, 6], 3)],
    part_mkl: 4,
    panels: [[3, 5, 6], [3, 5, 5]],
    reflectors: 4,
    roots: 3,
    single: 1,
    step: 2,
    least: 0,
    swapped: 1,
    least_mkl: [0; 2],
};

/// Those in force.
pub(in crate::dispatch) fn numbers() -> &'static Numbers {
    if small() { &SMALL } else { &BUILT_IN }
}

impl Numbers {
    /// Where a length of more than one is cut in two: neither part is empty.
    pub fn half(&self, len: usize) -> usize {
        let half = len.div_ceil(2);
        let even = half.next_multiple_of(self.step);
        if even < len { even } else { half }
    }

    /// Whether a call of so many pairs is too small to be cut.
    pub fn is_small<T: Scalar>(&self, m: usize, n: usize, depth: usize) -> bool {
        pairs::<T>([m, n, depth]) <= self.least
    }

    /// The same for a factorization that MKL is better at as a whole.
    pub fn is_small_here<T: Scalar>(&self, mkl: bool, what: Whole, lengths: [usize; 3]) -> bool {
        let least = if mkl {
            self.least_mkl[what as usize]
        } else {
            self.least
        };
        pairs::<T>(lengths) <= least
    }
}

/// What MKL is better at as a whole up to sizes of its own.
#[derive(Debug, Clone, Copy)]
pub(in crate::dispatch) enum Whole {
    Cholesky,
    Qr,
}

/// How many pairs of a multiplication and an addition of real numbers there are at most.
fn pairs<T: Scalar>(lengths: [usize; 3]) -> usize {
    lengths
        .into_iter()
        .fold(weight::<T>(), usize::saturating_mul)
}

/// The columns in which `count` rows are exchanged for others; `None`: by the caller alone.
pub(in crate::dispatch) fn exchange<T: Scalar>(
    cols: usize,
    count: usize,
    pool: Pool<'_>,
) -> Option<Cut> {
    let bytes = cols.saturating_mul(count).saturating_mul(size_of::<T>());
    if bytes < numbers().swapped {
        return None;
    }
    lines(cols, pool)
}

/// Where the panels of an LU factorization of so many columns end; `None`: there is no pool, or
/// too little for it.
pub(in crate::dispatch) fn lu_panels(n: usize, mkl: bool, pool: Pool<'_>) -> Option<Vec<usize>> {
    let numbers = numbers();
    let widths = numbers.lu_widths[usize::from(mkl)];
    (pool.width > 1 && n >= numbers.lu_panels).then(|| narrowing(n, widths))
}

/// The same for the blocks of a QR factorization with so many reflectors.
pub(in crate::dispatch) fn qr_panels(n: usize, mkl: bool, pool: Pool<'_>) -> Option<Vec<usize>> {
    let numbers = numbers();
    let widths = numbers.qr_widths[usize::from(mkl)];
    (pool.width > 1 && n >= numbers.qr_panels).then(|| narrowing(n, widths))
}

/// Where parts of a length end that are so wide.
fn narrowing(n: usize, widths: Widths) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = 0;
    let [narrowest, widest] = widths.between;
    while end < n {
        // Wide ones suit the kernels while there is much to update beside them.
        let width = ((n - end) / widths.over).next_multiple_of(widths.step);
        end = (end + width.clamp(narrowest, widest)).min(n);
        ends.push(end);
    }
    ends
}

/// The columns that are updated beside the next panel of an LU or QR factorization: more parts than workers, since one of these
/// is at the panel.
pub(in crate::dispatch) fn beyond(len: usize, mkl: bool, pool: Pool<'_>) -> Cut {
    let row = &pool.table().product;
    let most = 2 * pool.width;
    let parts = if mkl {
        (len / numbers().part_mkl).clamp(pool.width, most)
    } else {
        most
    };
    Cut::tapered(len, parts.min((len / row.narrowest).max(1)), row.steps[1])
}

/// How wide the panels of a Cholesky factorization of that order are; `None`: it is too small for more than two.
pub(in crate::dispatch) fn panel(n: usize, mkl: bool, pool: Pool<'_>) -> Option<usize> {
    let numbers = numbers();
    let [narrowest, usual, widest] = numbers.panels[usize::from(mkl)];
    // On MKL all are alike. Narrow ones leave more of a small matrix to be shared, wide ones wait less often and suit the kernels of a large one.
    let step = |width: usize| width.next_multiple_of(numbers.step);
    let width = step(n / 6)
        .clamp(narrowest, usual)
        .max(step(n / 16).min(widest));
    (pool.width > 1 && n > 2 * width).then_some(width)
}

/// The columns, or rows, of a matrix that reflectors are applied to, of which each costs so many pairs; `None`: there are
/// too few for all workers, or they are too little work.
pub(in crate::dispatch) fn reflected<T: Scalar>(
    free: usize,
    pairs: usize,
    pool: Pool<'_>,
) -> Option<Cut> {
    let work = free.saturating_mul(pairs).saturating_mul(weight::<T>());
    pool.divides(Family::Product, work)
        .then(|| lines(free, pool))?
}

/// How the roots of the secular equation are shared; `None`: they are too few. Less than three are LAPACK's special cases.
pub(in crate::dispatch) fn roots(count: usize, pool: Pool<'_>) -> Option<Cut> {
    (pool.width > 1 && count >= numbers().roots).then(|| Cut::tapered(count, pool.width, 1))
}

/// Lines for all workers, if there are enough of them.
fn lines(len: usize, pool: Pool<'_>) -> Option<Cut> {
    let row = &pool.table().product;
    let width = pool.width;
    if width < 2 || len / row.narrowest < width {
        return None;
    }
    let step = row.steps[1];
    Some(if len / (4 * width) < row.taper {
        Cut::even(len, width, step)
    } else {
        Cut::tapered(len, width, step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_of_a_factorization_cover_it_and_get_narrower() {
        let each = [160, 161, 256, 1000, 4001].map(|n| {
            let pool = Pool::built_in(2);
            let each =
                [lu_panels, qr_panels].map(|panels| [false, true].map(|mkl| panels(n, mkl, pool)));
            each.as_flattened()
                .iter()
                .map(|ends| (n, ends.clone().unwrap()))
                .collect::<Vec<_>>()
        });
        for (n, ends) in each.into_iter().flatten() {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let widths: Vec<usize> = ends
                .iter()
                .zip(starts)
                .map(|(end, start)| end - start)
                .collect();
            assert!(
                widths.is_sorted_by(|one, next| one >= next),
                "{n}: {widths:?}"
            );
            assert!(widths.iter().all(|&width| width > 0), "{n}: {widths:?}");
            assert_eq!(widths.iter().sum::<usize>(), n);
        }
        assert_eq!(lu_panels(159, false, Pool::built_in(2)), None);
        assert_eq!(lu_panels(4000, true, Pool::built_in(1)), None);
        assert_eq!(qr_panels(159, false, Pool::built_in(2)), None);
        assert_eq!(qr_panels(4000, true, Pool::built_in(1)), None);
    }

    #[test]
    fn a_length_is_cut_in_two_parts_that_are_not_empty() {
        for numbers in [BUILT_IN, SMALL] {
            for len in 2..300 {
                let half = numbers.half(len);
                assert!(0 < half && half < len, "{half} of {len}");
            }
        }
    }
}
