//! What happens when a library tells its caller of a wrong argument: it calls `xerbla_`, which may be the program's own and may leave by
//! `longjmp`, as R's does. Then nobody puts back what calls under way have changed, so that is done before.
//!
//! The library's references to `xerbla_` are led here, and from here on to where they led. Invariants: each reference leads on to the very
//! definition that it had, or is left alone where that cannot be told; nothing of ours that has to be undone is on the stack of
//! [`told`] when the handler runs.

use crate::dispatch::under_way::settle;
use crate::sys::library::Library;
use crate::sys::objects::{LoadedObject, loaded_objects, origin};
use crate::sys::rebind::{global, rebind, values};
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "xerbla_";

/// `SRNAME`, `INFO`, and the length of the former.
type Handler = unsafe extern "C" fn(*const c_char, *const c_void, usize);

/// The definition that all libraries find first; 0 until one is led here.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn told(routine: *const c_char, info: *const c_void, length: usize) {
    settle();
    // SAFETY: references lead here after it was written: a function of this name.
    let handler = unsafe { std::mem::transmute::<usize, Handler>(HANDLER.load(Ordering::Acquire)) };
    // SAFETY: what the library called it with.
    unsafe { handler(routine, info, length) }
}

/// Leads the errors of the library that has `own`, and of those that belong to it, by here, as far as they are called by name.
///
/// # Safety
/// These are libraries of BLAS or LAPACK, and never unloaded.
pub(super) unsafe fn lead(own: &LoadedObject) {
    let Some(handler) = global(NAME) else {
        return;
    };
    let first = HANDLER.compare_exchange(0, handler, Ordering::AcqRel, Ordering::Acquire);
    if first.is_err_and(|known| known != handler) {
        return;
    }
    for object in loaded_objects().1 {
        let is_own = object.base == own.base;
        // MKL loads the libraries that it consists of one by one, by these names.
        let is_mkl = |object: &LoadedObject| {
            let name = object.name.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("libmkl_"))
        };
        if !(is_own || is_mkl(&object) && is_mkl(own)) {
            continue;
        }
        let of_its_own = Library::hold(&object.name)
            .and_then(|library| library.symbol(NAME))
            .map(|it| it.as_ptr() as usize);
        let leads_there = |value: usize| {
            // Or nowhere yet: to code of its own that asks the loader, which does not look there before all others.
            let is_inside = origin(value).is_some_and(|it| it.base == object.base);
            value == handler || (is_inside && Some(value) != of_its_own)
        };
        let values = values(&object, NAME);
        if values.is_empty() || !values.into_iter().all(leads_there) {
            continue;
        }
        let targets = [(NAME, told as *const () as usize)];
        // SAFETY: our caller's promise; the function does what the one before did.
        if let Err(error) = unsafe { rebind(&object, &targets) } {
            tracing::warn!(library = %object.name.display(), %error, "a program's own xerbla_ must not leave it by longjmp");
        }
    }
}
