//! OpenMP runtimes: GNU (libgomp), LLVM (libomp), Intel (libiomp5). Their number of threads is the calling thread's.
//!
//! libomp and libiomp5 are one code base: whichever copy is initialised second ends the program, unless
//! KMP_DUPLICATE_LIB_OK allows it. A question initialises, so with two copies loaded none is asked. They are recognised
//! by what they define, since wheels carry them under names of their own.

use super::describe::{Description, Functions, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::sys::call::{GetInt, SetInt};

/// What LLVM's and Intel's runtime define and others do not: the entry that their compilers call.
pub(crate) const LLVM_SYMBOL: &str = "__kmpc_fork_call";

/// Why none of several clashing runtimes is asked.
pub(crate) const CLASH: &str = "not asked: more than one LLVM or Intel OpenMP runtime is loaded, and the one that is \
     initialised second ends the program; load only one of them, or set KMP_DUPLICATE_LIB_OK=TRUE at your own risk";

/// Why MKL is not asked while another runtime of that kind is loaded.
pub(super) const CLASH_WITH_MKL: &str = "not asked: MKL would load libiomp5 beside another LLVM OpenMP runtime, which \
     ends the program; choose another layer (MKL_THREADING_LAYER), load only one of them, or set \
     KMP_DUPLICATE_LIB_OK=TRUE at your own risk";

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let library = subject.library;
    // SAFETY: the OpenMP standard declares these types; they may be called from any thread.
    let (get, set) = unsafe {
        (
            GetInt::find(library, "omp_get_max_threads"),
            SetInt::find(library, "omp_set_num_threads"),
        )
    };
    let llvm_openmp = library.contains(LLVM_SYMBOL);
    let silent = llvm_openmp && clash_beside(subject);
    Description {
        // The standard has no call for the version of an implementation.
        version: None,
        interface: PLAIN.interface(Integers::Unknown),
        concurrent_callers: ConcurrentCallers::Safe,
        thread: if silent {
            None
        } else {
            get.zip(set).map(|(get, set)| Functions::Plain { get, set })
        },
        pool: match get {
            _ if silent => Pool::LeftAlone(CLASH),
            Some(get) => Pool::Asked(Reader::C(get)),
            None => Pool::Silent,
        },
        llvm_openmp,
        ..Description::default()
    }
}

/// Whether several of the clashing runtimes are loaded and the process was not told to bear it: then nothing that
/// would initialise one of them may be asked.
pub(super) fn clash_beside(subject: &Subject<'_>) -> bool {
    subject.around.llvm_openmp.len() > 1 && !duplicates_allowed()
}

/// Whether a question that brings libiomp5 in (MKL over Intel's layer) would make two of them.
pub(super) fn would_clash_with_intel(subject: &Subject<'_>) -> bool {
    let loaded = subject.around.llvm_openmp;
    let other = loaded.iter().any(|name| !name.starts_with("libiomp5.so"));
    other && !duplicates_allowed()
}

/// The clash among runtimes of this kind, in words; `files` are those that are loaded.
pub(crate) fn conflict_among(files: &[String]) -> Option<String> {
    let mut distinct = files.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    (distinct.len() > 1).then(|| {
        format!(
            "{} are all loaded: LLVM's and Intel's OpenMP runtimes are one code base, and the one that is initialised \
             second ends the program or corrupts the other; load only one of them",
            distinct.join(" and ")
        )
    })
}

/// As the runtime itself reads KMP_DUPLICATE_LIB_OK.
fn duplicates_allowed() -> bool {
    std::env::var("KMP_DUPLICATE_LIB_OK").is_ok_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "1" | "yes" | "on" | "t" | "y"
        )
    })
}
