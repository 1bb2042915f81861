//! Admission of callers that are no rayon workers: no more at once than there are cores, and none beside helpers that
//! could give it their core.
//!
//! Nothing bounds how many threads of a program call BLAS at once, so those above the cores sleep here instead of
//! fighting for them. Invariants: a caller that waits is in the queue; whoever makes room calls the first of it; a caller
//! that goes in from the queue calls the next if there is room for it; one that has waited for [`HUNGRY`] is overtaken by nobody any more.
//!
//! Those who come by may overtake the ones who sleep, for otherwise each core would idle for as long as a wake-up takes
//! after every call.

use super::load::Load;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// From when on a caller that waits is not overtaken.
const HUNGRY: Duration = Duration::from_millis(1);

/// How long a caller waits while tiles are under way that may want something that it holds.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where one thread sleeps.
#[derive(Default)]
pub struct Bed(Condvar);

/// Counts the outside callers that are in.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    /// How many shared calls are under way whose tiles may wait for anything, such as a lock.
    unknown: AtomicUsize,
}

#[derive(Default)]
struct State {
    inside: usize,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    since: Instant,
    /// It was called and has not looked yet: calling again would be for nothing.
    called: bool,
    bed: Arc<Bed>,
}

impl Gate {
    /// Waits until fewer than `cores` callers are in and a core is free, and is one of them then. The wait ends after
    /// [`PATIENCE`] while calls with unknown tiles are under way: what those wait for may be what we hold.
    pub fn enter(&self, load: &Load, cores: usize, bed: &Arc<Bed>) {
        let mut state = self.lock();
        if state.inside < cores && !state.hungry() && load.enter(cores) {
            state.inside += 1;
            return;
        }
        let since = Instant::now();
        state.queue.push_back(Waiter {
            since,
            called: false,
            bed: Arc::clone(bed),
        });
        load.queue();
        loop {
            let waited = since.elapsed();
            let Some(at) = state.find(bed) else {
                // Unreachable: only we take ourselves out of the queue.
                return;
            };
            let turn = at == 0 || !state.hungry();
            let impatient = waited >= PATIENCE && self.unknown.load(Ordering::Relaxed) > 0;
            if turn && state.inside < cores && load.enter_queued(cores) {
                break;
            }
            if impatient {
                load.force_queued();
                break;
            }
            state.queue[at].called = false;
            // Beyond its patience, a caller looks again after as long.
            let rest = PATIENCE.saturating_sub(waited);
            let rest = if rest.is_zero() { PATIENCE } else { rest };
            state = match bed.0.wait_timeout(state, rest) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.inside += 1;
        if let Some(at) = state.find(bed) {
            state.queue.remove(at);
        }
        if state.inside < cores && load.admits(cores) {
            state.call();
        }
    }

    /// One of those who are in leaves.
    pub fn leave(&self, load: &Load) {
        let mut state = self.lock();
        state.inside -= 1;
        load.end();
        state.call();
    }

    /// A core has become free: calls the first of the queue.
    pub fn call(&self) {
        self.lock().call();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins whose tiles may wait for anything.
    pub fn begin_unknown(&self) {
        // Relaxed: whoever is in the gate looks again, and there is no hurry.
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// Such a call has ended.
    pub fn end_unknown(&self) {
        self.unknown.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    fn find(&self, bed: &Arc<Bed>) -> Option<usize> {
        self.queue
            .iter()
            .position(|waiter| Arc::ptr_eq(&waiter.bed, bed))
    }

    /// Whether the first of the queue may not be overtaken any more.
    fn hungry(&self) -> bool {
        self.queue
            .front()
            .is_some_and(|front| front.since.elapsed() >= HUNGRY)
    }

    fn call(&mut self) {
        if let Some(front) = self.queue.front_mut()
            && !front.called
        {
            front.called = true;
            front.bed.0.notify_one();
        }
    }
}
