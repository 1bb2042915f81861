//! The rules of `dispatch::share` for callers that are rayon workers, with kernels in plain Rust.
//!
//! The other rules: `dispatch_share_lock.rs` (tasks that hold a lock), `dispatch_share_outside.rs` (callers that rayon does not know), `dispatch_share_fork.rs`,
//! `dispatch_share_memory.rs`, and `src/dispatch/share/tests.rs` for what cannot be asked from outside the crate.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/watch.rs"]
mod watch;

use proptest::prelude::*;
use rayon::prelude::*;
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use threadctl::dispatch::{share, width};
use watch::{Gauge, POOLS, cores, pool, pool_name, rounds, spin, until, within};

/// Where tiles write.
struct Place(*mut u32);

// SAFETY: each tile writes at a place of its own.
unsafe impl Sync for Place {}

impl Place {
    fn at(&self, tile: usize) -> *mut u32 {
        self.0.wrapping_add(tile)
    }
}

#[test]
fn every_tile_runs_once_and_its_writes_are_seen() {
    for threads in POOLS {
        for count in POOLS {
            let _cores = cores(count);
            let pool = pool("mine", threads);
            within(120, "calls with many tiles", || {
                for tiles in [0, 1, 2, 3, 7, 64, rounds(10_000)] {
                    let mut ran = vec![0_u32; tiles];
                    // Plain writes: the return of `share` is all that orders them before the reads.
                    let place = Place(ran.as_mut_ptr());
                    pool.install(|| {
                        share(tiles, |tile| {
                            // SAFETY: within the vector, and each tile is this one's alone.
                            unsafe { *place.at(tile) += 1 };
                        });
                    });
                    assert!(ran.iter().all(|&times| times == 1), "{tiles} tiles");
                }
            });
        }
    }
}

#[test]
fn no_more_threads_than_tiles_and_cores_and_workers() {
    for threads in POOLS {
        for count in [1, 2, 3, 8] {
            let _cores = cores(count);
            let pool = pool("mine", threads);
            for tiles in [1, 2, 5, 40] {
                let gauge = Gauge::default();
                let who = Mutex::new(HashSet::new());
                within(60, "one call", || {
                    for _ in 0..rounds(20) {
                        pool.install(|| {
                            assert_eq!(width(), threads);
                            share(tiles, |_| {
                                gauge.during(|| spin(Duration::from_micros(50)));
                                who.lock().unwrap().insert(rayon::current_thread_index());
                            });
                        });
                    }
                });
                let most = tiles.min(count).min(threads);
                assert!(gauge.most() <= most, "{} of {most}", gauge.most());
                assert!(!who.lock().unwrap().contains(&None));
            }
        }
    }
}

/// Runs a call that ends only when so many threads are in its tiles at once, and returns whose they were.
fn all_at_once(threads: usize) -> HashSet<String> {
    let names = Mutex::new(HashSet::new());
    let inside = AtomicUsize::new(0);
    share(threads, |_| {
        names.lock().unwrap().insert(pool_name());
        inside.fetch_add(1, SeqCst);
        until(|| inside.load(SeqCst) == threads);
    });
    names.into_inner().unwrap()
}

#[test]
fn all_idle_workers_of_the_callers_own_pool_help_and_no_others() {
    let _cores = cores(8);
    within(120, "waiting for helpers", || {
        for threads in [2, 8] {
            let (one, other) = (pool("one", threads), pool("other", threads));
            for _ in 0..rounds(100) {
                assert_eq!(
                    one.install(|| all_at_once(threads)),
                    HashSet::from(["one".to_owned()])
                );
                let nested = one.install(|| other.install(|| all_at_once(threads)));
                assert_eq!(nested, HashSet::from(["other".to_owned()]));
            }
        }
    });
}

#[test]
fn a_worker_that_becomes_idle_helps_with_a_call_that_has_begun() {
    let _cores = cores(2);
    let pool = pool("mine", 2);
    within(60, "the second worker", || {
        let (busy, begun) = (AtomicBool::new(true), AtomicBool::new(false));
        pool.scope(|scope| {
            scope.spawn(|_| {
                begun.store(true, SeqCst);
                until(|| !busy.load(SeqCst));
            });
            scope.spawn(|_| {
                until(|| begun.load(SeqCst));
                let caller = rayon::current_thread_index();
                let ended = catch_unwind(|| {
                    share(usize::MAX / 4, |tile| {
                        if tile == 10 {
                            busy.store(false, SeqCst);
                        }
                        if rayon::current_thread_index() != caller {
                            // The only way to end so long a call.
                            resume_unwind(Box::new(()));
                        }
                    });
                });
                assert!(ended.is_err());
            });
        });
    });
}

#[test]
#[should_panic(expected = "of the caller")]
fn a_panic_goes_on_in_the_caller() {
    let _cores = cores(8);
    pool("mine", 2).install(|| share(3, |tile| assert!(tile != 1, "of the caller")));
}

