//! Runtimes that the project cannot install: written from their makers' documentation, marked untested.
//!
//! ArmPL (`armpl.h`), NVPL BLAS (`nvpl_blas_core.h`), Apple's Accelerate (`thread_api.h`).

use super::describe::{Description, Functions, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::sys::call::{GetInt, MapInt, SetInt};

pub(super) fn describe_armpl(subject: &Subject<'_>) -> Description {
    // SAFETY: `armpl.h` declares `int armpl_get_num_threads(void)` and `void armpl_set_num_threads(int)`.
    let (get, set) = unsafe {
        (
            GetInt::find(subject.library, "armpl_get_num_threads"),
            SetInt::find(subject.library, "armpl_set_num_threads"),
        )
    };
    Description {
        interface: PLAIN.interface(integers_in_name(subject)),
        concurrent_callers: ConcurrentCallers::Safe,
        pool: get.map_or(Pool::Silent, |get| Pool::Asked(Reader::C(get))),
        process: get.zip(set).map(|(get, set)| Functions::Plain { get, set }),
        ..Description::default()
    }
}

pub(super) fn describe_nvpl(subject: &Subject<'_>) -> Description {
    // SAFETY: `nvpl_blas_core.h` declares `int nvpl_blas_get_max_threads(void)`,
    // `void nvpl_blas_set_num_threads(int)` and `int nvpl_blas_set_num_threads_local(int)`.
    let (get, set, set_local) = unsafe {
        (
            GetInt::find(subject.library, "nvpl_blas_get_max_threads"),
            SetInt::find(subject.library, "nvpl_blas_set_num_threads"),
            MapInt::find(subject.library, "nvpl_blas_set_num_threads_local"),
        )
    };
    Description {
        interface: PLAIN.interface(integers_in_name(subject)),
        concurrent_callers: ConcurrentCallers::Safe,
        pool: get.map_or(Pool::Silent, |get| Pool::Asked(Reader::C(get))),
        process: get.zip(set).map(|(get, set)| Functions::Plain { get, set }),
        thread: get
            .zip(set_local)
            .map(|(get, set)| Functions::ReturnsPrevious {
                get,
                set,
                key: set.address(),
            }),
        ..Description::default()
    }
}

/// Accelerate switches between one thread and its own choice of many; it has no number.
pub(super) fn describe_accelerate(_subject: &Subject<'_>) -> Description {
    Description {
        interface: PLAIN.interface(Integers::Lp64),
        concurrent_callers: ConcurrentCallers::Safe,
        pool: Pool::LeftAlone(
            "Accelerate has no number of threads: BLASSetThreading switches between one and as many as it likes",
        ),
        ..Description::default()
    }
}

fn integers_in_name(subject: &Subject<'_>) -> Integers {
    let file = subject.file_name();
    match () {
        () if file.contains("ilp64") => Integers::Ilp64,
        () if file.contains("lp64") => Integers::Lp64,
        () => Integers::Unknown,
    }
}
