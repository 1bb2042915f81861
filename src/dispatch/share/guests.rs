//! Cores for threads that are not ours: idle workers sleep while a library computes with as many threads of its own.
//!
//! They are asked as helpers of a shared call, which lasts until enough have come or [`ARRIVAL`] is over. Who has come leaves that call and
//! sleeps in a room. So nothing of the caller's stack is in use while the library computes, and a call that never returns (its error
//! handler left it by `longjmp`) can be ended from elsewhere: whoever keeps the [`Guests`] drops them.
//!
//! Invariants: a worker that sleeps counts as a helper until it is awake, and its caller as computing until the guests are dropped; none
//! sleeps on once they are.

use super::caller::Counted;
use super::{COUNTED, OWN, Own, Tiles, WITHIN_LIMIT, cores, process, width};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a caller waits for workers: as long as waking one takes.
const ARRIVAL: Duration = Duration::from_micros(100);

thread_local! {
    /// Where this worker is about to sleep.
    static ROOM: RefCell<Option<Arc<Room>>> = const { RefCell::new(None) };
}

/// Where workers sleep.
#[derive(Default)]
struct Room {
    /// How many came; [`CLOSED`] is added when nobody is waited for any more.
    came: AtomicUsize,
    over: Mutex<bool>,
    ended: Condvar,
}

const CLOSED: usize = 1 << 32;

impl Room {
    /// The calling worker will sleep here, unless it came too late.
    fn enter(self: &Arc<Self>) {
        if self.came.fetch_add(1, Ordering::Relaxed) < CLOSED {
            ROOM.set(Some(Arc::clone(self)));
        }
    }

    /// Waits for as many, and returns how many came.
    fn close(&self, wanted: usize) -> usize {
        let began = Instant::now();
        while self.came.load(Ordering::Relaxed) < wanted && began.elapsed() < ARRIVAL {
            thread::yield_now();
        }
        self.came.fetch_add(CLOSED, Ordering::Relaxed)
    }

    fn sleep(&self) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            over = self
                .ended
                .wait(over)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.notify_all();
    }
}

/// Whether the calling worker is about to sleep.
pub(super) fn is_one() -> bool {
    ROOM.with_borrow(Option::is_some)
}

/// Sleeps, if the calling worker is to, until it need not any more; whether it did.
pub(super) fn sleep() -> bool {
    let room = ROOM.take();
    if let Some(room) = &room {
        room.sleep();
    }
    room.is_some()
}

/// The workers that sleep for a call of the thread that made this, and the count of that thread.
pub(in crate::dispatch) struct Guests {
    counted: Counted,
    room: Arc<Room>,
    came: usize,
    /// The count is the thread's.
    _of_this_thread: PhantomData<*const ()>,
}

impl Guests {
    /// Counts the calling thread, as a shared call does whose tiles may wait for anything (the library may call the program back), and has idle workers sleep: no more than make `most` threads together
    /// with the caller, and those that come soon.
    pub(in crate::dispatch) fn gather(most: Option<NonZeroUsize>) -> Self {
        let gather = |own: &Own| Guests::of(own, most);
        OWN.try_with(|own| gather(own.get_or_init(Own::new)))
            // A thread at its end, whose storage is gone.
            .unwrap_or_else(|_| gather(&Own::new()))
    }

    fn of(own: &Own, most: Option<NonZeroUsize>) -> Self {
        let cores = cores();
        let counted = Counted::begin(own, cores, Tiles::Unknown);
        let most = if WITHIN_LIMIT.get() {
            1
        } else {
            most.map_or(usize::MAX, NonZeroUsize::get)
        };
        let wanted = width().min(cores).min(most).saturating_sub(1);
        let room = Arc::<Room>::default();
        let caller = thread::current().id();
        let came = AtomicUsize::new(0);
        if wanted > 0 {
            // A tile for each. What nobody took is the caller's too, and nothing.
            let waited = std::sync::atomic::AtomicBool::new(false);
            let tile = |_| {
                if thread::current().id() != caller {
                    room.enter();
                } else if !waited.swap(true, Ordering::Relaxed) {
                    came.store(room.close(wanted), Ordering::Relaxed);
                }
            };
            own.run(wanted + 1, &tile, Tiles::Kernels, most);
        }
        Guests {
            counted,
            room,
            came: came.into_inner(),
            _of_this_thread: PhantomData,
        }
    }

    /// How many came.
    pub(in crate::dispatch) fn came(&self) -> usize {
        self.came
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // In a child that was forked meanwhile nobody sleeps, and the parent's counts are not ours.
        if process::copied() {
            COUNTED.set(false);
            return;
        }
        self.room.end();
        let ended = OWN.try_with(|own| self.counted.end(own.get()));
        if ended.is_err() {
            self.counted.end(None);
        }
    }
}
