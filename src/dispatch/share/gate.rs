//! Admission of callers that are no rayon workers: no more at once than there are cores, and none beside helpers that
//! could give it their core.
//!
//! Nothing bounds how many threads of a program call BLAS at once, so those above the cores sleep here instead of
//! fighting for them. Invariants: a caller that waits is in the queue; whoever makes room calls the first of it, or is
//! counted as returning and calls it when it comes back; a caller that goes in from the queue calls the next if there is room
//! for it; one that has waited for [`HUNGRY`] is overtaken by nobody any more but those who come back within their [`TURN`].
//!
//! Those who come by may overtake the ones who sleep, for otherwise each core would idle for as long as a wake-up takes
//! after every call. A caller that comes back and has to wait calls the next one to the very CPU that it is on (see
//! `place.rs`), since it is about to sleep itself: one that was called when it left would share that CPU with it until then.

use super::load::Load;
use super::place::{Calm, Home, Sent};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// From when on a caller that waits is not overtaken by those whose turn it is not.
const HUNGRY: Duration = Duration::from_millis(1);

/// For how long a thread that comes back at once goes on, although somebody has waited longer than that. Where there are more
/// callers than cores, each call would end with a switch of threads otherwise.
const TURN: Duration = Duration::from_millis(5);

/// How long the first of the queue sleeps before it looks whether somebody who was to come back did not; the second, twice
/// as long, and so on.
const WATCH: Duration = Duration::from_millis(10);

/// How long a caller waits while tiles are under way that may want something that it holds.
const PATIENCE: Duration = Duration::from_millis(100);

/// After how long at the most a caller finds out that such tiles have begun since it fell asleep, or that it is the first of the
/// queue by now and nobody comes back.
const OVERSLEPT: Duration = Duration::from_millis(250);

/// Where one thread sleeps.
#[derive(Default)]
pub struct Bed(Condvar);

/// Since when one thread has gone on while others wait: when it came in from the queue, or first overtook one that may not be
/// overtaken any more.
#[derive(Default)]
pub struct Turn(Cell<Option<Instant>>);

impl Turn {
    /// Whether it is not over; it begins if it has not begun.
    fn goes_on(&self) -> bool {
        if let Some(began) = self.0.get() {
            return began.elapsed() < TURN;
        }
        self.0.set(Some(Instant::now()));
        true
    }
}

/// How long one that has so many before it in the queue, and has waited so long, sleeps if nobody calls it. Whoever wakes for nothing waits
/// for a core until a call ends, as others would have to behind it.
fn rest(before: usize, waited: Duration, unknown: bool) -> Duration {
    let watch = WATCH.saturating_mul(u32::try_from(before + 1).unwrap_or(u32::MAX));
    let most = if unknown {
        PATIENCE.saturating_sub(waited)
    } else {
        OVERSLEPT
    };
    watch.min(most)
}

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
    /// Those who left and are believed to come back at once.
    returning: usize,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    since: Instant,
    /// It was called and has not looked yet: calling again would be for nothing.
    called: bool,
    /// It was called to the CPU of whoever called it, and has not looked yet.
    sent: Option<Sent>,
    home: Home,
    bed: Arc<Bed>,
}

impl Gate {
    /// Waits until fewer than `cores` callers are in and a core is free, and is one of them then. The wait ends after
    /// [`PATIENCE`], or [`OVERSLEPT`], while calls with unknown tiles are under way: what those wait for may be what we hold.
    /// `returns` if it left in the belief that it would be back at once; `turn` is the thread's own.
    pub fn enter(&self, load: &Load, cores: usize, bed: &Arc<Bed>, returns: bool, turn: &Turn) {
        let mut state = self.lock();
        state.returning = state.returning.saturating_sub(usize::from(returns));
        if state.queue.is_empty() {
            turn.0.set(None);
        }
        if state.inside < cores
            && (!state.hungry() || (returns && turn.goes_on()))
            && load.enter(cores)
        {
            state.inside += 1;
            return;
        }
        let since = Instant::now();
        let calm = Calm::begin();
        state.queue.push_back(Waiter {
            since,
            called: false,
            sent: None,
            home: Home::here(&calm),
            bed: Arc::clone(bed),
        });
        load.queue();
        let mut by_itself = false;
        loop {
            let waited = since.elapsed();
            let Some(at) = state.find(bed) else {
                // Unreachable: only we take ourselves out of the queue. It must not be waited for a call that never comes.
                load.force_queued();
                break;
            };
            let waiter = &mut state.queue[at];
            waiter.called = false;
            if let Some(sent) = waiter.sent.take() {
                sent.restore();
            }
            let turn = at == 0 || !state.hungry();
            let unknown = self.unknown.load(Ordering::Relaxed) > 0;
            let impatient = unknown && waited >= PATIENCE;
            if turn && state.inside < cores && load.enter_queued(cores) {
                if by_itself {
                    // Nobody called us, so those who were to come back have not.
                    state.returning = 0;
                }
                break;
            }
            if impatient {
                load.force_queued();
                break;
            }
            // We are about to sleep, so whoever may come in instead of us has our CPU to itself.
            if at > 0 && state.inside < cores && load.admits(cores) {
                state.call(true);
            }
            let (woken, timeout) = bed
                .0
                .wait_timeout(state, rest(at, waited, unknown))
                .unwrap_or_else(PoisonError::into_inner);
            by_itself = timeout.timed_out();
            state = woken;
        }
        state.inside += 1;
        if let Some(at) = state.find(bed) {
            state.queue.remove(at);
        }
        if state.inside + state.returning < cores && load.admits(cores) {
            // Our CPU is not free.
            state.call(false);
        }
        drop(state);
        drop(calm);
        turn.0.set(Some(Instant::now()));
    }

