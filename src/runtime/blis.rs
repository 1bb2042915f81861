//! BLIS: OpenMP, pthreads and serial builds.
//!
//! -1 means that nobody set a number, which makes one thread; it is what restores. A serial build echoes whatever it
//! is told, although it has no threads.

use super::describe::{Description, Functions, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::sys::call::{GetInt, GetText, SetInt, TextOf};
use crate::sys::library::Library;

/// The build's layer is whichever of these answers other than 0.
const LAYERS: &[(&str, &str)] = &[
    ("bli_info_get_enable_openmp", "openmp"),
    ("bli_info_get_enable_pthreads", "pthreads"),
];

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let library = subject.library;
    let layer = LAYERS
        .iter()
        .find(|(question, _)| ask(library, question).is_some_and(|answer| answer != 0))
        .map_or("disabled", |(_, layer)| *layer);
    // SAFETY: the catalog's check made sure that this is BLIS; its headers declare these types, and its information
    // functions may be called from any thread.
    let (version, get, set) = unsafe {
        (
            GetText::find(library, "bli_info_get_version_str"),
            GetInt::find(library, "bli_thread_get_num_threads"),
            SetInt::find(library, "bli_thread_set_num_threads"),
        )
    };
    // SAFETY: the library is borrowed by `subject`.
    let version = version.and_then(|function| unsafe { function.call() });
    let architecture = ask(library, "bli_arch_query_id").and_then(|id| {
        // SAFETY: `const char *bli_arch_string(arch_t)` in BLIS's headers.
        let name = unsafe { TextOf::find(library, "bli_arch_string") }?;
        // SAFETY: the library is borrowed, and BLIS itself returned the argument.
        unsafe { name.call(id) }
    });
    let serial = layer == "disabled";
    Description {
        version,
        threading_layer: Some(layer.to_owned()),
        architecture,
        interface: PLAIN.interface(match ask(library, "bli_info_get_blas_int_type_size") {
            Some(32) => Integers::Lp64,
            Some(64) => Integers::Ilp64,
            _ => Integers::Unknown,
        }),
        max_threads: serial.then_some(1),
        concurrent_callers: ConcurrentCallers::Safe,
        pool: match (serial, get) {
            (true, _) => Pool::Fixed(1),
            (false, Some(get)) => Pool::Asked(Reader::C(get)),
            (false, None) => Pool::Silent,
        },
        process: if serial {
            None
        } else {
            get.zip(set).map(|(get, set)| Functions::Plain { get, set })
        },
        // Newer versions keep the number per thread under the same name: the probe finds out.
        thread: None,
        flexiblas: None,
    }
}

fn ask(library: &Library, question: &str) -> Option<i32> {
    // SAFETY: BLIS's information functions are `int (void)` or return a wider integer or an enumeration, of which the
    // low 32 bits are read, as they are on the supported ABIs.
    let function = unsafe { GetInt::find(library, question) }?;
    // SAFETY: the library is borrowed.
    Some(unsafe { function.call() })
}
