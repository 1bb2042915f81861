//! The C interface: the functions of `include/threadctl.h`, where they are documented for those who call them.
//!
//! Invariants: nothing unwinds into C ([`status::answer`] catches it) and nothing ends the process; out-parameters are
//! written only on success; a pointer from the caller is used during the call that it came with, and never kept. Adding a
//! function here means a prototype in the header, which a test holds against the symbols of the library.

mod documents;
mod registry;
mod status;

use registry::Scope;
use status::{Failure, Status, answer};
use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::ptr::NonNull;
use threadctl::Limits;

/// `THREADCTL_STRICT`.
const STRICT: c_uint = 1;

/// Begins limits.
///
/// # Safety
/// `limits` is null or a C string; `limit` is null or a place for the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadctl_limit_begin(
    limits: *const c_char,
    scope: c_int,
    options: c_uint,
    limit: *mut u64,
) -> c_int {
    answer(|| {
        let out = place("limit", limit)?;
        let scope = Scope::of_code(scope)?;
        if options & !STRICT != 0 {
            return Err(Failure::argument(format!(
                "options {options:#x}: there is 0 and THREADCTL_STRICT ({STRICT})"
            )));
        }
        // SAFETY: the caller's promise.
        let text = unsafe { text("limits", limits) }?;
        let limits: Limits = text.parse()?;
        let limits = limits.strict(options & STRICT != 0);
        let handle = registry::begin(&limits, scope)?;
        // SAFETY: not null, and the caller's place for a handle.
        unsafe { out.write(handle) };
        Ok(())
    })
}

/// Ends limits.
#[unsafe(no_mangle)]
pub extern "C" fn threadctl_limit_end(limit: u64) -> c_int {
    answer(|| registry::end(limit))
}

/// What became of limits.
///
/// # Safety
/// `json` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadctl_limit_outcome(limit: u64, json: *mut *mut c_char) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| unsafe { give(json, || registry::outcome(limit)) })
}

/// The runtimes of the process.
///
/// # Safety
/// `json` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadctl_info(json: *mut *mut c_char) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| unsafe { give(json, documents::info) })
}

/// How many cores there are.
///
/// # Safety
/// `count` is null or a place for the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadctl_cores(count: *mut u32) -> c_int {
    answer(|| {
        let out = place("count", count)?;
        let cores = threadctl::cores().count();
        // SAFETY: not null, and the caller's place for a number.
        unsafe { out.write(cores) };
        Ok(())
    })
}

/// How many cores there are, and why.
///
/// # Safety
/// `json` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadctl_cores_info(json: *mut *mut c_char) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| unsafe { give(json, documents::cores) })
}

/// Takes a text back.
///
/// # Safety
/// `text` is null, or came from a function of this interface and was not given back before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadctl_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: made by `give`, which left it to the caller.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// What was wrong last in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn threadctl_last_error() -> *const c_char {
    status::last_error()
}

/// The version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn threadctl_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// An out-parameter.
fn place<T>(name: &str, pointer: *mut T) -> Result<NonNull<T>, Failure> {
    NonNull::new(pointer).ok_or_else(|| null(name))
}

fn null(name: &str) -> Failure {
    Failure::argument(format!("the argument `{name}` is a null pointer"))
}

/// A text of the caller.
///
/// # Safety
/// `pointer` is null or a C string that stays as it is for `'a`.
unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: not null, hence a C string by our caller's promise.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|_| {
        Failure::argument(format!(
            "the argument `{name}` is not UTF-8: {:?}",
            bytes.to_string_lossy()
        ))
    })
}

/// Leaves a text to the caller.
///
/// # Safety
/// `out` is null or a place for a pointer.
unsafe fn give(
    out: *mut *mut c_char,
    make: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let out = place("json", out)?;
    // JSON has no NUL bytes of its own: it writes them as \u0000.
    let text =
        CString::new(make()?).map_err(|error| Failure::new(Status::Internal, error.to_string()))?;
    // SAFETY: not null, hence a place for a pointer by our caller's promise.
    unsafe { out.write(text.into_raw()) };
    Ok(())
}
