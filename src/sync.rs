//! The lock that the ledger is built on: the standard library's, or loom's when its protocol is model-checked.
//!
//! Everything else in this crate uses `std::sync` directly: only what the models run has to be visible to loom.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

use std::sync::PoisonError;

/// Locks, whether or not some thread panicked while it had the lock: what our locks guard is put in order before
/// anything is called that could panic, so it is never left half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