    /// One of those who are in leaves. If somebody waits, and this one `returns` at once, it is then that the first of the
    /// queue is called, to a CPU that is about to be free. Says whether it is so.
    pub fn leave(&self, load: &Load, returns: bool) -> bool {
        let mut state = self.lock();
        state.inside -= 1;
        load.end();
        let returns = returns && !state.queue.is_empty();
        if returns {
            state.returning += 1;
        } else {
            state.call(false);
        }
        returns
    }

    /// One that left in the belief that it would be back will not come.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.returning = state.returning.saturating_sub(1);
        state.call(false);
    }

    /// A core has become free: calls the first of the queue.
    pub fn call(&self) {
        self.lock().call(false);
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

    /// Calls the first, to the caller's CPU if that becomes `free`.
    fn call(&mut self, free: bool) {
        if let Some(front) = self.queue.front_mut()
            && !front.called
        {
            front.called = true;
            // On the CPU where it fell asleep somebody else may be by now.
            front.sent = if free { front.home.call_here() } else { None };
            front.bed.0.notify_one();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::place::policy;
    use super::*;
    use rustix::thread::{CpuSet, sched_getaffinity};
    use std::sync::mpsc;

    /// Where the calling thread may be, and how it is scheduled.
    fn terms() -> (CpuSet, Option<i32>) {
        (sched_getaffinity(None).unwrap(), policy())
    }

    /// One is in, another one waits; the first leaves as told. Returns whether the second, which got in, is scheduled as
    /// before.
    fn second_gets_in(leave: impl FnOnce(&Gate, &Load)) -> bool {
        let (gate, load) = (Gate::default(), Load::default());
        gate.enter(&load, 1, &Arc::default(), false, &Turn::default());
        std::thread::scope(|scope| {
            let (told, hears) = mpsc::channel();
            let (gate, load) = (&gate, &load);
            scope.spawn(move || {
                let before = terms();
                gate.enter(load, 1, &Arc::default(), false, &Turn::default());
                told.send(terms() == before).unwrap();
                gate.leave(load, false);
            });
            while gate.lock().queue.is_empty() {
                std::thread::yield_now();
            }
            leave(gate, load);
            // Long enough for any machine; the thread would hang where it does not get in.
            let as_before = hears.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(gate.lock().returning, 0);
            as_before
        })
    }

    #[test]
    fn whoever_waits_is_called_and_is_scheduled_as_before() {
        assert!(second_gets_in(|gate, load| {
            gate.leave(load, false);
        }));
    }

    #[test]
    fn one_that_was_to_return_and_does_not_is_found_out() {
        assert!(second_gets_in(|gate, load| {
            // Longer than a caller's patience: it goes on looking as often as before.
            std::thread::sleep(2 * PATIENCE);
            assert!(gate.leave(load, true));
        }));
    }

    #[test]
    fn one_that_was_to_return_and_ends_gives_its_place_up() {
        assert!(second_gets_in(|gate, load| {
            gate.leave(load, true);
            gate.abandon();
        }));
    }

    /// One that is in comes back while another one has waited too long to be overtaken; its turn began so long ago. Who got
    /// in first.
    fn first_in(began: Option<Duration>) -> &'static str {
        let (gate, load) = (Gate::default(), Load::default());
        let turn = Turn(Cell::new(
            began.and_then(|ago| Instant::now().checked_sub(ago)),
        ));
        gate.enter(&load, 1, &Arc::default(), false, &Turn::default());
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gate.enter(&load, 1, &Arc::default(), false, &Turn::default());
                order.lock().unwrap().push("waited");
                gate.leave(&load, false);
            });
            while !gate.lock().hungry() {
                std::thread::yield_now();
            }
            assert!(gate.leave(&load, true));
            gate.enter(&load, 1, &Arc::default(), true, &turn);
            order.lock().unwrap().push("returned");
            gate.leave(&load, false);
        });
        assert_eq!(gate.lock().returning, 0);
        order.into_inner().unwrap()[0]
    }

    #[test]
    fn nobody_sleeps_for_longer_than_is_said() {
        let waited = Duration::from_millis(30);
        assert_eq!(rest(0, waited, false), WATCH);
        assert_eq!(rest(5, waited, false), 6 * WATCH);
        for before in [1000, usize::MAX - 1] {
            assert_eq!(rest(before, waited, false), OVERSLEPT);
            assert_eq!(rest(before, waited, true), PATIENCE - waited);
        }
    }

    #[test]
    fn all_who_wait_get_in_when_tiles_begin_that_may_want_what_they_hold() {
        const WAITING: usize = 32;
        let (gate, load) = (Gate::default(), Load::default());
        gate.enter(&load, 1, &Arc::default(), false, &Turn::default());
        std::thread::scope(|scope| {
            for _ in 0..WAITING {
                scope.spawn(|| {
                    gate.enter(&load, 1, &Arc::default(), false, &Turn::default());
                });
            }
            while gate.lock().queue.len() < WAITING {
                std::thread::yield_now();
            }
            // Nobody leaves: the first one is the tile that waits for all the others.
            gate.begin_unknown();
        });
        gate.end_unknown();
        assert_eq!(gate.lock().inside, 1 + WAITING);
    }

    #[test]
    fn one_that_returns_goes_on_while_it_has_its_turn() {
        // Where the other one looks by itself in between, that gets in.
        assert!((0..5).any(|_| first_in(None) == "returned"));
    }

    #[test]
    fn one_that_returns_when_its_turn_is_over_goes_behind_those_who_wait_and_calls_them() {
        assert_eq!(first_in(Some(TURN)), "waited");
    }
}
