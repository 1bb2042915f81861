//! Admission of callers that are no rayon workers: no more at once than there are cores.
//!
//! Nothing bounds how many threads of a program call BLAS at once, so those above the cores sleep here instead of
//! fighting for them. Invariants: a caller that waits is in the queue; whoever leaves wakes the first of it; a caller
//! that has waited for [`HUNGRY`] is overtaken by nobody any more.
//!
//! Those who come by may overtake the ones who sleep, for otherwise each core would idle for as long as a wake-up takes
//! after every call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// From when on a caller that waits is not overtaken.
const HUNGRY: Duration = Duration::from_millis(1);

/// Counts the outside callers that are in.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inside: usize,
    queue: VecDeque<Arc<Waiter>>,
}

struct Waiter {
    since: Instant,
    admitted: AtomicBool,
    thread: Thread,
}

impl Waiter {
    fn hungry(&self) -> bool {
        self.since.elapsed() >= HUNGRY
    }
}

impl Gate {
    /// Waits until fewer than `cores` callers are in, and is one of them then; at most for `patience`, when the caller
    /// may hold what those who are in wait for.
    pub fn enter(&self, cores: usize, patience: Option<Duration>) {
        let mut state = self.lock();
        if state.admits(cores) {
            state.inside += 1;
            return;
        }
        let me = Arc::new(Waiter {
            since: Instant::now(),
            admitted: AtomicBool::new(false),
            thread: thread::current(),
        });
        state.queue.push_back(Arc::clone(&me));
        loop {
            drop(state);
            match patience {
                None => thread::park(),
                Some(patience) => {
                    thread::park_timeout(patience.saturating_sub(me.since.elapsed()));
                }
            }
            state = self.lock();
            // Relaxed: under the lock.
            if me.admitted.load(Ordering::Relaxed) {
                return;
            }
            let first = state
                .queue
                .front()
                .is_some_and(|front| Arc::ptr_eq(front, &me));
            let given_up = patience.is_some_and(|patience| me.since.elapsed() >= patience);
            if given_up || state.inside < cores && (first || state.admits(cores)) {
                state.queue.retain(|waiter| !Arc::ptr_eq(waiter, &me));
                state.inside += 1;
                return;
            }
        }
    }

    /// One of those who are in leaves.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.inside -= 1;
        let Some(front) = state.queue.front() else {
            return;
        };
        if front.hungry() {
            // It takes our place before anybody else can.
            front.admitted.store(true, Ordering::Relaxed);
            front.thread.unpark();
            state.queue.pop_front();
            state.inside += 1;
        } else {
            front.thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether somebody who comes by may go in.
    fn admits(&self, cores: usize) -> bool {
        self.inside < cores && !self.queue.front().is_some_and(|front| front.hungry())
    }
}
