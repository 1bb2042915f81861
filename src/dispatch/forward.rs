//! Calls of routines that dispatch does not cover, on libraries whose own threads have to be watched while they run.
//!
//! Two kinds of libraries need that. Where the setter reaches one thread only (OpenMP builds, MKL under TBB), nothing else
//! holds such a call back. And MKL calls inside itself, where dispatch does not see it: held at one thread, its LAPACK would
//! leave idle cores idle. So such a call gets as many threads as there are idle workers: these are asked as for any shared
//! call, those who come within [`ARRIVAL`] sleep until it has ended, and the library has one thread for each of them, and one
//! for the caller, in the scope of this thread.
//!
//! Invariants: a worker sleeps here only while the call of its caller runs, and counts as computing meanwhile, so that no more
//! threads run than there are cores; the thread's own number is as before when the call has ended; a call inside another one,
//! or inside a tile, has one thread.

use super::backend::Blas;
use super::share::{in_tile, share_kernels, width};
use crate::runtime::runtimes;
use crate::sys::call::{MapInt, SetInt};
use crate::sys::library::Library;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long a call waits for workers: as long as waking one takes.
const ARRIVAL: Duration = Duration::from_micros(100);

/// Calls of which the last took less work than this, in nanoseconds, do not wait for workers.
const WORTH: u64 = 2_000_000;

/// What takes less than this, in nanoseconds, is a question for the size of a workspace most likely, and says nothing of the call
/// that follows it.
const QUESTION: u64 = 20_000;

thread_local! {
    /// This thread is in such a call.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What a library needs around calls of its routines.
#[derive(Debug)]
pub(crate) enum Watch {
    /// The calling thread is held at one.
    Held,
    /// As many threads as there are idle workers: MKL.
    Idle(Own),
}

/// MKL's own threads.
#[derive(Debug)]
pub(crate) struct Own {
    /// Sets the number of the calling thread, and returns the one that it had; 0 for none.
    set: MapInt,
    /// Sets for how long the threads of Intel's OpenMP, where that is its layer, look for work after a call.
    blocktime: Option<SetInt>,
    _openmp: Option<Library>,
}

impl Own {
    fn of(blas: &Blas) -> Option<Self> {
        // SAFETY: `mkl_service.h` declares it so.
        let set = unsafe { MapInt::find(blas.library(), "MKL_Set_Num_Threads_Local") }?;
        let openmp = runtimes()
            .iter()
            .filter(|runtime| runtime.user_api() == "openmp")
            .find_map(|runtime| {
                let library = Library::hold(runtime.filepath())?;
                // SAFETY: Intel's and LLVM's `omp.h` declare it so.
                let set = unsafe { SetInt::find(&library, "kmp_set_blocktime") }?;
                Some((set, library))
            });
        let (blocktime, openmp) = openmp.unzip();
        Some(Own {
            set,
            blocktime,
            _openmp: openmp,
        })
    }
}

/// The number that a thread of MKL's callers had, put back when this is dropped.
struct Number<'a> {
    own: &'a Own,
    before: i32,
}

impl<'a> Number<'a> {
    fn set(own: &'a Own, threads: usize) -> Self {
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        // SAFETY: the library is a backend's, which stays loaded.
        let before = unsafe { own.set.call(threads) };
        if let (Some(blocktime), true) = (&own.blocktime, threads > 1) {
            // They would keep cores that are given back busy, for 200 ms.
            // SAFETY: held in `own`.
            unsafe { blocktime.call(0) };
        }
        Number { own, before }
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        // SAFETY: the library is a backend's, which stays loaded.
        unsafe { self.own.set.call(self.before) };
    }
}

/// The workers that make room for a call of the library's own.
struct Room {
    caller: ThreadId,
    /// How many came; [`CLOSED`] is added when the call begins.
    came: AtomicUsize,
    over: Mutex<bool>,
    ended: Condvar,
}

const CLOSED: usize = 1 << 32;

impl Room {
    /// A worker sleeps until the call has ended, unless it came too late.
    fn make(&self) {
        if self.came.fetch_add(1, Ordering::Relaxed) >= CLOSED {
            return;
        }
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            over = self
                .ended
                .wait(over)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The caller waits for as many, and returns how many came.
    fn close(&self, wanted: usize) -> usize {
        let began = Instant::now();
        while self.came.load(Ordering::Relaxed) < wanted && began.elapsed() < ARRIVAL {
            thread::yield_now();
        }
        self.came.fetch_add(CLOSED, Ordering::Relaxed)
    }

    fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.notify_all();
    }
}

/// A call that its own thread alone makes.
struct OnCaller<F>(RefCell<Option<F>>);

// SAFETY: `run` touches what is inside on the thread that made it only; the others do not look at it.
unsafe impl<F> Sync for OnCaller<F> {}

impl<F: FnOnce()> OnCaller<F> {
    /// Makes the call, once. Only on the caller's thread.
    fn run(&self) {
        let call = self.0.borrow_mut().take();
        if let Some(call) = call {
            call();
        }
    }
}

impl Blas {
    /// What calls of routines that dispatch does not cover need; `None` where nothing.
    pub(crate) fn watch(&self) -> Option<Watch> {
        let mkl = self
            .runtime()
            .is_some_and(|runtime| runtime.internal_api() == "mkl");
        if mkl && self.cuts() {
            Own::of(self).map(Watch::Idle)
        } else {
            self.held_by_thread().then_some(Watch::Held)
        }
    }

    /// Makes such a call. `work` is what the last one like it took, in nanoseconds, all its threads together; 0 if there was none.
    pub(crate) fn forwarded(&self, watch: &Watch, work: &AtomicU64, call: impl FnOnce()) {
        if INSIDE.get() {
            return call();
        }
        INSIDE.set(true);
        match watch {
            Watch::Held => {
                let _held = self.held();
                call();
            }
            Watch::Idle(own) => self.with_idle(own, work, call),
        }
        INSIDE.set(false);
    }

    fn with_idle(&self, own: &Own, work: &AtomicU64, call: impl FnOnce()) {
        let before = work.load(Ordering::Relaxed);
        let width = width();
        // A forked child has no workers: it asks for no limit either, which may need a lock that the fork copied.
        let wide = width > 1 && !in_tile() && (before == 0 || before >= WORTH);
        let most = if wide { self.most() } else { None };
        let wanted = if wide {
            width.min(most.map_or(usize::MAX, NonZeroUsize::get)) - 1
        } else {
            0
        };
        let timed = |threads: usize, call: &mut dyn FnMut()| {
            let began = Instant::now();
            let number = Number::set(own, threads);
            call();
            drop(number);
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if took < QUESTION {
                return;
            }
            work.store(
                took.saturating_mul(threads as u64).max(1),
                Ordering::Relaxed,
            );
        };
        let call = OnCaller(RefCell::new(Some(call)));
        if wanted == 0 {
            return timed(1, &mut || call.run());
        }
        let room = Room {
            caller: thread::current().id(),
            came: AtomicUsize::new(0),
            over: Mutex::new(false),
            ended: Condvar::new(),
        };
        // A tile for each: whoever has one waits until the call has ended, so that the last is the caller's own.
        share_kernels(wanted + 1, false, most, &|_| {
            if thread::current().id() == room.caller {
                // Tiles that nobody took are the caller's too, when the call has been made.
                if *room.over.lock().unwrap_or_else(PoisonError::into_inner) {
                    return;
                }
                let came = room.close(wanted);
                timed(1 + came, &mut || call.run());
                room.end();
            } else {
                room.make();
            }
        });
    }
}
