//! The locks of a library whose buffers cannot be seen (`buffers.rs`): a child that is forked while another thread holds one waits
//! for ever at its first call. OpenBLAS's wheels and BLIS are such libraries: they call their own functions directly, but the C
//! library's by name, through slots that can be led elsewhere (`rebind.rs`), and every mutex is taken there. So forks wait until nobody
//! holds one, and meanwhile nobody takes one. What is no mutex is not seen: OpenBLAS's spin lock around the queue of its own threads, which
//! is taken only where it has two or more of them.
//!
//! Invariants: what stands here does what the C library's function of its name does, and counts; a thread is in the gate exactly
//! while it holds such a lock or waits for one that a thread in the gate holds; what waits for a condition with its only lock has given
//! that back and is out for as long; if somebody forks when it has it again it gives it back once more, until that is over (only between
//! the C library's giving it the lock and our counting it, some instructions, a fork does not see it); what gives locks back is led here
//! before what takes them, so that nobody is counted who never leaves.

use super::gate::{Gate, watch_forks};
use super::objects::LoadedObject;
use super::rebind::rebind;
use libc::{pthread_cond_t, pthread_mutex_t, timespec};
use std::cell::Cell;
use std::ffi::c_int;

static GATE: Gate = Gate::new();

thread_local! {
    /// How many of the locks this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn gate() -> &'static Gate {
    &GATE
}

/// How many threads in the gate are the calling one.
pub(super) fn here() -> usize {
    usize::from(HELD.get() > 0)
}

/// In a child, where this thread has the locks that it had, and is the only one.
pub(super) fn forget() {
    if here() > 0 {
        GATE.enter_at_once();
    }
}

/// One lock more, if `take` gets it.
fn taking(enter: impl FnOnce(), take: impl FnOnce() -> c_int) -> c_int {
    let held = HELD.get();
    if held == 0 {
        enter();
    }
    let result = take();
    if result == 0 {
        HELD.set(held + 1);
    } else if held == 0 {
        GATE.leave();
    }
    result
}

unsafe extern "C" fn lock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the library passes what it would have passed to the C library.
    taking(
        || GATE.enter(),
        || unsafe { libc::pthread_mutex_lock(mutex) },
    )
}

unsafe extern "C" fn trylock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: as in `lock`.
    taking(
        || GATE.enter(),
        || unsafe { libc::pthread_mutex_trylock(mutex) },
    )
}

unsafe extern "C" fn unlock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: as in `lock`.
    let result = unsafe { libc::pthread_mutex_unlock(mutex) };
    if result != 0 {
        return result;
    }
    // None is held of those that were taken before the slots led here.
    match HELD.get() {
        0 => {}
        1 => {
            HELD.set(0);
            GATE.leave();
        }
        held => HELD.set(held - 1),
    }
    result
}

/// Out of the gate while `wait` runs, which gives `mutex` back and takes it again.
///
/// # Safety
/// The calling thread has the mutex.
unsafe fn waiting(mutex: *mut pthread_mutex_t, wait: impl FnOnce() -> c_int) -> c_int {
    // With another one in hand it stays inside: that one is not given back.
    if HELD.get() != 1 {
        return wait();
    }
    HELD.set(0);
    GATE.leave();
    let result = wait();
    GATE.enter_at_once();
    if GATE.is_closed() {
        // Who forks may have looked before. To its caller this is a wait that took longer, or ended for no reason, which it has to
        // reckon with.
        // SAFETY: our caller's promise; it is given back and taken again as the wait did.
        unsafe { libc::pthread_mutex_unlock(mutex) };
        GATE.give_way();
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_lock(mutex) };
    }
    HELD.set(1);
    result
}

unsafe extern "C" fn wait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: as in `lock`; who waits has the mutex.
    unsafe { waiting(mutex, || libc::pthread_cond_wait(condition, mutex)) }
}

unsafe extern "C" fn wait_until(
    condition: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    end: *const timespec,
) -> c_int {
    // SAFETY: as in `wait`.
    unsafe {
        waiting(mutex, || {
            libc::pthread_cond_timedwait(condition, mutex, end)
        })
    }
}

