//! OpenMP runtimes: GNU (libgomp), LLVM (libomp), Intel (libiomp5). Their number of threads is the calling thread's.
//!
//! libomp and libiomp5 are one code base: whichever is initialised second ends the program, unless
//! KMP_DUPLICATE_LIB_OK allows it. A question initialises, so with both loaded neither is asked.

use super::describe::{Description, Functions, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::sys::call::{GetInt, SetInt};

/// The two that end the program together.
pub(crate) const CLASHING: [&str; 2] = ["libomp.", "libiomp"];

/// Why neither of two clashing runtimes is asked.
pub(crate) const CLASH: &str = "not asked: libomp and libiomp5 are both loaded, and the one that is initialised \
     second ends the program; load only one of them, or set KMP_DUPLICATE_LIB_OK=TRUE at your own risk";

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let library = subject.library;
    // SAFETY: the OpenMP standard declares these types; they may be called from any thread.
    let (get, set) = unsafe {
        (
            GetInt::find(library, "omp_get_max_threads"),
            SetInt::find(library, "omp_set_num_threads"),
        )
    };
    let silent = clash(subject);
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
            _ if silent => Pool::Unsafe(CLASH),
            Some(get) => Pool::Asked(Reader::C(get)),
            None => Pool::Silent,
        },
        ..Description::default()
    }
}

/// Whether `subject` is one of two clashing runtimes.
fn clash(subject: &Subject<'_>) -> bool {
    let file = subject.file_name();
    CLASHING.iter().any(|prefix| file.starts_with(prefix)) && clash_beside(subject)
}

/// Whether both of the clashing runtimes are loaded and the process was not told to bear it: then nothing that
/// would initialise either may be asked.
pub(super) fn clash_beside(subject: &Subject<'_>) -> bool {
    CLASHING.iter().all(|prefix| subject.is_beside(prefix)) && !duplicates_allowed()
}

/// Whether a question that brings libiomp5 in (MKL over Intel's layer) would meet an LLVM runtime.
pub(super) fn would_clash_with_intel(subject: &Subject<'_>) -> bool {
    subject.is_beside(CLASHING[0]) && !duplicates_allowed()
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
