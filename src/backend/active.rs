//! Which backend is current, and who has to hear when that changes.
//!
//! Invariants: [`ACTIVE`] is null or a backend that is never freed; once it is not null it changes under [`CHANGE`] only. A slot that was
//! filled for a backend which is no longer current is emptied again: whoever fills one looks at [`GENERATION`] before and
//! after, and the switch counts it up before it empties them.

use super::choice::{Choice, KNOWN};
use super::{Backend, Inner};
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static ACTIVE: AtomicPtr<Inner> = AtomicPtr::new(std::ptr::null_mut());
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// All backends that were opened: one that is chosen again is the same.
static CHANGE: Mutex<Vec<Backend>> = Mutex::new(Vec::new());

/// The current one, if one was found.
#[inline]
pub(super) fn active() -> Option<Backend> {
    let active = ACTIVE.load(Ordering::Acquire);
    // SAFETY: null, or made by `Backend::open` from a box that is never freed.
    unsafe { active.as_ref() }.map(Backend)
}

pub(super) fn current() -> Result<Backend> {
    if let Some(active) = active() {
        return Ok(active);
    }
    let mut opened = lock();
    if let Some(active) = active() {
        return Ok(active);
    }
    let found = match config::backend()? {
        // SAFETY: the user named it as a BLAS for this program.
        Some(choice) => unsafe { open(&choice, &mut opened) }.map_err(|error| {
            Error::new(error.kind(), format!("THREADCTL_BACKEND={choice}: {error}"))
        })?,
        None => usual(&mut opened)?,
    };
    publish(found);
    Ok(found)
}

/// # Safety
/// As for [`switch`](super::switch).
pub(super) unsafe fn switch(choice: &Choice) -> Result<Backend> {
    let mut opened = lock();
    // SAFETY: our caller's promise.
    let found = unsafe { open(choice, &mut opened) }?;
    publish(found);
    Ok(found)
}

/// The generation that a slot is filled in.
pub(super) fn generation() -> u64 {
    GENERATION.load(Ordering::SeqCst)
}

fn lock() -> MutexGuard<'static, Vec<Backend>> {
    CHANGE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn publish(backend: Backend) {
    if active().is_some_and(|active| active.is(backend)) {
        return;
    }
    tracing::info!(%backend, "the backend of BLAS and LAPACK");
    ACTIVE.store(std::ptr::from_ref(backend.0).cast_mut(), Ordering::SeqCst);
    GENERATION.fetch_add(1, Ordering::SeqCst);
    super::covered::direct::renew();
    super::supply::empty_slots();
    // Last, for its routines find the backend through ACTIVE.
    backend.bind();
}

/// Makes it the current one where there is none. Nobody has a slot that was filled for another one then.
pub(super) fn adopt(backend: Backend) {
    let new = std::ptr::from_ref(backend.0).cast_mut();
    let _ = ACTIVE.compare_exchange(
        std::ptr::null_mut(),
        new,
        Ordering::SeqCst,
        Ordering::SeqCst,
    );
}

/// # Safety
/// As for [`switch`](super::switch).
unsafe fn open(choice: &Choice, opened: &mut Vec<Backend>) -> Result<Backend> {
    if let Some(known) = opened.iter().find(|known| known.0.choice == *choice) {
        return Ok(*known);
    }
    // SAFETY: our caller's promise.
    let backend = unsafe { Backend::open(choice) }?;
    opened.push(backend);
    Ok(backend)
}

/// The first that works of those that are known.
fn usual(opened: &mut Vec<Backend>) -> Result<Backend> {
    let mut tried = Vec::new();
    for known in KNOWN {
        // SAFETY: what the system has under the names of BLAS libraries, as a program that links one would open it.
        match unsafe { open(&Choice::of(known), opened) } {
            Ok(backend) => return Ok(backend),
            Err(error) => {
                tracing::debug!(name = known.name, %error, "no backend");
                tried.push(format!("{}: {error}", known.name));
            }
        }
    }
    let packages: Vec<&str> = KNOWN.iter().map(|known| known.install).collect();
    Err(Error::new(
        ErrorKind::System,
        format!(
            "no BLAS library was found. Install one of {}, or name one in THREADCTL_BACKEND. Tried were:\n{}",
            packages.join("; "),
            tried.join("\n")
        ),
    ))
}
