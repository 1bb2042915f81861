//! Elementwise work and shared calls in one pool: neither keeps the other from getting on, the workers that both leave over
//! help both, and what comes to a pool that helps with calls waits for hardly more than one of them.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/watch.rs"]
mod watch;

use common::{in_own_process, library};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use threadctl::dispatch::{Blas, share, simulate_cores};
use watch::{spin, until, within};

struct Product {
    a: Vec<f64>,
    c: Vec<f64>,
}

impl Product {
    const N: usize = 200;

    fn new() -> Self {
        let len = Self::N * Self::N;
        Product {
            a: vec![0.5; len],
            c: vec![0.0; len],
        }
    }

    fn multiply(&mut self, blas: &Blas) {
        let n = Self::N as isize;
        // SAFETY: matrices of n x n.
        unsafe {
            blas.gemm(
                b'N',
                b'N',
                n,
                n,
                n,
                1.0,
                self.a.as_ptr(),
                n,
                self.a.as_ptr(),
                n,
                0.0,
                self.c.as_mut_ptr(),
                n,
            )
        }
        .unwrap();
    }
}

fn pass(elements: &mut [f64]) {
    elements
        .par_iter_mut()
        .with_min_len(1024)
        .for_each(|element| *element = element.sin() + 1.0);
}

fn alone(test: &str, body: impl Fn(&Blas, &rayon::ThreadPool)) {
    in_own_process(test, &[], || {
        for workers in [2, 4] {
            simulate_cores(NonZeroUsize::new(workers));
            // SAFETY: OpenBLAS.
            let blas = unsafe { Blas::open(&library("scipy-openblas32")) }.unwrap();
            let pool = watch::pool("mine", workers);
            within(120, "one of both starves", || body(&blas, &pool));
        }
    });
}

/// One side does its work over and over until the other has done its own: if it starved the other, that would never be.
fn ends_beside(
    pool: &rayon::ThreadPool,
    work: impl FnOnce() + Send,
    mut other: impl FnMut() + Send,
) -> usize {
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    pool.join(
        || {
            while !done.load(Relaxed) {
                other();
                rounds.fetch_add(1, Relaxed);
            }
        },
        || {
            work();
            done.store(true, Relaxed);
        },
    );
    rounds.load(Relaxed)
}

#[test]
fn elementwise_work_gets_on_beside_calls() {
    alone("elementwise_work_gets_on_beside_calls", |blas, pool| {
        let mut product = Product::new();
        let mut elements = vec![0.5; 1 << 16];
        let rounds = ends_beside(
            pool,
            || (0..200).for_each(|_| pass(&mut elements)),
            || product.multiply(blas),
        );
        assert!(rounds > 0);
    });
}

#[test]
fn calls_get_on_beside_elementwise_work() {
    alone("calls_get_on_beside_elementwise_work", |blas, pool| {
        let mut product = Product::new();
        let mut elements = vec![0.5; 1 << 16];
        let rounds = ends_beside(
            pool,
            || (0..200).for_each(|_| product.multiply(blas)),
            || pass(&mut elements),
        );
        assert!(rounds > 0);
    });
}

/// In a process of its own, whose global pool is this small; the machine has a core more, for a caller from outside.
fn with_global_pool(test: &str, workers: usize, body: impl FnOnce()) {
    in_own_process(test, &[], || {
        simulate_cores(NonZeroUsize::new(workers + 1));
        rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build_global()
            .unwrap();
        within(120, "one of both starves", body);
    });
}

/// Has `call` called from a thread that is in no pool, over and over, while `work` runs on this one.
fn beside_calls_from_outside(mut call: impl FnMut() + Send, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                call();
            }
        });
        work();
        done.store(true, Relaxed);
    });
}

