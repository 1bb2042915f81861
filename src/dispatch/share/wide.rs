//! A library's own threads for a routine that dispatch cannot see into: as many as there are cores, while nobody else computes.
//!
//! OpenBLAS over its own pthreads has one number of threads for the whole process, and each call inside a routine asks for
//! it anew. So no routine can have a number of its own; but the number may change while a routine runs. It is raised when one
//! routine has been the only thing that computes for [`PERIOD`], and lowered before anybody else begins. The cores of the threads
//! that it then has are counted as helpers', so that who comes waits for them until the number is low, which takes no
//! longer than the store; the one inner call that has begun with many threads ends with them.
//!
//! It is raised by an idle worker, which looks every [`PERIOD`] as long as there are such routines; where no worker is idle, it
//! stays as it is. What is lowered at once is not worth raising: threads of OpenBLAS look for work for some 0.1 s after a
//! call, and short routines that take turns would never be alone.
//!
//! Forks: OpenBLAS ends its threads before a fork, and hangs if they are in a call then. So a fork waits until the routine has ended
//! that the number was raised for, whether it is still raised or not, and so does the end of the process; nothing is raised
//! meanwhile. (`vfork` and `posix_spawn` run no handlers, and wait for nothing.)
//!
//! Invariants: [`RAISED`] is the number that is above one, and null if none is; it and `State` change under the lock, and
//! whoever is counted and finds it null computes beside no raised number. A routine that it was raised for is the only one of
//! these until it has ended. Kernels of calls that are too small to be counted lower it too, but one that
//! begins at the very moment of raising may have more threads: its result is right.

use super::process::{self, Process};
use super::{cores, in_tile, share_kernels, width};
use crate::runtime::Setting;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often is looked, and how long a routine has to be alone.
const PERIOD: Duration = Duration::from_millis(2);

/// So many looks without a routine end the looking.
const STAY: u32 = 25;

/// The number of threads of one library, which lives for good.
#[derive(Debug)]
pub(crate) struct Number {
    setting: Setting,
    /// What it was before dispatch held it at one.
    before: usize,
}

impl Number {
    pub(crate) fn new(setting: Setting, before: usize) -> Self {
        // Handlers before a fork run in the reverse order of their registration, so ours has to come after the library's, which
        // registers it when it is loaded; that of several libraries is registered several times.
        // SAFETY: the handlers may do anything that this thread could do at this moment. If they cannot be registered for want of
        // memory, forks in the middle of such routines are as dangerous as the library makes them.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork), None);
            libc::atexit(before_fork);
        }
        Number { setting, before }
    }

    fn set(&self, threads: usize) {
        self.setting.set(u32::try_from(threads).unwrap_or(u32::MAX));
    }
}

static RAISED: AtomicPtr<Number> = AtomicPtr::new(ptr::null_mut());

fn raised() -> Option<&'static Number> {
    // SAFETY: null, or from a reference that is for good.
    unsafe { RAISED.load(Ordering::Acquire).as_ref() }
}

