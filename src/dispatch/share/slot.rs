//! Where a call is published: helpers enter it, the caller closes it and waits until they have left.
//!
//! The protocol and its proof are in this folder's README. Invariants, for `state`:
//! - the lowest bits count the helpers inside, which changes by a helper's own entering and leaving only;
//! - helpers enter while OPEN is set only; the caller takes it away before it waits, a helper that is inside when there
//!   are no tiles left;
//! - no more helpers are inside than the call wants;
//! - `call` points to a living [`Call`] while OPEN is set or a helper is inside.

use super::call::Call;
use crate::sync::{AtomicPtr, AtomicU32, Condvar, Mutex, Ordering, lock, spin_loop, wait};
use std::ptr;

/// Helpers may enter.
const OPEN: u32 = 1 << 31;
/// The caller sleeps until the last helper has left.
const ASLEEP: u32 = 1 << 30;
/// Where the number of helpers that the call wants begins.
const WANTED: u32 = 15;
/// The helpers inside, and the most that a call can want.
const INSIDE: u32 = (1 << WANTED) - 1;

/// A place where one thread publishes one call at a time.
// Alone on its cache lines: helpers come and go in one slot while the owner uses another.
#[repr(align(128))]
pub struct Slot {
    state: AtomicU32,
    call: AtomicPtr<Call<'static>>,
    /// Guards nothing but the sleep.
    sleep: Mutex<()>,
    left: Condvar,
}

impl Slot {
    /// A slot with nothing in it.
    pub fn new() -> Self {
        Slot {
            state: AtomicU32::new(0),
            call: AtomicPtr::new(ptr::null_mut()),
            sleep: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Publishes `call` while `work` runs: helpers may enter from now on, and all have left when this returns.
    ///
    /// To be called by the slot's owner, not again within `work`; `work` must not unwind (the steps of a call do not).
    pub fn publish(&self, call: &Call<'_>, work: impl FnOnce()) {
        /// Closes also when `work` unwinds after all: no helper may outlive the call.
        struct Closing<'slot>(&'slot Slot);
        impl Drop for Closing<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        self.call.store(
            ptr::from_ref(call).cast_mut().cast::<Call<'static>>(),
            // Relaxed: published by the next line.
            Ordering::Relaxed,
        );
        let wanted = u32::try_from(call.wanted()).map_or(INSIDE, |wanted| wanted.min(INSIDE));
        // Release: a helper that sees OPEN sees the pointer and what it points to.
        self.state
            .store(OPEN | (wanted << WANTED), Ordering::Release);
        let closing = Closing(self);
        work();
        drop(closing);
    }

    /// Takes the call back, and waits for those who are still inside.
    fn close(&self) {
        // Acquire, here and in `wait_briefly`: what the helpers did in the call happened before we go on.
        let mut state = self.state.fetch_and(!OPEN, Ordering::AcqRel);
        if state & INSIDE != 0 {
            state = self.wait_briefly();
        }
        if state & INSIDE != 0 {
            let mut sleep = lock(&self.sleep);
            state = self.state.fetch_or(ASLEEP, Ordering::AcqRel);
            while state & INSIDE != 0 {
                sleep = wait(&self.left, sleep);
                state = self.state.load(Ordering::Acquire);
            }
        }
        // Nobody is inside and nobody can enter: the state is ours alone.
        self.state.store(0, Ordering::Relaxed);
    }

    /// Looks for the last helper to leave, for about as long as going to sleep and being woken would take.
    #[cfg(not(loom))]
    fn wait_briefly(&self) -> u32 {
        /// About what it costs to sleep and be woken, some ten microseconds on either side, so that the wait is at most
        /// twice as long as the better choice. By the clock: the processor's pause in `spin_loop` takes from 10 to
        /// 140 cycles, depending on the model.
        const BRIEFLY: std::time::Duration = std::time::Duration::from_micros(20);

        let since = std::time::Instant::now();
        loop {
            for _ in 0..16 {
                let state = self.state.load(Ordering::Acquire);
                if state & INSIDE == 0 {
                    return state;
                }
                spin_loop();
            }
            if since.elapsed() >= BRIEFLY {
                return self.state.load(Ordering::Acquire);
            }
        }
    }

    /// One look: loom tries every moment for it.
    #[cfg(loom)]
    fn wait_briefly(&self) -> u32 {
        spin_loop();
        self.state.load(Ordering::Acquire)
    }

    /// Whether helpers may enter; only a hint, unless something else orders it.
    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::Relaxed) & OPEN != 0
    }

    /// Lets nobody else in: called by a helper that is inside and found no tile left.
    pub fn exhausted(&self) {
        // Relaxed: nothing is handed over. The call that we are inside is still the one that is published.
        self.state.fetch_and(!OPEN, Ordering::Relaxed);
    }

    /// How many helpers are inside; only a hint.
    pub fn inside(&self) -> usize {
        (self.state.load(Ordering::Relaxed) & INSIDE) as usize
    }

    /// Helps with the call that is published here, if one is: `help` is given the call, and must not keep it.
    pub fn enter(&self, help: impl FnOnce(&Call<'_>)) -> bool {
        /// Leaves also when `help` unwinds: the caller would wait for ever.
        struct Leaving<'slot>(&'slot Slot);
        impl Drop for Leaving<'_> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let full = (state & INSIDE) >= ((state >> WANTED) & INSIDE);
            if state & OPEN == 0 || full {
                return false;
            }
            match self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        let leaving = Leaving(self);
        let call = self.call.load(Ordering::Relaxed);
        // SAFETY: OPEN was set when we entered, so the pointer is that of a call whose owner is inside `publish`, and
        // `publish` does not return before we have left.
        help(unsafe { &*call });
        drop(leaving);
        true
    }

    fn leave(&self) {
        // Release: what we did in the call happens before the caller goes on. This is the last time that we touch
        // anything of the caller's; what follows is the slot's own, which our mailbox reference keeps.
        let before = self.state.fetch_sub(1, Ordering::Release);
        if before & ASLEEP != 0 && before & INSIDE == 1 {
            // Under the lock: the caller is in `wait`, or has not looked at the state yet.
            let _sleep = lock(&self.sleep);
            self.left.notify_one();
        }
    }
}
