//! What the benches share: libraries of the manifest and their bare functions; `report` has what tables are made with.
#![allow(dead_code, reason = "each bench uses a part of it")]

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
use std::path::PathBuf;

mod report;
pub use report::*;

/// A library whose limit is set in the benches: its key in the manifest, and its own two functions.
pub struct Case {
    /// The manifest's key.
    pub key: &'static str,
    /// For the table.
    pub label: &'static str,
    /// `int get(void)`.
    pub get: &'static str,
    /// `void set(int)`.
    pub set: &'static str,
    /// Whether a guard for the calling thread is measured: the library's own setter is that.
    pub thread: bool,
}

/// The libraries, one per kind of setter.
pub const CASES: &[Case] = &[
    Case {
        key: "openblas-pthread",
        label: "OpenBLAS on pthreads (Debian)",
        get: "openblas_get_num_threads",
        set: "openblas_set_num_threads",
        thread: false,
    },
    Case {
        key: "scipy-openblas32",
        label: "OpenBLAS on pthreads (wheel)",
        get: "scipy_openblas_get_num_threads",
        set: "scipy_openblas_set_num_threads",
        thread: false,
    },
    Case {
        key: "openblas-openmp",
        label: "OpenBLAS on OpenMP (Debian)",
        get: "omp_get_max_threads",
        set: "omp_set_num_threads",
        thread: true,
    },
    Case {
        key: "mkl-rt",
        label: "MKL",
        get: "MKL_Get_Max_Threads",
        set: "MKL_Set_Num_Threads",
        thread: false,
    },
    Case {
        key: "blis-openmp",
        label: "BLIS (Debian)",
        get: "bli_thread_get_num_threads",
        set: "bli_thread_set_num_threads",
        thread: false,
    },
];

/// Opens a library of the manifest for good.
pub fn open(key: &str) -> &'static Library {
    open_named(&manifest(key, "path"))
}

/// Opens a library for good.
pub fn open_named(name: &str) -> &'static Library {
    let path = PathBuf::from(name);
    // SAFETY: the initialisers of a BLAS, in a process that has just begun.
    let library =
        unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_GLOBAL) }.expect("the library opens");
    Box::leak(Box::new(library))
}

/// The bare functions of a case.
pub fn functions(
    library: &Library,
    case: &Case,
) -> (unsafe extern "C" fn() -> i32, unsafe extern "C" fn(i32)) {
    // SAFETY: the table of cases names functions of this type.
    let get =
        unsafe { library.get::<unsafe extern "C" fn() -> i32>(case.get) }.expect("its getter");
    // SAFETY: as above.
    let set = unsafe { library.get::<unsafe extern "C" fn(i32)>(case.set) }.expect("its setter");
    (*get, *set)
}
