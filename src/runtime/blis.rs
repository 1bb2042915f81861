//! BLIS: OpenMP, pthreads and serial builds.
//!
//! -1 means that nobody set a number, which makes one thread; it is what restores. A serial build echoes whatever it
//! is told, although it has no threads. Numbers are `dim_t`, 64 bits wide in usual builds: a -1 given back as 32 bits
//! would be four thousand million threads, and the next call would end the program. A program may also set threads
//! per loop (BLIS_IC_NT and its like), which go before the number: they are read, so that a limit which they defeat is
//! not reported as in force.

use super::describe::{Description, Functions, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::sys::call::{GetInt, GetLong, GetText, SetInt, SetLong, TextOf};
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
    // SAFETY: the catalog's check made sure that this is BLIS; its headers declare the type, and its information
    // functions may be called from any thread.
    let version = unsafe { GetText::find(library, "bli_info_get_version_str") };
    let (reader, functions) = match ask(library, "bli_info_get_int_type_size") {
        Some(32) => narrow(library),
        _ => wide(library),
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
        pool: match (serial, reader) {
            (true, _) => Pool::Fixed(1),
            (false, Some(reader)) => Pool::Asked(reader),
            (false, None) => Pool::Silent,
        },
        process: if serial { None } else { functions },
        // Newer versions keep the number per thread under the same name: the probe finds out.
        thread: None,
        ..Description::default()
    }
}

const GET: &str = "bli_thread_get_num_threads";
const SET: &str = "bli_thread_set_num_threads";

/// The threads of each of BLIS's five loops that can be shared out.
const WAYS: [&str; 5] = [
    "bli_thread_get_jc_nt",
    "bli_thread_get_pc_nt",
    "bli_thread_get_ic_nt",
    "bli_thread_get_jr_nt",
    "bli_thread_get_ir_nt",
];

/// The functions of a build whose `dim_t` has 64 bits.
fn wide(library: &Library) -> (Option<Reader>, Option<Functions>) {
    // SAFETY: `bli_thread.h` declares `dim_t get(void)` and `void set(dim_t)`, callable from any thread.
    let (get, set) = unsafe { (GetLong::find(library, GET), SetLong::find(library, SET)) };
    // SAFETY: as above, `dim_t get(void)`.
    let ways = WAYS.map(|name| unsafe { GetLong::find(library, name) });
    let functions = get
        .zip(set)
        .map(|(get, set)| Functions::Ways { get, set, ways });
    (get.map(Reader::Long), functions)
}

/// The functions of a build whose `dim_t` has 32 bits.
fn narrow(library: &Library) -> (Option<Reader>, Option<Functions>) {
    // SAFETY: as in `wide`, with the other `dim_t`.
    let (get, set) = unsafe { (GetInt::find(library, GET), SetInt::find(library, SET)) };
    let functions = get.zip(set).map(|(get, set)| Functions::Plain { get, set });
    (get.map(Reader::C), functions)
}

fn ask(library: &Library, question: &str) -> Option<i32> {
    // SAFETY: BLIS's information functions are `int (void)` or return a wider integer or an enumeration, of which the
    // low 32 bits are read, as they are on the supported ABIs.
    let function = unsafe { GetInt::find(library, question) }?;
    // SAFETY: the library is borrowed.
    Some(unsafe { function.call() })
}
