//! For the faces that supply BLAS and LAPACK symbols: what a symbol stands for, and who is told when that changes.
//!
//! A face has a slot for each symbol, which holds the address that calls of the symbol jump to. Empty slots hold the face's
//! resolver, which asks [`fill`] at the first call. Not for programs.

use super::active::{active, current, generation};
pub use super::own::{Own, own_symbols};
use super::{Backend, covered};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The slots of one face.
///
/// ```
/// use std::sync::atomic::AtomicPtr;
/// use threadctl::backend::supply::Slots;
/// static SLOT: [AtomicPtr<()>; 1] = [AtomicPtr::new(std::ptr::null_mut())];
/// let slots = Slots { slots: &SLOT, empty: std::ptr::null_mut() };
/// assert_eq!(slots.slots.len(), 1);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// They live for good.
    pub slots: &'static [AtomicPtr<()>],
    /// What an empty one holds.
    pub empty: *mut (),
}

// SAFETY: the pointer is the address of code, which is not read through it.
unsafe impl Send for Slots {}

/// Those who have slots.
static FACES: Mutex<Vec<Slots>> = Mutex::new(Vec::new());

/// What ends a call that cannot be computed.
static ON_FAILURE: OnceLock<fn(&Error) -> !> = OnceLock::new();

/// Has the slots emptied at each change of the backend, and calls that cannot be computed ended by `on_failure`: a BLAS
/// routine has no way to return an error, and must not return as if it had computed. The first face's word counts.
///
/// ```
/// use threadctl::backend::supply::{Slots, register};
/// register(Slots { slots: &[], empty: std::ptr::null_mut() }, |error| panic!("{error}"));
/// ```
pub fn register(slots: Slots, on_failure: fn(&Error) -> !) {
    let _ = ON_FAILURE.set(on_failure);
    let mut faces = FACES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |face: &Slots| std::ptr::eq(face.slots, slots.slots);
    if !faces.iter().any(is_same) {
        faces.push(slots);
    }
}

/// Fills a slot with what calls of `name` are to jump to, and returns that. `name` is that of the reference libraries; its
/// integers have 64 bits if `wide`.
///
/// # Errors
/// As for [`current`](super::current), and [`ErrorKind::Unsupported`] when the backend does not have the routine.
///
/// ```
/// use std::sync::atomic::AtomicPtr;
/// use threadctl::backend::supply::{Slots, fill};
/// static SLOT: [AtomicPtr<()>; 1] = [AtomicPtr::new(std::ptr::null_mut())];
/// let slots = Slots { slots: &SLOT, empty: std::ptr::null_mut() };
/// assert!(fill(slots, 0, "no_such_routine_", false).is_err());
/// ```
pub fn fill(slots: Slots, slot: usize, name: &str, wide: bool) -> Result<*mut ()> {
    let backend = current()?;
    let before = generation();
    // Asked again, for it may have changed before the generation was read.
    let backend = active().unwrap_or(backend);
    let address = covered::entry(name, wide)
        .or_else(|| {
            backend
                .routine(name, wide)
                .map(|address| address.as_ptr().cast())
        })
        .ok_or_else(|| missing(backend, name, wide))?;
    if let Some(slot) = slots.slots.get(slot) {
        slot.store(address, Ordering::SeqCst);
        if generation() != before {
            slot.store(slots.empty, Ordering::SeqCst);
        }
    }
    Ok(address)
}

/// Counts calls that reach dispatch from now on, from 0, or stops counting: those of the program, and those of routines
/// inside the backend that were bound to dispatch. For tests and diagnosis; counted calls take longer.
///
/// ```
/// threadctl::backend::supply::count_calls(true);
/// assert!(threadctl::backend::supply::calls().is_empty());
/// ```
pub fn count_calls(on: bool) {
    covered::count::switch(on);
}

/// How often each routine was called since counting began, by its name.
///
/// ```
/// let calls = threadctl::backend::supply::calls();
/// println!("{:?}", calls.get("dgemm_"));
/// ```
pub fn calls() -> BTreeMap<String, u64> {
    covered::count::calls()
}

/// Has every symbol ask again.
pub(super) fn empty_slots() {
    let faces = FACES.lock().unwrap_or_else(PoisonError::into_inner);
    for face in &*faces {
        for slot in face.slots {
            slot.store(face.empty, Ordering::SeqCst);
        }
    }
}

/// Ends a call that cannot be computed.
#[cold]
pub(super) fn fail(error: &Error) -> ! {
    match ON_FAILURE.get() {
        Some(on_failure) => on_failure(error),
        // Not reached: covered routines are handed out by `fill`, which faces call after `register`.
        None => std::process::abort(),
    }
}

pub(super) fn missing(backend: Backend, name: &str, wide: bool) -> Error {
    let bits = if wide { 64 } else { 32 };
    let why = if backend.routine(name, !wide).is_some() {
        format!("it has {name} with {}-bit integers only", 96 - bits)
    } else {
        format!("it has no {name}")
    };
    let package = match name {
        _ if name.starts_with("LAPACKE_") => "liblapacke",
        _ if name.starts_with("cblas_") => "libopenblas0-pthread or libblas3",
        _ => "libopenblas0-pthread or liblapack3",
    };
    let add = match name {
        _ if name.starts_with("LAPACKE_") => "liblapacke.so.3",
        _ => "liblapack.so.3",
    };
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "{name} with {bits}-bit integers was called, and the backend {backend} cannot compute it: {why}. Debian and \
             Ubuntu have it in {package}; a library is added by THREADCTL_BACKEND={}:{add}",
            backend.name()
        ),
    )
}
