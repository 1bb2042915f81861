//! The numbers of level 3, a row per family.
//!
//! Work is counted in pairs of a multiplication and an addition of real numbers.

use std::sync::atomic::{AtomicBool, Ordering};

/// What decides how the routines of a family are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// From so much work on a call is shared.
    pub least: usize,
    /// The narrowest tile, in rows or columns.
    pub narrowest: usize,
    /// Rows and columns of tiles are multiples of these, which kernels are unrolled by.
    pub steps: [usize; 2],
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// Up to so much work, a call of level 3 costs less than asking somebody to help, and no library starts threads
    /// for it.
    pub tiny: isize,
    /// Below so much work, some 100 microseconds of it, nobody is woken for a call alone.
    pub brief: usize,
    /// gemm, symm, hemm.
    pub product: Row,
    /// syrk, herk, syr2k, her2k, gemmt.
    pub triangle: Row,
    /// trmm, trsm, along the dimension in which they fall apart.
    pub sides: Row,
    /// trmm, trsm, along the other: their blocks, and from how many of these on it pays.
    pub block: usize,
    pub least_blocks: usize,
}

const BUILT_IN: Table = Table {
    tiny: 48 * 48 * 48,
    brief: 128 * 128 * 128,
    product: Row {
        least: 72 * 72 * 72,
        narrowest: 32,
        steps: [16, 8],
    },
    triangle: Row {
        least: 88 * 88 * 88,
        narrowest: 32,
        steps: [16, 16],
    },
    sides: Row {
        least: 88 * 88 * 88,
        narrowest: 24,
        steps: [16, 8],
    },
    block: 128,
    least_blocks: 8,
};

/// Nothing is too small: what tests see, so that they get to every edge with small matrices.
const SMALL: Table = Table {
    tiny: 0,
    brief: 0,
    product: Row {
        least: 1,
        narrowest: 2,
        steps: [2, 2],
    },
    triangle: Row {
        least: 1,
        narrowest: 2,
        steps: [2, 2],
    },
    sides: Row {
        least: 1,
        narrowest: 2,
        steps: [2, 2],
    },
    block: 2,
    least_blocks: 3,
};

const _: () = assert!(BUILT_IN.tiny < BUILT_IN.product.least as isize);

static SIMULATE_SMALL: AtomicBool = AtomicBool::new(false);

/// What [`Blas::simulate_small_tiles`](crate::dispatch::Blas::simulate_small_tiles) says.
pub(crate) fn simulate_small_tiles(small: bool) {
    SIMULATE_SMALL.store(small, Ordering::Relaxed);
}

/// Whether it was said.
#[inline]
pub(super) fn small() -> bool {
    // Relaxed: a test sets it before its calls.
    SIMULATE_SMALL.load(Ordering::Relaxed)
}

pub(super) fn table() -> &'static Table {
    if small() { &SMALL } else { &BUILT_IN }
}

/// Whether a call with these sizes is too small for anything but going through. Sizes that are no sizes are not tiny.
#[inline]
pub(crate) fn tiny(m: isize, n: isize, k: isize) -> bool {
    m.saturating_mul(n).saturating_mul(k) <= table().tiny
}
