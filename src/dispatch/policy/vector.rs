//! Levels 1 and 2: from which size on a call is shared, and in which parts.
//!
//! These routines compute as fast as memory delivers. Operands that lie in the caller's own cache are read faster there
//! than another core could fetch them, so sharing begins where they do not fit it any more.

use super::Pool;
use super::product::Size;
use super::table::small;
use crate::dispatch::check::Trans;
use crate::dispatch::grid::{Cut, Grid};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::tuning::{Family, Least};
use crate::dispatch::wedge::Wedge;
use std::mem::size_of;

/// The routines of levels 1 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routine {
    Axpy,
    Axpby,
    Scal,
    Copy,
    Swap,
    Dot,
    Nrm2,
    Asum,
    Iamax,
    Gemv,
    Ger,
    Hemv,
    Her,
    Trmv,
    Trsv,
}

/// What is known of a routine.
struct Row {
    routine: Routine,
    name: &'static str,
    /// Up to so many elements of the vector or of the matrix no library starts threads of its own, so it need not be held.
    alone: isize,
    /// From so many bytes on, of the vector or of the matrix, the call is shared.
    shared: usize,
}

const KIB: usize = 1 << 10;

/// In the order of [`Routine`]. `alone`: OpenBLAS 0.3.21's own thresholds are the lowest known but for level 1: from 4,096 to 9,216 for gemv
/// and ger; none at all for zhemv, zher and the triangular ones. At level 1 its are 10,000 elements and more, and MKL 2026.2 has
/// threads of its own for 2,048 complex elements and for 4,096 real ones, and not for 1,024 of either.
const TABLE: [Row; 15] = [
    row(Routine::Axpy, "axpy", Routine::SHORT, 512 * KIB),
    row(Routine::Axpby, "axpby", Routine::SHORT, 512 * KIB),
    row(Routine::Scal, "scal", Routine::SHORT, 1024 * KIB),
    row(Routine::Copy, "copy", Routine::SHORT, 768 * KIB),
    row(Routine::Swap, "swap", Routine::SHORT, 512 * KIB),
    row(Routine::Dot, "dot", Routine::SHORT, 768 * KIB),
    row(Routine::Nrm2, "nrm2", Routine::SHORT, 256 * KIB),
    row(Routine::Asum, "asum", Routine::SHORT, 1536 * KIB),
    row(Routine::Iamax, "iamax", Routine::SHORT, 16384 * KIB),
    row(Routine::Gemv, "gemv", 2048, 1024 * KIB),
    row(Routine::Ger, "ger", 2048, 1024 * KIB),
    row(Routine::Hemv, "hemv", 0, 1024 * KIB),
    row(Routine::Her, "her", 0, 1536 * KIB),
    row(Routine::Trmv, "trmv", 0, 2048 * KIB),
    row(Routine::Trsv, "trsv", 0, 32768 * KIB),
];

const fn row(routine: Routine, name: &'static str, alone: isize, shared: usize) -> Row {
    Row {
        routine,
        name,
        alone,
        shared,
    }
}

/// From so many bytes on each is shared, in the order of [`Routine`], where nothing else is known of the library.
pub(crate) const SHARED: [usize; TABLE.len()] = {
    let mut shared = [0; TABLE.len()];
    let mut index = 0;
    while index < TABLE.len() {
        shared[index] = TABLE[index].shared;
        index += 1;
    }
    shared
};

const _: () = {
    let mut index = 0;
    while index < TABLE.len() {
        assert!(TABLE[index].routine as usize == index);
        index += 1;
    }
};

impl Routine {
    /// Vectors of at most so many elements no library computes with threads of its own.
    pub const SHORT: isize = 1024;

    /// Its name without the letter of the type.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// What it is called in a tuning.
    #[inline]
    pub fn family(self) -> Family {
        Family::ALL[Family::LEVEL_3 + self as usize]
    }

    /// Up to so many elements no library starts threads.
    #[inline]
    pub fn alone(self) -> isize {
        if small() {
            0
        } else {
            TABLE[self as usize].alone
        }
    }

    /// Whether a call on so many elements is not shared, whatever the pool. Numbers that are no sizes are not looked at.
    #[inline]
    pub fn undivided<T>(self, elements: isize, least: &Least) -> bool {
        let bytes = elements.saturating_mul(size_of::<T>() as isize);
        bytes < isize::try_from(self.least(least)).unwrap_or(isize::MAX)
    }