#[test]
fn panics_of_callers_and_of_helpers_arrive_and_nothing_is_broken_after() {
    /// More than helpers can do while a panic is on its way, however long that takes on a busy machine.
    const MANY: usize = usize::MAX / 4;

    let _cores = cores(8);
    within(120, "calls with panics", || {
        for threads in POOLS {
            let pool = pool("mine", threads);
            for by_helper in [false, true] {
                if by_helper && threads == 1 {
                    continue;
                }
                for round in 0..rounds(50) {
                    let ran = AtomicUsize::new(0);
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        pool.install(|| {
                            let caller = rayon::current_thread_index();
                            let helper_came = AtomicBool::new(false);
                            share(MANY, |_| {
                                let helper = rayon::current_thread_index() != caller;
                                ran.fetch_add(1, SeqCst);
                                if helper {
                                    helper_came.store(true, SeqCst);
                                } else if by_helper {
                                    until(|| helper_came.load(SeqCst));
                                }
                                if helper == by_helper {
                                    resume_unwind(Box::new(round));
                                }
                            });
                        });
                    }));
                    assert_eq!(result.unwrap_err().downcast_ref(), Some(&round));
                    // Tiles that nobody had begun were left out.
                    assert!(ran.load(SeqCst) < MANY);
                    let sum = AtomicUsize::new(0);
                    pool.install(|| {
                        share(10, |tile| {
                            sum.fetch_add(tile, SeqCst);
                        });
                    });
                    assert_eq!(sum.load(SeqCst), 45);
                }
            }
        }
    });
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_does_no_harm() {
    struct Vicious;
    impl Drop for Vicious {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                resume_unwind(Box::new("again"));
            }
        }
    }
    let _cores = cores(8);
    let pool = pool("mine", 2);
    within(60, "calls with vicious payloads", || {
        for _ in 0..rounds(100) {
            let inside = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| {
                    share(2, |_| {
                        inside.fetch_add(1, SeqCst);
                        until(|| inside.load(SeqCst) == 2);
                        resume_unwind(Box::new(Vicious));
                    });
                });
            }));
            std::mem::forget(result.unwrap_err());
        }
    });
}

/// What a task may do: leaves are counted.
#[derive(Clone, Debug)]
enum Program {
    Leaf,
    Share(usize, Box<Program>),
    Rayon(usize, Box<Program>),
    Both(Box<Program>, Box<Program>),
}

impl Program {
    fn run(&self, leaves: &AtomicUsize) {
        match self {
            Program::Leaf => {
                leaves.fetch_add(1, SeqCst);
            }
            Program::Share(tiles, inner) => share(*tiles, |_| inner.run(leaves)),
            Program::Rayon(items, inner) => {
                (0..*items).into_par_iter().for_each(|_| inner.run(leaves));
            }
            Program::Both(one, other) => {
                rayon::join(|| one.run(leaves), || other.run(leaves));
            }
        }
    }

    fn leaves(&self) -> usize {
        match self {
            Program::Leaf => 1,
            Program::Share(times, inner) | Program::Rayon(times, inner) => times * inner.leaves(),
            Program::Both(one, other) => one.leaves() + other.leaves(),
        }
    }
}

