//! What this process has running in shared calls, and what a fork makes of it.
//!
//! Invariants: `running` counts the threads that are callers or helpers, each once, however deep its calls; a helper
//! joins only while that is below the cores, and leaves at a tile's end when it is above them. In a forked child
//! everything here is new, and the thread that forked has no helpers, because no worker of its pool exists there.

use super::gate::Gate;
use crate::sync::{AtomicUsize, Ordering};
use std::cell::Cell;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr};

/// The shared calls of one process.
pub(super) struct Process {
    running: AtomicUsize,
    /// Where callers that are no rayon workers come in.
    pub gate: Gate,
    /// It was forked from a process that had used this.
    pub forked: bool,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
static FORKED: AtomicBool = AtomicBool::new(false);
static WATCH_FORKS: Once = Once::new();

thread_local! {
    /// This thread is the copy of one of the parent's.
    static COPIED: Cell<bool> = const { Cell::new(false) };
}

/// The process that we are in.
pub(super) fn current() -> &'static Process {
    let mut current = CURRENT.load(Ordering::Acquire);
    if current.is_null() {
        WATCH_FORKS.call_once(|| {
            // SAFETY: the handler only stores to atomics and to a thread-local without a destructor, which is allowed
            // in a forked child. If it cannot be registered for want of memory, forked children are not noticed.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        let new = Box::into_raw(Box::new(Process {
            running: AtomicUsize::new(0),
            gate: Gate::default(),
            forked: FORKED.load(Ordering::Relaxed),
        }));
        // Somebody else may have been first; then ours is not used. Neither is ever freed.
        current = match CURRENT.compare_exchange(
            ptr::null_mut(),
            new,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => new,
            Err(first) => first,
        };
    }
    // SAFETY: not null, and what it points to was leaked above.
    unsafe { &*current }
}

/// Whether the calling thread was copied by a fork: it may believe that it is in a pool whose workers do not exist.
pub(super) fn copied() -> bool {
    COPIED.try_with(Cell::get).unwrap_or(true)
}

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
    // Counts and locks of the parent's threads, which will not come back to put them in order.
    CURRENT.store(ptr::null_mut(), Ordering::Relaxed);
    let _ = COPIED.try_with(|copied| copied.set(true));
}

impl Process {
    /// A caller begins.
    pub fn begin(&self) {
        // Relaxed, here and below: a count, through which nothing else is handed over.
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// A caller or a helper has ended.
    pub fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many threads are callers or helpers.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// A helper wants to begin: counted if a core is left.
    pub fn join(&self, cores: usize) -> bool {
        self.running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                (running < cores).then_some(running + 1)
            })
            .is_ok()
    }

    /// A helper asks whether it must go because others need the core: then it is not counted any more.
    pub fn retire(&self, cores: usize) -> bool {
        self.running() > cores
            && self
                .running
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                    (running > cores).then_some(running - 1)
                })
                .is_ok()
    }
}
