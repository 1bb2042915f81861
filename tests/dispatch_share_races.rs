//! Shared calls for ThreadSanitizer and AddressSanitizer (`cargo xtask sanitize`) and Miri: tiles write plain memory, so that
//! nothing but the protocol orders what they do before what the caller reads, and all that a call needs lies on its caller's
//! stack.
//!
//! The sanitizer does not see into the standard library's locks, which is not compiled for it. So there are none here, and what
//! goes into a pool and comes back is handed over by an atomic of our own; around shared calls, never inside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/watch.rs"]
mod watch;

use rayon::ThreadPool;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{
    AtomicPtr, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};
use std::time::Duration;
use threadctl::dispatch::share;
use watch::{POOLS, cores, pool, rounds, spin};

/// Plain memory, a place for each tile.
struct Places(Vec<UnsafeCell<u64>>);

// SAFETY: each place is one tile's alone while tiles run, which is what is tested.
unsafe impl Sync for Places {}

impl Places {
    fn new(count: usize) -> Self {
        Places((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, place: usize, value: u64) {
        // SAFETY: as above.
        unsafe { *self.0[place].get() += value };
    }

    fn sum(&self) -> u64 {
        // SAFETY: called when no tile runs any more.
        self.0.iter().map(|place| unsafe { *place.get() }).sum()
    }
}

/// What comes before in the one who gives comes before what comes after in the one who takes.
#[derive(Default)]
struct Handover(AtomicUsize);

impl Handover {
    fn here(&self) {
        self.0.fetch_add(1, AcqRel);
    }
}

/// Runs `body` on a worker. (`ThreadPool::install` waits by a lock.)
fn install(pool: &ThreadPool, body: impl FnOnce() + Send + 'static) {
    let handover: &'static Handover = Box::leak(Box::default());
    handover.here();
    pool.spawn(|| {
        handover.here();
        body();
        handover.here();
    });
    watch::until(|| handover.0.load(Acquire) == 3);
}

fn work() {
    spin(Duration::from_micros(5));
}

/// Calls one after the other: what the tiles of one wrote, those of the next read and write, on other threads.
fn in_a_row(calls: usize, tiles: usize) {
    let places = Places::new(tiles);
    for call in 0..calls {
        share(tiles, |tile| {
            work();
            // Another place each time, so that places go from thread to thread.
            places.add((tile + call) % tiles, 1);
        });
    }
    assert_eq!(places.sum(), (calls * tiles) as u64);
}

#[test]
fn calls_of_a_worker() {
    let _cores = cores(8);
    for threads in POOLS {
        let pool = pool("mine", threads);
        for tiles in [1, 2, 9, 40] {
            install(&pool, move || in_a_row(rounds(200), tiles));
        }
    }
}

#[test]
fn calls_inside_tiles() {
    let _cores = cores(8);
    for threads in POOLS {
        install(&pool("mine", threads), || {
            for _ in 0..rounds(50) {
                let places = Places::new(6 * 5);
                share(6, |outer| {
                    share(5, |inner| {
                        work();
                        places.add(5 * outer + inner, 1);
                    });
                    // The tile's own call has ended: its places can be read.
                    // SAFETY: nobody else is at them.
                    let sum: u64 = (0..5)
                        .map(|inner| unsafe { *places.0[5 * outer + inner].get() })
                        .sum();
                    assert_eq!(sum, 5);
                });
                assert_eq!(places.sum(), 30);
            }
        });
    }
}

#[test]
fn calls_with_panics() {
    let _cores = cores(8);
    for threads in POOLS {
        install(&pool("mine", threads), || {
            for round in 0..rounds(100) {
                let places = Places::new(20);
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    share(20, |tile| {
                        work();
                        places.add(tile, 1);
                        if tile % 7 == round % 7 {
                            resume_unwind(Box::new(vec![tile]));
                        }
                    });
                }));
                let payload = ended.unwrap_err();
                let tile = payload.downcast_ref::<Vec<usize>>().unwrap()[0];
                assert_eq!(tile % 7, round % 7);
                assert!(places.sum() <= 20);
            }
        });
    }
}

#[test]
fn calls_of_threads_outside() {
    for count in [1, 2, 8] {
        let _cores = cores(count);
        let done = Handover::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    in_a_row(rounds(100), 7);
                    done.here();
                });
            }
        });
        done.here();
    }
}

/// That the sanitizer sees what it is there for: run by `cargo xtask sanitize`, which wants it to fail.
#[test]
#[ignore = "it is wrong on purpose"]
fn a_race_that_must_be_reported() {
    let _cores = cores(8);
    install(&pool("mine", 2), || {
        let places = Places::new(1);
        let inside = AtomicUsize::new(0);
        share(2, |_| {
            inside.fetch_add(1, Relaxed);
            watch::until(|| inside.load(Relaxed) == 2);
            places.add(0, 1);
        });
    });
}

/// That the other sanitizer sees what it is there for: a tile keeps a place on the stack of a caller that returns.
#[test]
#[ignore = "it is wrong on purpose"]
fn a_use_after_return_that_must_be_reported() {
    #[inline(never)]
    fn keeps(kept: &AtomicPtr<u64>) {
        let mut place = 0;
        let here = AtomicPtr::new(&raw mut place);
        share(2, |_| kept.store(here.load(Relaxed), Relaxed));
    }
    let kept = AtomicPtr::default();
    keeps(&kept);
    // SAFETY: none, on purpose: the place is gone.
    let value = unsafe { kept.load(Relaxed).read_volatile() };
    assert_eq!(value, 0);
}