/// Has forks wait for the locks of this library. Returns whether it has any that can be seen.
///
/// # Safety
/// It is never unloaded, and what it calls by these names are the C library's functions.
pub(crate) unsafe fn guard_locks(library: &LoadedObject) -> bool {
    watch_forks();
    let unlocking = [("pthread_mutex_unlock", unlock as *const () as usize)];
    let waiting = [
        ("pthread_cond_wait", wait as *const () as usize),
        ("pthread_cond_timedwait", wait_until as *const () as usize),
    ];
    let taking = [
        ("pthread_mutex_lock", lock as *const () as usize),
        ("pthread_mutex_trylock", trylock as *const () as usize),
    ];
    let lead = |targets: &[(&str, usize)]| {
        // SAFETY: our caller's promise; each does what the function of its name does.
        unsafe { rebind(library, targets) }
    };
    // What could not be given back must not be counted when it is taken.
    lead(&unlocking).is_ok_and(|count| count > 0)
        && lead(&waiting).is_ok()
        && lead(&taking).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// One process has one gate, so one test has all cases.
    #[test]
    fn a_thread_is_inside_while_it_holds_a_lock_and_out_while_it_waits_for_a_condition() {
        let inside = || GATE.count();
        let mut first = libc::PTHREAD_MUTEX_INITIALIZER;
        let mut second = libc::PTHREAD_MUTEX_INITIALIZER;
        let mut condition = libc::PTHREAD_COND_INITIALIZER;
        let (first, second) = (&raw mut first, &raw mut second);
        let condition = &raw mut condition;
        // SAFETY: two mutexes and a condition of ours, in the order in which a program may call these.
        unsafe {
            assert_eq!(unlock(first), 0, "taken before the slots led here");
            assert_eq!(inside(), 0);
            assert_eq!(lock(first), 0);
            assert_eq!(trylock(first), libc::EBUSY);
            assert_eq!((inside(), HELD.get()), (1, 1));
            assert_eq!(lock(second), 0);
            assert_eq!((inside(), HELD.get()), (1, 2), "a thread is counted once");
            assert_eq!(unlock(second), 0);
            assert_eq!((inside(), HELD.get()), (1, 1));
            let waited = waiting(first, || {
                assert_eq!((inside(), HELD.get()), (0, 0));
                libc::pthread_cond_timedwait(
                    condition,
                    first,
                    &timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    },
                )
            });
            assert_eq!(waited, libc::ETIMEDOUT);
            assert_eq!((inside(), HELD.get()), (1, 1));
            assert_eq!(unlock(first), 0);
            assert_eq!((inside(), HELD.get()), (0, 0));
        }
        // A fork waits for another thread that holds one: the child can have it.
        watch_forks();
        let holds = std::sync::Barrier::new(2);
        let (holds, mutex) = (&holds, first as usize);
        let child = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mutex = mutex as *mut pthread_mutex_t;
                // SAFETY: a mutex of ours.
                unsafe { lock(mutex) };
                holds.wait();
                std::thread::sleep(std::time::Duration::from_millis(50));
                // SAFETY: this thread has it.
                unsafe { unlock(mutex) };
            });
            holds.wait();
            // SAFETY: the child calls what is allowed after a fork, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: a mutex of ours; ends the child at once.
                unsafe {
                    let free = libc::pthread_mutex_trylock(first) == 0;
                    libc::_exit(i32::from(!(free && inside() == 0)))
                }
            }
            child
        });
        assert_eq!(status(child), 0);
        // Not for itself: the child has what its thread had.
        // SAFETY: a mutex of ours.
        unsafe { lock(first) };
        let began = std::time::Instant::now();
        // SAFETY: as above.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let right = inside() == 1 && HELD.get() == 1;
            // SAFETY: this thread has it; ends the child at once.
            unsafe {
                unlock(first);
                libc::_exit(i32::from(!(right && inside() == 0)))
            }
        }
        assert!(began.elapsed() < std::time::Duration::from_millis(150));
        assert_eq!(status(child), 0);
        // SAFETY: this thread has it.
        unsafe { unlock(first) };
        assert_eq!(inside(), 0);
    }

    fn status(child: libc::pid_t) -> c_int {
        let mut status = 0;
        // SAFETY: our own child.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status
    }
}
