//! One setting of one held library: read it, change it, put it back.
//!
//! Invariant: a [`Setting`] holds the library that its functions belong to, so its methods are safe to call for as
//! long as it lives, even if the program has closed the library meanwhile.

use super::describe::{Functions, Reader};
use crate::sys::library::Library;
use std::sync::Arc;

/// A number of threads that can be read and set.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    functions: Functions,
    library: Arc<Library>,
}

/// What has to be handed back to a [`Setting`] to restore it: not always a number of threads (BLIS's -1, MKL's 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved(i32);

impl Setting {
    pub(super) fn new(functions: Functions, library: Arc<Library>) -> Self {
        Setting { functions, library }
    }

    /// Settings with one key are one value, though several runtimes may lead to it.
    pub(crate) fn key(&self) -> usize {
        self.functions.key()
    }

    /// The value in force for the calling thread, as the library means it: anything below 1 is one thread.
    pub(crate) fn get(&self) -> u32 {
        let _held = &self.library;
        match &self.functions {
            // SAFETY: `self.library` is held.
            Functions::Plain { get, .. } => threads(unsafe { get.call() }),
            // SAFETY: as above.
            Functions::ReturnsPrevious { get, .. } => threads(unsafe { get.call() }),
            Functions::Custom(controller) => controller.num_threads(),
        }
    }

    /// Asks for `threads`; the library may take another number, which [`get`](Setting::get) tells.
    pub(crate) fn set(&self, threads: u32) {
        self.write(i32::try_from(threads).unwrap_or(i32::MAX));
    }

    /// What [`restore`](Setting::restore) needs to bring the present state back.
    pub(crate) fn save(&self) -> Saved {
        Saved(match &self.functions {
            // SAFETY: `self.library` is held.
            Functions::Plain { get, .. } => unsafe { get.call() },
            Functions::ReturnsPrevious { set, .. } => {
                // Only by setting is it told; the second call undoes the first, for this thread alone.
                // SAFETY: `self.library` is held.
                let previous = unsafe { set.call(0) };
                // SAFETY: as above.
                unsafe { set.call(previous) };
                previous
            }
            Functions::Custom(controller) => {
                i32::try_from(controller.num_threads()).unwrap_or(i32::MAX)
            }
        })
    }

    /// Brings a saved state back.
    pub(crate) fn restore(&self, saved: Saved) {
        self.write(saved.0);
    }

    /// Runs `ask` while the calling thread has no value of its own, where such a value goes before the process's and
    /// would hide it. Only for a thread's setting.
    pub(crate) fn aside<T>(&self, ask: impl FnOnce() -> T) -> T {
        let Functions::ReturnsPrevious { set, .. } = &self.functions else {
            return ask();
        };
        // SAFETY: `self.library` is held.
        let previous = unsafe { set.call(0) };
        let answer = ask();
        if previous != 0 {
            // SAFETY: as above.
            unsafe { set.call(previous) };
        }
        answer
    }

    fn write(&self, value: i32) {
        match &self.functions {
            // SAFETY: `self.library` is held.
            Functions::Plain { set, .. } => unsafe { set.call(value) },
            Functions::ReturnsPrevious { set, .. } => {
                // SAFETY: as above.
                unsafe { set.call(value) };
            }
            Functions::Custom(controller) => {
                controller.set_num_threads(value.max(1).unsigned_abs())
            }
        }
    }
}

impl Reader {
    /// The number, while `_held` is the library it came from.
    pub(super) fn read(&self, _held: &Library) -> u32 {
        match self {
            // SAFETY: `_held` keeps the library mapped.
            Reader::C(get) => threads(unsafe { get.call() }),
            Reader::Custom(controller) => controller.num_threads(),
        }
    }
}

/// BLIS and FlexiBLAS say -1 when nobody has set a number; they run one thread then.
fn threads(raw: i32) -> u32 {
    u32::try_from(raw).unwrap_or(1).max(1)
}
