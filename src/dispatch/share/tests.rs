//! What cannot be asked from outside the crate: calls with kernels, whose callers have no end of patience, and the count of
//! who computes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::load::Load;
use super::{share, share_kernels, simulate_cores};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many cores, for one test at a time.
fn cores(count: usize) -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    simulate_cores(NonZeroUsize::new(count));
    alone
}

#[test]
fn however_many_call_no_more_compute_than_there_are_cores() {
    for count in [1, 2, 8] {
        let _alone = cores(count);
        for callers in [1, 2, 3, 8, 24] {
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..callers {
                    scope.spawn(|| {
                        for round in 0..60 {
                            share_kernels(1 + round % 6, round % 2 == 0, None, &|_| {
                                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                                let since = Instant::now();
                                while since.elapsed() < Duration::from_micros(20) {
                                    std::hint::spin_loop();
                                }
                                now.fetch_sub(1, SeqCst);
                            });
                        }
                    });
                }
            });
            let most = most.into_inner();
            assert!(
                most <= count,
                "{most} of {callers} callers on {count} cores"
            );
        }
        simulate_cores(None);
    }
}

/// Kernels wait for nothing, but their caller may hold what another call's tiles wait for.
#[test]
fn a_kernel_that_waits_for_its_turn_gives_way_to_tiles_that_wait() {
    let _alone = cores(1);
    let lock = Mutex::new(());
    let (inside, waiting) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            share(1, |_| {
                inside.store(true, SeqCst);
                while !waiting.load(SeqCst) {
                    thread::yield_now();
                }
                drop(lock.lock().unwrap());
            });
        });
        scope.spawn(|| {
            while !inside.load(SeqCst) {
                thread::yield_now();
            }
            let held = lock.lock().unwrap();
            waiting.store(true, SeqCst);
            share_kernels(1, false, None, &|_| ());
            drop(held);
        });
    });
    simulate_cores(None);
}

#[test]
fn helpers_come_while_a_core_is_left_and_go_when_it_is_wanted() {
    let load = Load::default();
    load.begin();
    assert!(load.core_left(3) && load.join(3) && load.join(3) && !load.join(3));
    assert!(load.retire(3).is_none(), "nobody wants the core");
    // Somebody from outside finds no core and queues: one helper goes, and no other comes in its stead.
    assert!(!load.enter(3));
    load.queue();
    assert!(!load.enter_queued(3));
    assert_eq!(load.retire(3), Some(true));
    assert!(load.retire(3).is_none() && !load.join(3) && !load.core_left(3));
    assert!(load.enter_queued(3) && !load.join(3));
    // A caller of a pool begins unasked: the other helper goes.
    load.begin();
    assert_eq!(load.retire(3), Some(false));
    // No helper is left whose core could be had: one from outside goes in beside callers of pools.
    assert!(!load.core_left(3) && load.enter(3));
    load.queue();
    assert!(load.end() && load.end());
    load.force_queued();
    assert!(!load.end() && !load.end());
    assert!(!load.end(), "nobody waits");
    assert!(load.join(1) && !load.leave());
}