fn program() -> impl Strategy<Value = Program> {
    Just(Program::Leaf).prop_recursive(7, 32, 2, |inner| {
        let inner = inner.prop_map(Box::new);
        prop_oneof![
            3 => (0..5_usize, inner.clone()).prop_map(|(tiles, inner)| Program::Share(tiles, inner)),
            2 => (0..5_usize, inner.clone()).prop_map(|(items, inner)| Program::Rayon(items, inner)),
            1 => (inner.clone(), inner).prop_map(|(one, other)| Program::Both(one, other)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: rounds(200) as u32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn shared_calls_and_loops_of_rayon_inside_each_other(program in program(), count in 1_usize..9) {
        let _cores = cores(count);
        for threads in POOLS {
            let pool = pool("mine", threads);
            let leaves = AtomicUsize::new(0);
            within(60, "a random program", || pool.install(|| program.run(&leaves)));
            prop_assert_eq!(leaves.load(SeqCst), program.leaves());
        }
        // On a thread that no pool knows.
        let leaves = AtomicUsize::new(0);
        within(60, "a random program outside", || program.run(&leaves));
        prop_assert_eq!(leaves.load(SeqCst), program.leaves());
    }
}

/// Tiles that wait in a loop of rayon's are handed offers of their own call by it. If they took them up, they would be
/// inside each other, as deep as there are tiles.
#[test]
fn tiles_with_loops_of_rayon_do_not_pile_up_on_a_stack() {
    thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });
    let _cores = cores(8);
    let pool = pool("mine", 8);
    let deepest = AtomicUsize::new(0);
    within(120, "tiles with loops of rayon", || {
        pool.install(|| {
            share(rounds(5_000), |_| {
                DEPTH.set(DEPTH.get() + 1);
                deepest.fetch_max(DEPTH.get(), SeqCst);
                (0..16)
                    .into_par_iter()
                    .for_each(|_| spin(Duration::from_micros(2)));
                DEPTH.set(DEPTH.get() - 1);
            });
        });
    });
    assert_eq!(deepest.load(SeqCst), 1);
}

/// The same where it is certain that an offer comes up: the tile itself asks rayon for other work, and the offer of its own call
/// is all that there is.
#[test]
fn a_tile_that_comes_across_the_offer_of_its_own_call_takes_up_no_tiles() {
    thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });
    let _cores = cores(8);
    let pool = pool("mine", 2);
    within(60, "tiles that look for other work", || {
        let (busy, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let (deepest, offers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.scope(|scope| {
            scope.spawn(|_| {
                busy.store(true, SeqCst);
                until(|| done.load(SeqCst));
            });
            until(|| busy.load(SeqCst));
            share(10, |_| {
                DEPTH.set(DEPTH.get() + 1);
                deepest.fetch_max(DEPTH.get(), SeqCst);
                while rayon::yield_local() == Some(rayon::Yield::Executed) {
                    offers.fetch_add(1, SeqCst);
                }
                DEPTH.set(DEPTH.get() - 1);
            });
            done.store(true, SeqCst);
        });
        assert!(offers.load(SeqCst) > 0, "no offer came up");
        assert_eq!(deepest.load(SeqCst), 1);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no clock of CPU time")]
fn a_caller_that_waits_sleeps() {
    let _cores = cores(2);
    let pool = pool("mine", 2);
    let long = Duration::from_millis(200);
    within(60, "a long tile of a helper", || {
        pool.install(|| {
            let caller = rayon::current_thread_index();
            let helper_came = AtomicBool::new(false);
            let (before, begin) = (cpu_time(), Instant::now());
            let own = Cell::new(Duration::ZERO);
            let own = AssertSend(&own);
            share(2, |_| {
                if rayon::current_thread_index() == caller {
                    until(|| helper_came.load(SeqCst));
                    own.set(cpu_time());
                } else {
                    helper_came.store(true, SeqCst);
                    std::thread::sleep(long);
                }
            });
            let waited = cpu_time() - own.0.get();
            assert!(own.0.get() >= before && begin.elapsed() >= long);
            assert!(waited < long / 10, "{waited:?} of CPU time for nothing");
        });
    });
}

/// For the caller's own tiles alone.
struct AssertSend<'cell>(&'cell Cell<Duration>);

// SAFETY: only the calling thread uses it: its tile sets it, and it reads it when the call is over.
unsafe impl Sync for AssertSend<'_> {}

impl AssertSend<'_> {
    fn set(&self, time: Duration) {
        self.0.set(time);
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn pools_end_while_offers_are_out() {
    let _cores = cores(8);
    within(120, "ending pools", || {
        for round in 0..rounds(300) {
            let threads = POOLS[round % 3];
            let pool = pool("mine", threads);
            let sum = AtomicUsize::new(0);
            let (busy, begun) = (AtomicBool::new(true), AtomicUsize::new(0));
            pool.scope(|scope| {
                // All but one are busy, so that offers stay out; half of the time to the very end.
                for _ in 1..threads {
                    scope.spawn(|_| {
                        begun.fetch_add(1, SeqCst);
                        until(|| !busy.load(SeqCst));
                    });
                }
                scope.spawn(|_| {
                    until(|| begun.load(SeqCst) == threads - 1);
                    for _ in 0..10 {
                        share(8, |tile| {
                            sum.fetch_add(tile, SeqCst);
                        });
                    }
                    busy.store(false, SeqCst);
                });
            });
            drop(pool);
            assert_eq!(sum.load(SeqCst), 280);
        }
    });
}

/// Calls when its thread ends.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        share(4, |tile| {
            AT_THE_END.fetch_add(tile, SeqCst);
        });
    }
}

static AT_THE_END: AtomicUsize = AtomicUsize::new(0);

#[test]
fn threads_call_while_they_end() {
    // Values are dropped in the order opposite to that in which they were first used: one before, one after our own.
    thread_local! {
        static BEFORE: Last = const { Last };
        static AFTER: Last = const { Last };
    }
    let use_them = || {
        AFTER.with(|_| ());
        share(2, |_| ());
        BEFORE.with(|_| ());
    };
    let _cores = cores(8);
    AT_THE_END.store(0, SeqCst);
    within(120, "ending threads", || {
        for _ in 0..rounds(100) {
            std::thread::spawn(use_them).join().unwrap();
            // A thread of which nothing is known before its end.
            std::thread::spawn(|| BEFORE.with(|_| ())).join().unwrap();
        }
        assert_eq!(AT_THE_END.load(SeqCst), 3 * 6 * rounds(100));
        let pool = pool("mine", 2);
        pool.broadcast(|_| use_them());
        drop(pool);
        // A pool does not wait for its threads to end.
        until(|| AT_THE_END.load(SeqCst) == 3 * 6 * rounds(100) + 2 * 2 * 6);
    });
}