    /// From so many bytes on it is shared, for a library with these numbers.
    fn least(self, least: &Least) -> usize {
        if small() {
            SMALL
        } else {
            least.get(self.family())
        }
    }

    /// How long a call on so many elements takes, if it is shared: what begins to be worth it takes some 15 microseconds.
    pub fn size<T>(self, elements: isize) -> Size {
        let bytes = elements.saturating_mul(size_of::<T>() as isize);
        if !small() && bytes < BRIEF * self.shared() as isize {
            Size::Brief
        } else {
            Size::Large
        }
    }

    /// From so many bytes on it is shared, where nothing else is known of the library.
    fn shared(self) -> usize {
        TABLE[self as usize].shared
    }
}

/// Below so many times what is shared at all, nobody is woken for a call alone.
const BRIEF: isize = 8;

/// From so many bytes on, where tests ask for small tiles.
const SMALL: usize = KIB;

/// Parts of vectors begin at multiples of so many elements, so that kernels keep their alignment.
const STEP: usize = 64;
/// The shortest piece of a column that is worth a part of its own.
const ROWS: usize = 256;
/// The fewest columns that are.
const COLUMNS: usize = 8;

/// How many may take part where each should have half of what is worth sharing at all; `None`: it is not.
fn parts<T>(routine: Routine, elements: usize, pool: Pool<'_>) -> Option<usize> {
    let (width, shared) = (pool.width, routine.least(pool.least));
    let bytes = elements.saturating_mul(size_of::<T>());
    (width > 1 && bytes >= shared).then(|| width.min(bytes / (shared / 2).max(1)))
}

/// The parts of vectors of n elements.
pub(crate) fn stretch<T: Scalar>(routine: Routine, n: usize, pool: Pool<'_>) -> Option<Cut> {
    let cut = Cut::tapered(n, parts::<T>(routine, n, pool)?, STEP);
    (cut.parts() > 1).then_some(cut)
}

/// How a product of a matrix by a vector is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// Each tile has a part of the result.
    Result(Cut),
    /// Each tile has a part of the sum that every element of the result is.
    Sum(Cut),
}

/// How y = op(A) x is cut, for a result of `rows` elements, each a sum of `cols` products.
pub(crate) fn gemv<T: Scalar>(
    trans: Trans,
    (rows, cols): (usize, usize),
    pool: Pool<'_>,
) -> Option<Product> {
    let parts = parts::<T>(Routine::Gemv, rows.saturating_mul(cols), pool)?;
    let (least_row, least_col) = trans.stored(ROWS, COLUMNS);
    let (down, across) = (parts.min(rows / least_row), parts.min(cols / least_col));
    if down >= across && down > 1 {
        // Kernels go down a few columns at a time, and are slow where these are short.
        let short = trans == Trans::No && rows < 4 * down * 2 * ROWS;
        let cut = if short { Cut::even } else { Cut::tapered };
        Some(Product::Result(cut(rows, down, COLUMNS)))
    } else if across > 1 {
        Some(Product::Sum(Cut::tapered(cols, across, COLUMNS)))
    } else {
        None
    }
}

/// The tiles of an m x n matrix whose elements are all changed alike: columns, where they are enough.
pub(crate) fn ger<T: Scalar>(m: usize, n: usize, pool: Pool<'_>) -> Option<Grid> {
    let parts = parts::<T>(Routine::Ger, m.saturating_mul(n), pool)?;
    let (down, across) = (parts.min(m / ROWS), parts.min(n / COLUMNS));
    if across >= down && across > 1 {
        Some(Grid {
            rows: Cut::whole(m),
            cols: Cut::tapered(n, across, COLUMNS),
        })
    } else if down > 1 {
        Some(Grid {
            rows: Cut::tapered(m, down, STEP),
            cols: Cut::whole(n),
        })
    } else {
        None
    }
}

/// The strips of a triangle of n x n elements, whose lines grow from the first to the last or shrink.
pub(crate) fn triangle<T: Scalar>(
    routine: Routine,
    n: usize,
    growing: bool,
    pool: Pool<'_>,
) -> Option<Wedge> {
    let parts = parts::<T>(routine, n.saturating_mul(n), pool)?;
    strips(n, 2 * parts, growing, 1.0)
}

