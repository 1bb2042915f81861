//! The numbers of level 3, a row per family.
//!
//! Work is counted in pairs of a multiplication and an addition of real numbers.

use crate::dispatch::scalar::Scalar;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What decides how the routines of a family are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// From so much work on a call is shared.
    pub least: usize,
    /// The narrowest tile, in rows or columns.
    pub narrowest: usize,
    /// From so many rows or columns on in the small tiles that end a call, it has such: they let a helper that comes late
    /// find work, and cost 3 to 10 % of the call, since each packs its operands by itself.
    pub taper: usize,
    /// Rows and columns of tiles are multiples of these, which kernels are unrolled by.
    pub steps: [usize; 2],
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Up to so much work, a call of level 3 costs less than asking somebody to help, and no library starts threads
    /// for it.
    pub tiny: isize,
    /// Below so much work, some 100 microseconds of it, nobody is woken for a call alone.
    pub brief: usize,
    /// gemm.
    pub product: Row,
    /// symm, hemm.
    pub mirrored: Row,
    /// syrk, herk, syr2k, her2k, gemmt.
    pub triangle: Row,
    /// trmm, trsm, along the dimension in which they fall apart.
    pub sides: Row,
    /// trmm, trsm, along the other: their blocks, and from how many of these on it pays.
    pub block: usize,
    pub least_blocks: usize,
}

pub(in crate::dispatch) const BUILT_IN: Table = Table {
    tiny: 48 * 48 * 48,
    brief: 128 * 128 * 128,
    product: Row {
        least: 72 * 72 * 72,
        narrowest: 32,
        taper: 96,
        steps: [16, 8],
    },
    mirrored: Row {
        least: 88 * 88 * 88,
        narrowest: 32,
        taper: 192,
        steps: [16, 8],
    },
    triangle: Row {
        least: 88 * 88 * 88,
        narrowest: 48,
        taper: 512,
        steps: [16, 16],
    },
    sides: Row {
        least: 88 * 88 * 88,
        narrowest: 24,
        taper: 192,
        steps: [16, 8],
    },
    block: 128,
    least_blocks: 8,
};

/// BLIS has other kernels, which read the right operand where it lies, for products of which one size is below some 200 (its "sup"
/// kernels; thresholds in `bli_cntx_init_zen*.c`). 0.9.0 on Zen, packed as `packing.rs` says: a tile of 1000 x 128 at 31 GFlop/s,
/// of 1000 x 256 at 41, of all 1000 at 45.
const BLIS: Table = Table {
    product: Row {
        narrowest: 256,
        taper: 256,
        ..BUILT_IN.product
    },
    mirrored: Row {
        narrowest: 256,
        taper: 256,
        ..BUILT_IN.mirrored
    },
    ..BUILT_IN
};

/// The numbers of a library, by the first word of what it is called in a tuning.
pub(in crate::dispatch) fn of(library: &str) -> &'static Table {
    match library {
        "blis" => &BLIS,
        _ => &BUILT_IN,
    }
}

const TINY: Row = Row {
    least: 1,
    narrowest: 2,
    taper: 3,
    steps: [2, 2],
};

/// Nothing is too small: what tests see, so that they get to every edge with small matrices.
const SMALL: Table = Table {
    tiny: 0,
    brief: 0,
    product: TINY,
    mirrored: TINY,
    triangle: TINY,
    sides: TINY,
    block: 2,
    least_blocks: 3,
};

const _: () = assert!(BUILT_IN.tiny < BUILT_IN.product.least as isize);

static SIMULATE_SMALL: AtomicBool = AtomicBool::new(false);

/// What [`Blas::simulate_small_tiles`](crate::dispatch::Blas::simulate_small_tiles) says.
pub(crate) fn simulate_small_tiles(small: bool) {
    SIMULATE_SMALL.store(small, Ordering::Relaxed);
    if let Some(tell) = TELL.get() {
        tell();
    }
}

/// Who keeps what follows from it.
static TELL: OnceLock<fn()> = OnceLock::new();

/// Has `tell` called whenever that was said: by one who keeps what follows from it, so that calls need not ask.
pub(crate) fn when_small_tiles_change(tell: fn()) {
    let _ = TELL.set(tell);
}

/// Whether it was said.
#[inline]
pub(super) fn small() -> bool {
    // Relaxed: a test sets it before its calls.
    SIMULATE_SMALL.load(Ordering::Relaxed)
}

/// What every library has in common.
fn common() -> &'static Table {
    if small() { &SMALL } else { &BUILT_IN }
}

impl Table {
    /// This one, unless nothing is too small.
    pub(super) fn in_force(&'static self) -> &'static Table {
        if small() { &SMALL } else { self }
    }

    /// The narrowest tile of a product which would not be cut otherwise, whatever the library.
    pub(super) fn narrow() -> usize {
        common().product.narrowest
    }

    /// Below so much work nobody is woken for a call alone.
    pub(super) fn brief() -> usize {
        common().brief
    }
}

/// Whether a call with these sizes is too small for anything but going through. Sizes that are no sizes are not tiny.
#[inline]
pub(crate) fn tiny<T: Scalar>(m: isize, n: isize, k: isize) -> bool {
    let work = m.saturating_mul(n).saturating_mul(k);
    let work = work.saturating_mul(if T::COMPLEX { 4 } else { 1 });
    // A matrix by a vector is another matter: libraries take their gemv for it, which has threads sooner.
    work <= common().tiny && (work <= VECTOR || m.min(n) > 1)
}

/// Up to so much work no library has threads for gemv.
const VECTOR: isize = 2048;
