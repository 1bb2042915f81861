//! Cases of level 3 on real libraries: a process for each library, a pool of 8, and tiles of very few rows and columns.
//!
//! Invariant: each case is computed with 7, 0 and 1 helpers, to the same bits.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it; a test fails by panicking"
)]

use crate::common::{in_own_process, library, mkl_folder};
use crate::level3::{Case, Operands};
use crate::reference::{Number, Stored};
use std::num::NonZeroUsize;
use threadctl::dispatch::{Blas, simulate_cores};

/// A test per library and group, each in a process of its own.
#[macro_export]
macro_rules! libraries {
    ($($library:ident $key:literal: $($group:ident)*;)*) => {$(
        mod $library {
            $(
                #[test]
                fn $group() {
                    $crate::tiles::on(
                        concat!(stringify!($library), "::", stringify!($group)),
                        $key,
                        super::$group,
                    );
                }
            )*
        }
    )*};
}

/// Runs `body` in a process of its own with that library alone.
pub fn on(test: &str, key: &str, body: fn(&Blas)) {
    let folder = mkl_folder();
    let environment: &[_] = if key == "mkl-rt" {
        &[("LD_LIBRARY_PATH", folder.as_str())]
    } else {
        &[]
    };
    in_own_process(test, environment, || {
        // SAFETY: a BLAS of the manifest.
        let blas = unsafe { Blas::open(&library(key)) }.unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(8)
            .build()
            .unwrap();
        Blas::simulate_small_tiles(true);
        simulate_cores(NonZeroUsize::new(8));
        pool.install(|| body(&blas));
    });
}

/// Calls `again` with 7, 0 and 1 helpers and again with 7, the last time with all other workers busy, and returns what it
/// returns: the same bits each time.
pub fn repeated<T: Number>(what: &str, mut again: impl FnMut() -> Stored<T>) -> Stored<T> {
    let mut first: Option<Stored<T>> = None;
    for cores in [8, 1, 2, 8] {
        simulate_cores(NonZeroUsize::new(cores));
        let result = again();
        let first = first.get_or_insert_with(|| result.clone());
        assert!(
            first.same(&result),
            "{what} gives other bits with {cores} cores"
        );
    }
    simulate_cores(NonZeroUsize::new(8));
    first.unwrap()
}

/// Runs a case: the same bits each time, and the right ones.
pub fn run<T: Number>(blas: &Blas, case: &Case) {
    run_on(blas, case, case.operands::<T>());
}

/// Runs a case on these operands.
pub fn run_on<T: Number>(blas: &Blas, case: &Case, before: Operands<T>) {
    let what = format!("{case:?} of {}", T::LETTER);
    let mut operands = before.clone();
    let result = repeated(&what, || {
        // At the same place, since kernels may go by how elements are aligned.
        operands.c.memory.copy_from_slice(&before.c.memory);
        case.call(blas, &mut operands);
        operands.c.clone()
    });
    case.assert_result(&before, &result);
    assert!(
        operands.a.same(&before.a) && operands.b.same(&before.b),
        "{what}: an input was written"
    );
}