/// The same for hemv, which takes each element twice, `at_once` or one after the other.
pub(crate) fn mirrored<T: Scalar>(
    n: usize,
    growing: bool,
    at_once: bool,
    pool: Pool<'_>,
) -> Option<Wedge> {
    // Where the library's own kernel, which takes both at once, is only to be had on the diagonal, what is beside it costs more,
    // and sharing pays from three times as much on.
    let (elements, beside) = if at_once {
        (n.saturating_mul(n), 1.0)
    } else {
        (n.saturating_mul(n) / 3, MIRRORED_COST)
    };
    // Few strips, since each costs a copy of y.
    strips(
        n,
        parts::<T>(Routine::Hemv, elements, pool)?,
        growing,
        beside,
    )
}

fn strips(n: usize, parts: usize, growing: bool, beside: f64) -> Option<Wedge> {
    let wedge = Wedge::new(n, parts.min(n / COLUMNS), COLUMNS, growing, beside);
    (wedge.parts() > 1).then_some(wedge)
}

/// How many unknowns are solved for before the others are told.
const SOLVED: usize = 256;

/// The blocks of a triangular system of n unknowns; `None`: undivided.
pub(crate) fn trsv<T: Scalar>(n: usize, pool: Pool<'_>) -> Option<Cut> {
    parts::<T>(Routine::Trsv, n.saturating_mul(n), pool)?;
    // Small ones, where a test asks for sharing at any size.
    let step = if n < 4 * SOLVED { COLUMNS } else { SOLVED };
    let cut = Cut::even(n, n.div_ceil(step), step);
    (cut.parts() > 1).then_some(cut)
}

/// The parts of what has to be told to so many unknowns.
pub(crate) fn told(trans: Trans, unknowns: usize, width: usize) -> Cut {
    let (row, _) = trans.stored(ROWS, COLUMNS);
    Cut::tapered(unknowns, width.min(unknowns / row).max(1), COLUMNS)
}

/// The largest blocks beside a diagonal that stay in a core's own cache until their mirror image has been taken.
pub(crate) const MIRRORED_COLUMNS: usize = 128;
/// As above.
pub(crate) const MIRRORED_ROWS: usize = 512;
/// What an element of them costs, where one on the diagonal costs 1: 1.75 measured in the cache, 1 to 1.4 out of it.
const MIRRORED_COST: f64 = 1.6;

/// Sums of so many elements of copies are worth a tile.
pub(crate) const SUMMED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_worth_it_and_at_most_two_for_each_worker(n in 1..100_000_000_usize, width in 1..256_usize) {
            let floor = Routine::Dot.shared();
            let cut = stretch::<f64>(Routine::Dot, n, Pool::built_in(width));
            prop_assert_eq!(cut.is_some(), width > 1 && 8 * n >= floor);
            if let Some(cut) = cut {
                prop_assert!(cut.parts() <= 2 * width);
                prop_assert!(8 * cut.part(0).len() * 3 >= floor, "{:?}", cut);
                let total: usize = (0..cut.parts()).map(|part| cut.part(part).len()).sum();
                prop_assert_eq!(total, n);
            }
        }

        #[test]
        fn products_by_vectors_are_cut_where_it_is_long(m in 1..4000_usize, n in 1..4000_usize, width in 2..64_usize) {
            for trans in [Trans::No, Trans::Yes] {
                let (rows, cols) = trans.stored(m, n);
                match gemv::<f64>(trans, (rows, cols), Pool::built_in(width)) {
                    None => {}
                    Some(Product::Result(cut)) => prop_assert_eq!(cut.part(cut.parts() - 1).end, rows),
                    Some(Product::Sum(cut)) => prop_assert_eq!(cut.part(cut.parts() - 1).end, cols),
                }
            }
        }
    }

    #[test]
    fn each_routine_has_its_own_name_in_a_tuning() {
        for row in &TABLE {
            assert_eq!(row.routine.family().name(), row.name);
        }
    }

    #[test]
    fn short_results_are_sums_of_parts_and_long_ones_are_cut_themselves() {
        assert!(matches!(
            gemv::<f64>(Trans::No, (100, 100_000), Pool::built_in(4)),
            Some(Product::Sum(_))
        ));
        assert!(matches!(
            gemv::<f64>(Trans::No, (100_000, 100), Pool::built_in(4)),
            Some(Product::Result(_))
        ));
        assert!(matches!(
            gemv::<f64>(Trans::Yes, (4, 1_000_000), Pool::built_in(4)),
            Some(Product::Sum(_))
        ));
        assert!(matches!(
            gemv::<f64>(Trans::Yes, (1_000_000, 4), Pool::built_in(4)),
            Some(Product::Result(_))
        ));
    }
}
