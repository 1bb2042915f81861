//! The primitives that model-checked protocols are built on: the standard library's, or loom's under `--cfg loom`.
//!
//! Everything else in this crate uses `std::sync` directly: only what the models run has to be visible to loom.

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
};
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
};

use std::sync::PoisonError;

/// Locks, whether or not some thread panicked while it had the lock: what our locks guard is put in order before
/// anything is called that could panic, so it is never left half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be notified, whether or not some thread panicked while it had the lock (see [`lock`]).
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
