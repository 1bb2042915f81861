//! The rules of `dispatch::share` for callers that are no rayon workers: they and their helpers stay within the cores, wait
//! for their turn, and get it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/watch.rs"]
mod watch;

use rayon::ThreadPoolBuilder;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use threadctl::dispatch::{share, width};
use watch::{Gauge, cores, pool_name, rounds, spin, until, within};

#[test]
fn workers_of_the_global_pool_help() {
    let _cores = cores(8);
    within(120, "waiting for helpers", || {
        for _ in 0..rounds(50) {
            let names = Mutex::new(HashSet::new());
            let inside = AtomicUsize::new(0);
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(width(), 8);
                    let caller = thread::current().id();
                    share(8, |_| {
                        if thread::current().id() != caller {
                            names.lock().unwrap().insert(pool_name());
                        }
                        inside.fetch_add(1, SeqCst);
                        until(|| inside.load(SeqCst) == 8);
                    });
                });
            });
            assert_eq!(
                names.into_inner().unwrap(),
                HashSet::from(["global".to_owned()])
            );
        }
    });
}

/// What a thread offered to a pool of its own is of no use to the next thread, whose helpers are in the global one.
#[test]
fn a_thread_that_ends_leaves_no_offer_of_its_own_pool_to_the_next() {
    let _cores = cores(8);
    within(120, "waiting for a helper", || {
        let [busy, ends] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (begun, end) = (Arc::clone(&busy), Arc::clone(&ends));
        let owner = thread::spawn(move || {
            // It is a worker itself, and the other one does not come to its offer.
            let pool = ThreadPoolBuilder::new()
                .num_threads(2)
                .use_current_thread()
                .build()
                .unwrap();
            pool.spawn(move || {
                begun.store(true, SeqCst);
                until(|| end.load(SeqCst));
            });
            until(|| busy.load(SeqCst));
            share(2, |_| ());
        });
        owner.join().unwrap();
        let next = thread::spawn(|| {
            let inside = AtomicUsize::new(0);
            share(2, |_| {
                inside.fetch_add(1, SeqCst);
                until(|| inside.load(SeqCst) == 2);
            });
        });
        next.join().unwrap();
        ends.store(true, SeqCst);
    });
}

/// Each call is far shorter than anybody's patience divided by the number of callers.
#[test]
#[cfg_attr(miri, ignore = "everything takes longer than a caller's patience")]
fn however_many_call_no_more_compute_than_there_are_cores() {
    for count in [1, 2, 8] {
        let _cores = cores(count);
        for callers in [1, 2, 3, 8, 16] {
            let gauge = Gauge::default();
            let longest = Mutex::new(Duration::ZERO);
            within(120, "many callers", || {
                thread::scope(|scope| {
                    for _ in 0..callers {
                        scope.spawn(|| {
                            for _ in 0..50 {
                                let since = Instant::now();
                                share(6, |_| {
                                    gauge.during(|| spin(Duration::from_micros(10)));
                                });
                                let mut longest = longest.lock().unwrap();
                                *longest = since.elapsed().max(*longest);
                            }
                        });
                    }
                });
            });
            // Where the machine is so busy that calls take a thousand times their work, some have lost patience and are
            // right to go in. `src/dispatch/share/tests.rs` has the same without patience.
            if longest.into_inner().unwrap() < Duration::from_millis(90) {
                assert!(
                    gauge.most() <= count,
                    "{} of {callers} callers on {count} cores",
                    gauge.most()
                );
            }
        }
    }
}

