//! MKL: the single dynamic library and the split ones.
//!
//! It has a setter for the process and one for the calling thread, which goes before it. The first is capped by the
//! physical cores while MKL_DYNAMIC is on, and has no effect under TBB; the second always holds. The thread's setter
//! returns the value that restores: 0 means "none of its own", which is not the number that the getter returns.

use super::describe::{Description, Functions, MKL_THREAD_KEY, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use super::openmp;
use crate::sys::call::{FillText, GetInt, MapInt, SetInt};
use crate::sys::library::Library;
use std::path::Path;

/// `MKL_Set_Threading_Layer` knows these; given anything else it changes nothing and returns the one in use.
const LAYERS: &[(i32, &str)] = &[
    (-1, "not specified"),
    (0, "intel"),
    (1, "sequential"),
    (2, "pgi"),
    (3, "gnu"),
    (4, "tbb"),
];

/// The domains whose limits a program may set apart (`mkl_service.h`), of those that matter here.
pub(crate) const LIMITED_DOMAINS: &[(&str, i32)] = &[("blas", 1), ("lapack", 5)];

/// With the split libraries, the layer is the one that is loaded.
pub(crate) const LAYER_FILES: &[(&str, &str)] = &[
    ("libmkl_intel_thread", "intel"),
    ("libmkl_gnu_thread", "gnu"),
    ("libmkl_tbb_thread", "tbb"),
    ("libmkl_pgi_thread", "pgi"),
    ("libmkl_sequential", "sequential"),
];

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let library = subject.library;
    bring_libm();
    if openmp::would_clash_with_intel(subject) && may_bring_intel(threading_layer(subject)) {
        return Description {
            concurrent_callers: ConcurrentCallers::Safe,
            pool: Pool::LeftAlone(openmp::CLASH_WITH_MKL),
            ..Description::default()
        };
    }
    // SAFETY: the catalog's check made sure that this is MKL; `mkl_service.h` declares these types, and its service
    // functions may be called from any thread.
    let (version, get, set, set_local, domain) = unsafe {
        (
            FillText::find(library, "MKL_Get_Version_String"),
            GetInt::find(library, "MKL_Get_Max_Threads"),
            SetInt::find(library, "MKL_Set_Num_Threads"),
            MapInt::find(library, "MKL_Set_Num_Threads_Local"),
            MapInt::find(library, "MKL_Domain_Get_Max_Threads"),
        )
    };
    // SAFETY: the library is borrowed by `subject`.
    let version = version.map(|function| unsafe { function.call() });
    // MKL chooses its layer at the first question of this kind; only then does it tell which.
    let _ = get.map(|get| {
        // SAFETY: the library is borrowed by `subject`.
        unsafe { get.call() }
    });
    let layer = threading_layer(subject);
    Description {
        version: version.as_deref().map(version_number),
        threading_layer: layer.map(str::to_owned),
        // MKL has no call that names its kernels without benchmarking them.
        architecture: None,
        interface: super::describe::PLAIN.interface(integers(subject)),
        max_threads: (layer == Some("sequential")).then_some(1),
        concurrent_callers: ConcurrentCallers::Safe,
        pool: get.map_or(Pool::Silent, |get| Pool::Asked(Reader::C(get))),
        process: get.zip(set).map(|(get, set)| match domain {
            Some(domain) => Functions::Domains { get, set, domain },
            None => Functions::Plain { get, set },
        }),
        thread: get
            .zip(set_local)
            .map(|(get, set)| Functions::ReturnsPrevious {
                get,
                set,
                key: MKL_THREAD_KEY,
            }),
        ..Description::default()
    }
}

/// MKL's layers use the mathematical library without naming it as a dependency: a program that does not link it
/// would be ended by the loader ("undefined symbol: log") at the first question.
fn bring_libm() {
    // SAFETY: the C library's own mathematical part; its initialisers do nothing that a program could notice.
    if let Ok(libm) = unsafe { Library::load(Path::new("libm.so.6"), true) } {
        libm.leak();
    }
}

/// Whether the next question may load libiomp5: the layer is Intel's, or not chosen yet and not another one's.
fn may_bring_intel(layer: Option<&str>) -> bool {
    match layer {
        Some("intel") => true,
        None | Some("not specified") => std::env::var("MKL_THREADING_LAYER")
            .map_or(true, |chosen| chosen.eq_ignore_ascii_case("intel")),
        Some(_) => false,
    }
}

fn threading_layer(subject: &Subject<'_>) -> Option<&'static str> {
    // SAFETY: `mkl_service.h` declares it so.
    let ask = unsafe { MapInt::find(subject.library, "MKL_Set_Threading_Layer") };
    if let Some(ask) = ask {
        // SAFETY: the library is borrowed by `subject`.
        let code = unsafe { ask.call(-1) };
        return LAYERS
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, layer)| *layer);
    }
    LAYER_FILES
        .iter()
        .find(|(file, _)| subject.is_beside(file))
        .map(|(_, layer)| *layer)
}

fn integers(subject: &Subject<'_>) -> Integers {
    let file = subject.file_name();
    if file.contains("ilp64") {
        return Integers::Ilp64;
    }
    if file.contains("lp64") {
        return Integers::Lp64;
    }
    // SAFETY: `mkl_service.h` declares it so; given -1 it changes nothing and returns the interface in use.
    let ask = unsafe { MapInt::find(subject.library, "MKL_Set_Interface_Layer") };
    // Bit 0 is ILP64 (`MKL_INTERFACE_ILP64`), bit 1 the GNU calling convention.
    // SAFETY: the library is borrowed by `subject`.
    match ask.map(|ask| unsafe { ask.call(-1) }) {
        Some(code) if code >= 0 => {
            if code & 1 == 1 {
                Integers::Ilp64
            } else {
                Integers::Lp64
            }
        }
        _ => Integers::Unknown,
    }
}

/// `... Version 2026.2-Product Build ...` gives `2026.2-Product`, as threadpoolctl reports it.
fn version_number(text: &str) -> String {
    text.split_once("Version ")
        .and_then(|(_, rest)| rest.split_once(' '))
        .map_or_else(|| text.trim().to_owned(), |(version, _)| version.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_the_word_after_version() {
        let text =
            "Intel(R) oneAPI Math Kernel Library Version 2026.2-Product Build 20260915 for x";
        assert_eq!(super::version_number(text), "2026.2-Product");
        assert_eq!(super::version_number(" odd "), "odd");
    }
}
