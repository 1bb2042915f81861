//! Where forks wait until nobody holds a lock of a library, since in the child nobody would ever give it back.
//!
//! Each [`Gate`] counts those who are in one piece of code that takes such locks. Whoever forks closes all gates, waits until nobody is
//! inside, and opens them again in the parent and in the child.
//!
//! Invariants: between [`Gate::enter`] and [`Gate::leave`] a thread waits for nobody outside (what waits there for another thread
//! leaves for as long, see `locks.rs`); a thread that forks passes the closed gates itself, since the library's own handlers of forks run
//! on it; nobody waits longer than [`PATIENCE`], so that a thread that breaks the first rule costs that much and no more; in a child all
//! counts are zero, whatever the parent's threads did.

use super::{buffers, locks};
use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anybody waits for a fork to be over, and a fork for them. It is over as soon as the kernel has copied the process.
const PATIENCE: Duration = Duration::from_millis(200);

/// How many threads are forking.
static FORKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread is one of them.
    static FORKS: Cell<bool> = const { Cell::new(false) };
}

/// Alone on its cache lines: every call of a library writes here.
#[repr(align(128))]
pub(super) struct Gate {
    inside: AtomicUsize,
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self {
            inside: AtomicUsize::new(0),
        }
    }

    /// Goes in, unless somebody forks: then afterwards.
    pub(super) fn enter(&self) {
        // Both orders are total: either we see the fork, or who forks sees us.
        self.inside.fetch_add(1, Ordering::SeqCst);
        if self.is_closed() {
            self.give_way();
        }
    }

    /// Goes in although somebody forks: for who has the lock already.
    pub(super) fn enter_at_once(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::Release);
    }

    /// Goes out until nobody forks any more.
    #[cold]
    pub(super) fn give_way(&self) {
        let began = Instant::now();
        loop {
            self.leave();
            while FORKING.load(Ordering::Relaxed) > 0 && began.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            self.enter_at_once();
            if FORKING.load(Ordering::SeqCst) == 0 || began.elapsed() >= PATIENCE {
                return;
            }
        }
    }

    /// Whether somebody else forks.
    pub(super) fn is_closed(&self) -> bool {
        FORKING.load(Ordering::SeqCst) > 0 && !FORKS.get()
    }

    /// Until nobody is inside but `own` threads.
    fn wait_until_empty(&self, own: usize, began: Instant) {
        while self.inside.load(Ordering::SeqCst) > own && began.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    fn reset(&self) {
        self.inside.store(0, Ordering::Relaxed);
    }
}

/// Nobody is inside when this returns, and nobody goes in.
extern "C" fn before_fork() {
    FORKS.set(true);
    buffers::end_threads();
    FORKING.fetch_add(1, Ordering::SeqCst);
    let began = Instant::now();
    buffers::gates().for_each(|gate| gate.wait_until_empty(0, began));
    // A library's own handler may have taken its locks on this very thread, to give them back afterwards.
    locks::gate().wait_until_empty(locks::here(), began);
}

extern "C" fn in_parent() {
    FORKS.set(false);
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn in_child() {
    FORKS.set(false);
    FORKING.store(0, Ordering::Relaxed);
    buffers::gates().for_each(Gate::reset);
    locks::gate().reset();
    buffers::give_back();
    locks::forget();
}

/// Has forks watched. Before a library is loaded that has handlers of its own, so that these run before ours: what they make
/// the library do is over then.
pub(crate) fn watch_forks() {
    static WATCHING: Once = Once::new();
    // SAFETY: the child's handler only stores to atomics and cells, which is allowed there. If they cannot be registered for want of
    // memory, a child that was forked at a bad moment waits.
    WATCHING.call_once(|| unsafe {
        libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child));
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// Forks in one process can wait for each other's gates, so one test has all cases.
    #[test]
    fn who_forks_waits_for_those_inside_and_those_wait_for_the_fork() {
        static GATE: Gate = Gate::new();
        GATE.enter();
        GATE.wait_until_empty(0, Instant::now());
        assert_eq!(GATE.count(), 1, "patience ended");
        GATE.leave();

        FORKING.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        let entered = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                GATE.enter();
                entered.store(true, Ordering::SeqCst);
                GATE.leave();
                began.elapsed()
            });
            // The fork is long for one.
            std::thread::sleep(PATIENCE / 4);
            let early = entered.load(Ordering::SeqCst);
            FORKING.fetch_sub(1, Ordering::SeqCst);
            let took = other.join().unwrap();
            // A machine that stops this thread for so long makes the other one go on by itself.
            assert!(!early || took >= PATIENCE, "{took:?}");
        });
        assert_eq!(GATE.count(), 0);

        FORKING.fetch_add(1, Ordering::SeqCst);
        FORKS.set(true);
        let began = Instant::now();
        GATE.enter();
        GATE.leave();
        FORKS.set(false);
        FORKING.fetch_sub(1, Ordering::SeqCst);
        assert!(began.elapsed() < PATIENCE, "who forks passes");
    }
}
