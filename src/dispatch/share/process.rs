//! What this process has under way in shared calls, and what a fork makes of it.
//!
//! Invariant: in a forked child everything here is new, and the thread that forked has no helpers, because no worker of its
//! pool exists there.

use super::call::Alone;
use super::gate::Gate;
use super::load::Load;
use super::mailbox::Mailbox;
use super::place::Seats;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shared calls of one process.
pub(super) struct Process {
    pub load: Alone<Load>,
    /// Where callers that are no rayon workers come in.
    pub gate: Gate,
    /// The CPUs on which they are.
    pub seats: Seats,
    /// Who is in a kernel of a library that bears one caller at a time.
    pub turn: Mutex<()>,
    /// It was forked from a process that had used this.
    pub forked: bool,
    /// Mailboxes whose threads have ended.
    spare: Mutex<Vec<Arc<Mailbox>>>,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
static FORKED: AtomicBool = AtomicBool::new(false);
static WATCHING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread is the copy of one of the parent's.
    static COPIED: Cell<bool> = const { Cell::new(false) };
}

/// The process that we are in.
pub(super) fn current() -> &'static Process {
    let current = CURRENT.load(Ordering::Acquire);
    if current.is_null() {
        return begin();
    }
    // SAFETY: not null, and what it points to was leaked by `begin`.
    unsafe { &*current }
}

#[cold]
fn begin() -> &'static Process {
    // Not a `Once`: in a child that was forked in the middle of one it would never end.
    // Miri knows no forks.
    if !cfg!(miri) && !WATCHING.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler only stores to atomics and to a thread-local without a destructor, which is allowed in
        // a forked child. If it cannot be registered for want of memory, forked children are not noticed.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
    let new = Box::into_raw(Box::new(Process {
        load: Alone::default(),
        gate: Gate::default(),
        seats: Seats::default(),
        turn: Mutex::default(),
        forked: FORKED.load(Ordering::Relaxed),
        spare: Mutex::default(),
    }));
    // Somebody else may have been first; then ours is not used. Neither is ever freed.
    let current =
        match CURRENT.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(first) => first,
        };
    // SAFETY: not null, and leaked above, by us or by whoever was first.
    unsafe { &*current }
}

/// Whether the calling thread was copied by a fork: it may believe that it is in a pool whose workers do not exist.
pub(super) fn copied() -> bool {
    COPIED.get()
}

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
    // Counts and locks of the parent's threads, which will not come back to put them in order.
    CURRENT.store(ptr::null_mut(), Ordering::Relaxed);
    COPIED.set(true);
}

impl Process {
    /// A helper that has finished is not counted any more.
    pub fn helper_ended(&self) {
        if self.load.0.leave() {
            self.gate.call();
        }
    }

    /// A helper asks at a tile's end whether it must go because others need its core; if so it is not counted any more.
    pub fn helper_retires(&self, cores: usize) -> bool {
        match self.load.0.retire(cores) {
            None => false,
            Some(waiting) => {
                if waiting {
                    self.gate.call();
                }
                true
            }
        }
    }

    /// A caller that did not come in through the gate has ended.
    pub fn caller_ended(&self) {
        if self.load.0.end() {
            self.gate.call();
        }
    }

    /// A mailbox for a thread that is in no pool: one whose thread has ended, since its offer may still be out.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        self.spare().pop().unwrap_or_default()
    }

    /// Takes back a mailbox whose thread ends and has made offers to no pool but the global one.
    pub fn keep(&self, mailbox: Arc<Mailbox>) {
        self.spare().push(mailbox);
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