/// The routines of one process.
#[derive(Default)]
pub(super) struct Wide {
    /// How many run.
    routines: AtomicUsize,
    /// Somebody else has computed since the last look.
    stirred: AtomicBool,
    state: Mutex<State>,
    /// The routine that the number was raised for has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that run: their numbers in the order of beginning, and what each may have.
    running: Vec<(u64, &'static Number, usize)>,
    /// How many have begun; the number of the last one.
    begun: u64,
    /// The one that the number was raised for, while it runs.
    had: Option<u64>,
    /// How many forks are about to be made.
    forks: usize,
    /// How many cores are counted as helpers'.
    occupied: usize,
    /// A worker looks.
    watched: bool,
}

/// Runs a routine of the library whose number it is, with up to `most` threads.
pub(crate) fn with_own_threads(
    number: &'static Number,
    most: Option<NonZeroUsize>,
    routine: &(dyn Fn() + Sync),
) {
    if in_tile() {
        return routine();
    }
    let wanted = width()
        .min(cores())
        .min(number.before)
        .min(most.map_or(usize::MAX, NonZeroUsize::get));
    share_kernels(1, false, most, &|_| {
        let _running = Running::begin(process::current(), number, wanted);
        routine();
    });
}

thread_local! {
    /// This thread is in one.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A routine, from its begin to its end.
struct Running {
    process: &'static Process,
    number: u64,
}

impl Running {
    fn begin(process: &'static Process, number: &'static Number, wanted: usize) -> Self {
        let wide = &process.wide;
        let mut state = wide.lock();
        wide.routines.fetch_add(1, Ordering::Relaxed);
        state.begun += 1;
        let running = Running {
            process,
            number: state.begun,
        };
        state.running.push((running.number, number, wanted));
        INSIDE.set(true);
        let nobody_looks = wanted > 1 && !std::mem::replace(&mut state.watched, wanted > 1);
        drop(state);
        if nobody_looks {
            rayon::spawn(move || watch(process));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let wide = &self.process.wide;
        let mut state = wide.lock();
        INSIDE.set(false);
        wide.routines.fetch_sub(1, Ordering::Relaxed);
        state.running.retain(|(number, ..)| *number != self.number);
        if state.had == Some(self.number) {
            state.had = None;
            wide.ended.notify_all();
        }
        // If it is raised, then for this one: others would have lowered it.
        lower(self.process, state);
    }
}

/// Before a fork, and at the end of the process.
extern "C" fn before_fork() {
    let process = process::current();
    let wide = &process.wide;
    let mut state = wide.lock();
    state.forks += 1;
    // A signal's handler that interrupted the routine would wait for itself.
    while state.had.is_some() && !INSIDE.get() {
        state = wide
            .ended
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

extern "C" fn after_fork() {
    process::current().wide.lock().forks -= 1;
}

/// Whoever computes says so, before being counted and again after it.
#[inline]
pub(super) fn stir(process: &Process) {
    // If we were counted after who raised it had counted us out, we see it raised.
    fence(Ordering::Acquire);
    if raised().is_some() || process.wide.routines.load(Ordering::Relaxed) > 0 {
        process.wide.stirred.store(true, Ordering::Relaxed);
        if raised().is_some() {
            lower(process, process.wide.lock());
        }
    }
}

/// Looks for as long as there are routines.
fn watch(process: &'static Process) {
    let wide = &process.wide;
    let (mut seen, mut without) = (0, 0);
    loop {
        thread::sleep(PERIOD);
        let mut state = wide.lock();
        let stirred = wide.stirred.swap(false, Ordering::Relaxed);
        match wide.routines.load(Ordering::Relaxed) {
            0 if without == STAY => {
                state.watched = false;
                return;
            }
            0 => without += 1,
            running => {
                without = 0;
                let same = state.begun == seen;
                seen = state.begun;
                if raised().is_some() {
                    // Who came just then and was not let in has not seen it.
                    if process.load.0.is_waited_for() {
                        lower(process, state);
                    }
                } else if running == 1 && same && !stirred {
                    raise(process, &mut state);
                }
            }
        }
    }
}

fn raise(process: &Process, state: &mut State) {
    let [(routine, number, wanted)] = state.running[..] else {
        return;
    };
    if wanted == 1 || state.forks > 0 {
        return;
    }
    // Before the count, so that who is counted after it sees it.
    RAISED.store(ptr::from_ref(number).cast_mut(), Ordering::Release);
    if process.load.0.occupy(wanted - 1) {
        state.occupied = wanted - 1;
        state.had = Some(routine);
        number.set(wanted);
    } else {
        RAISED.store(ptr::null_mut(), Ordering::Release);
    }
}

fn lower(process: &Process, mut state: MutexGuard<'_, State>) {
    if let Some(number) = raised() {
        number.set(1);
        // After it, so that who finds none computes beside one thread.
        RAISED.store(ptr::null_mut(), Ordering::Release);
    }
    let occupied = std::mem::take(&mut state.occupied);
    drop(state);
    if occupied > 0 && process.load.0.vacate(occupied) {
        process.gate.call();
    }
}

impl Wide {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