#[test]
fn helpers_go_when_somebody_comes_and_come_back_when_they_have_gone() {
    let _cores = cores(2);
    within(120, "a newcomer", || {
        let gauge = Gauge::default();
        let (long_ends, helped) = (AtomicBool::new(false), AtomicUsize::new(0));
        let beside = AtomicUsize::new(0);
        let too_busy = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let caller = thread::current().id();
                let tiles = 1 << 40;
                // Ends early, and without a word, when everything has been seen.
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    share(tiles, |_| {
                        if long_ends.load(SeqCst) {
                            std::panic::resume_unwind(Box::new(()));
                        }
                        if thread::current().id() != caller {
                            helped.fetch_add(1, SeqCst);
                        }
                        gauge.during(|| spin(Duration::from_micros(100)));
                    });
                }));
                assert!(ended.is_err());
            });
            for _ in 0..rounds(20) {
                let before = helped.load(SeqCst);
                until(|| helped.load(SeqCst) > before);
                let since = Instant::now();
                let impatient = AtomicBool::new(false);
                share(3, |_| {
                    // A machine so busy that the helper's tile took that long; then we went in beside it.
                    if since.elapsed() > Duration::from_millis(90) {
                        impatient.store(true, SeqCst);
                        too_busy.store(true, SeqCst);
                    }
                    if impatient.load(SeqCst) {
                        return;
                    }
                    gauge.during(|| {
                        let before = helped.load(SeqCst);
                        spin(Duration::from_micros(500));
                        beside.fetch_add(helped.load(SeqCst) - before, SeqCst);
                    });
                });
            }
            long_ends.store(true, SeqCst);
        });
        if !too_busy.load(SeqCst) {
            assert_eq!(
                beside.load(SeqCst),
                0,
                "tiles of a helper beside two callers"
            );
            assert!(gauge.most() <= 2, "{} at once on 2 cores", gauge.most());
        }
    });
}

/// The one inside needs a lock that one who waits for its turn holds.
#[test]
fn patience_ends_before_a_deadlock() {
    let _cores = cores(1);
    within(120, "two callers and a lock", || {
        let lock = Mutex::new(());
        let (inside, waiting) = (AtomicBool::new(false), AtomicBool::new(false));
        let since = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                share(2, |_| {
                    inside.store(true, SeqCst);
                    until(|| waiting.load(SeqCst));
                    drop(lock.lock().unwrap());
                });
            });
            scope.spawn(|| {
                until(|| inside.load(SeqCst));
                let held = lock.lock().unwrap();
                waiting.store(true, SeqCst);
                share(2, |_| ());
                drop(held);
            });
        });
        assert!(
            since.elapsed() >= Duration::from_millis(90),
            "{:?}",
            since.elapsed()
        );
    });
}

/// The same with a helper inside, which has the last core.
#[test]
fn patience_ends_before_a_deadlock_with_a_helper() {
    let _cores = cores(2);
    within(120, "a caller, its helper and a lock", || {
        let lock = Mutex::new(());
        let (inside, waiting) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                share(2, |_| {
                    inside.fetch_add(1, SeqCst);
                    until(|| waiting.load(SeqCst));
                    drop(lock.lock().unwrap());
                });
            });
            scope.spawn(|| {
                until(|| inside.load(SeqCst) == 2);
                let held = lock.lock().unwrap();
                waiting.store(true, SeqCst);
                share(2, |_| ());
                drop(held);
            });
        });
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri runs one thread at a time, as long as it likes")]
fn everybody_gets_a_turn() {
    const CALLERS: usize = 12;
    for (count, work, turns) in [(1, 20, 500), (2, 20, 500), (2, 2_000, 20)] {
        let _cores = cores(count);
        let calls = [(); CALLERS].map(|()| AtomicUsize::new(0));
        let here = Barrier::new(CALLERS);
        // Until everybody has had their turns, however many the others have had.
        let all_had = || calls.iter().all(|own| own.load(SeqCst) >= turns);
        within(200, "many callers, of whom one starves", || {
            thread::scope(|scope| {
                for own in &calls {
                    let (here, all_had) = (&here, &all_had);
                    scope.spawn(move || {
                        here.wait();
                        while !all_had() {
                            share(2, |_| spin(Duration::from_micros(work)));
                            own.fetch_add(1, SeqCst);
                        }
                    });
                }
            });
        });
        let mean = calls.iter().map(|own| own.load(SeqCst)).sum::<usize>() / CALLERS;
        assert!(mean <= 20 * turns, "{calls:?} calls");
    }
}

/// What workers of a pool do is not held back by callers from outside, and helps them when it is done.
#[test]
fn workers_never_wait_for_callers_from_outside() {
    let _cores = cores(1);
    within(120, "a worker beside a caller", || {
        let (inside, done) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                share(1, |_| {
                    inside.store(true, SeqCst);
                    until(|| done.load(SeqCst));
                });
            });
            until(|| inside.load(SeqCst));
            rayon::scope(|_| share(4, |_| ()));
            done.store(true, SeqCst);
        });
    });
}
