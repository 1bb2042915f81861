//! Tasks that hold a lock across a shared call, which is rayon's issue 592: with kernels in plain Rust, with products of a real
//! library, and for comparison with a loop of rayon's own.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

#[cfg(not(miri))]
mod common;
#[path = "common/watch.rs"]
mod watch;

use rayon::prelude::*;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use threadctl::dispatch::share;
use watch::{POOLS, cores, pool, rounds, spin, until, within};

/// With two tasks for each worker and round, that many divided by the workers are 10,000 tasks.
const ROUNDS: usize = 5_000;

thread_local! {
    /// A task on this thread holds the lock.
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

/// Tasks that hold one lock across an inner loop, which is rayon's issue 592: how many of them would have waited for
/// ever. That is if their own thread holds the lock already, or if the task that holds it waits for theirs; the latter is
/// believed of those who have waited for `patience`.
fn stuck_tasks(
    threads: usize,
    rounds: usize,
    patience: Duration,
    inner: impl Fn() + Sync,
) -> usize {
    let pool = pool("tasks", threads);
    let lock = Mutex::new(0_usize);
    let stuck = AtomicUsize::new(0);
    let get = || {
        let since = Instant::now();
        while !HOLDS.get() && since.elapsed() < patience {
            match lock.try_lock() {
                Ok(held) => return Some(held),
                // Not by turns: on a busy machine those who wait would keep the one who has it from its core.
                Err(_) => std::thread::sleep(Duration::from_micros(20)),
            }
        }
        None
    };
    for _ in 0..rounds {
        pool.install(|| {
            (0..2 * threads).into_par_iter().for_each(|_| {
                let Some(mut held) = get() else {
                    stuck.fetch_add(1, SeqCst);
                    return;
                };
                HOLDS.set(true);
                inner();
                *held += 1;
                HOLDS.set(false);
            });
        });
    }
    let held = *lock.lock().unwrap();
    assert_eq!(held + stuck.load(SeqCst), 2 * threads * rounds);
    stuck.load(SeqCst)
}

#[test]
fn a_task_may_hold_a_lock_across_a_shared_call() {
    let _cores = cores(8);
    for threads in POOLS {
        let sum = AtomicUsize::new(0);
        within(250, "tasks that hold a lock across shared calls", || {
            let stuck = stuck_tasks(threads, rounds(ROUNDS / threads), Duration::MAX, || {
                share(4, |tile| {
                    sum.fetch_add(tile + 1, SeqCst);
                });
            });
            assert_eq!(stuck, 0, "a pool of {threads}");
        });
        assert_eq!(
            sum.load(SeqCst),
            10 * 2 * threads * rounds(ROUNDS / threads)
        );
    }
}

/// What the test above would find if a shared call were a loop of rayon's.
#[test]
fn a_loop_of_rayons_gets_stuck() {
    let _cores = cores(8);
    let inner = || {
        (0..64)
            .into_par_iter()
            .for_each(|_| spin(Duration::from_micros(20)));
    };
    within(250, "waiting for rayon to steal a task", || {
        until(|| stuck_tasks(8, 10, Duration::from_secs(1), inner) > 0);
    });
}

/// As a program has it: a result that all tasks add to is behind the lock, and what they add is a product.
#[cfg(not(miri))]
#[test]
fn a_task_may_hold_a_lock_across_a_product() {
    const N: usize = 80;
    common::in_own_process("a_task_may_hold_a_lock_across_a_product", &[], || {
        let _cores = cores(8);
        // SAFETY: OpenBLAS.
        let blas = unsafe { threadctl::dispatch::Blas::open(&common::library("scipy-openblas32")) };
        let (blas, a) = (blas.unwrap(), vec![0.5; N * N]);
        for threads in [2, 8] {
            // Nobody waits for this one: who holds the other lock has it alone.
            let result = Mutex::new(vec![0.0; N * N]);
            let rounds = ROUNDS / threads;
            within(250, "tasks that hold a lock across products", || {
                let stuck = stuck_tasks(threads, rounds, Duration::MAX, || {
                    let mut c = result.try_lock().unwrap();
                    let (n, a, c) = (N as isize, a.as_ptr(), c.as_mut_ptr());
                    // SAFETY: matrices of n x n.
                    unsafe { blas.gemm(b'N', b'N', n, n, n, 1.0, a, n, a, n, 1.0, c, n) }.unwrap();
                });
                assert_eq!(stuck, 0, "a pool of {threads}");
            });
            // Each adds N / 4, and the sum is exact.
            let sum = (2 * threads * rounds * N / 4) as f64;
            assert!(result.into_inner().unwrap().iter().all(|&c: &f64| c == sum));
        }
    });
}