/// Work that comes from outside while the workers help with calls from outside.
#[test]
fn elementwise_work_from_outside_gets_on_beside_calls_from_outside() {
    let test = "elementwise_work_from_outside_gets_on_beside_calls_from_outside";
    with_global_pool(test, 3, || {
        // SAFETY: OpenBLAS.
        let blas = unsafe { Blas::open(&library("scipy-openblas32")) }.unwrap();
        let mut product = Product::new();
        let mut elements = vec![0.5; 1 << 16];
        beside_calls_from_outside(
            || product.multiply(&blas),
            || (0..200).for_each(|_| pass(&mut elements)),
        );
    });
}

/// The only worker that has time helps with one call after the other, and is needed for something else.
#[test]
fn a_helper_comes_back_to_its_pool_between_two_calls() {
    let test = "a_helper_comes_back_to_its_pool_between_two_calls";
    with_global_pool(test, 2, || {
        let [busy, over] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (begun, end) = (Arc::clone(&busy), Arc::clone(&over));
        rayon::spawn(move || {
            begun.store(true, Relaxed);
            until(|| end.load(Relaxed));
        });
        until(|| busy.load(Relaxed));
        let (calls, helped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = || {
            share(4, |_| {
                helped.fetch_add(
                    usize::from(rayon::current_thread_index().is_some()),
                    Relaxed,
                );
                spin(Duration::from_micros(20));
            });
            calls.fetch_add(1, Relaxed);
        };
        let mut waited = Vec::new();
        beside_calls_from_outside(call, || {
            for _ in 0..50 {
                let before = helped.load(Relaxed);
                until(|| helped.load(Relaxed) > before);
                let (came, asked) = (AtomicUsize::new(0), calls.load(Relaxed));
                // From outside: this thread sleeps until the worker has come.
                rayon::scope(|_| came.store(calls.load(Relaxed), Relaxed));
                waited.push(came.into_inner() - asked);
            }
        });
        over.store(true, Relaxed);
        waited.sort_unstable();
        // Where others have the worker's core it may be long before it comes to anything, but not each time.
        assert!(waited[5] <= 4, "calls that work waited for: {waited:?}");
    });
}

/// Two workers do one thing each, over and over; the other two help with both.
#[test]
fn workers_that_are_left_over_help_both_sides() {
    const SIDES: usize = 2;
    const ENOUGH: usize = 2_000;
    let test = "workers_that_are_left_over_help_both_sides";
    in_own_process(test, &[], || {
        simulate_cores(NonZeroUsize::new(4));
        let pool = watch::pool("mine", 4);
        // Pieces of either side that were computed by others than who began with them. All take as long.
        let helped = [(); SIDES].map(|()| AtomicUsize::new(0));
        let enough = || helped.iter().all(|own| own.load(Relaxed) >= ENOUGH);
        let piece = |side: usize, owner: Option<usize>| {
            spin(Duration::from_micros(10));
            let other = rayon::current_thread_index() != owner;
            helped[side].fetch_add(usize::from(other), Relaxed);
        };
        let calls = || {
            let owner = rayon::current_thread_index();
            while !enough() {
                share(64, |_| piece(0, owner));
            }
        };
        let elements = || {
            let owner = rayon::current_thread_index();
            while !enough() {
                (0..64).into_par_iter().for_each(|_| piece(1, owner));
            }
        };
        // How much either has depends on who gets the machine's cores; that both have it does not.
        within(120, "one side has no help", || pool.join(calls, elements));
    });
}

/// One pool, one loop: each item has a product and a pass, and each of them is computed once and right.
#[test]
fn both_inside_one_loop() {
    alone("both_inside_one_loop", |blas, pool| {
        let right = {
            let mut elements = vec![0.25; 5000];
            elements
                .iter_mut()
                .for_each(|element: &mut f64| *element = element.sin() + 1.0);
            elements
        };
        pool.install(|| {
            (0..40).into_par_iter().for_each(|_| {
                let mut product = Product::new();
                product.multiply(blas);
                assert!(
                    product
                        .c
                        .iter()
                        .all(|&value| value == 0.25 * Product::N as f64)
                );
                let mut elements = vec![0.25; 5000];
                pass(&mut elements);
                assert!(elements == right);
            });
        });
    });
}
