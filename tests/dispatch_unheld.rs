//! Threads that cannot be held at one BLAS thread, although the one that began could: their calls are computed, and the log
//! says so. No real library refuses so, hence a controller for one that has no threads.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/heard.rs"]
mod heard;

use common::{in_own_process, library, load_path};
use heard::Heard;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use threadctl::dispatch::{Blas, region_in};
use threadctl::{Controller, Limits, Registration, runtimes};

/// What the log says of a thread that is not held.
const NOT_HELD: &str = "are not held at one thread";

/// What a controller calls.
static BLAS: OnceLock<Blas> = OnceLock::new();

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(4) };
    /// This thread keeps its number whatever it is told.
    static STUBBORN: Cell<bool> = const { Cell::new(false) };
    /// This thread makes a call of BLAS while it is told its number.
    static CALLS: Cell<bool> = const { Cell::new(false) };
}

/// A number for each thread.
struct PerThread;

impl Controller for PerThread {
    fn num_threads(&self) -> u32 {
        NUMBER.get()
    }

    fn set_num_threads(&self, threads: u32) {
        if CALLS.take() {
            product(BLAS.get().unwrap());
        }
        if !STUBBORN.get() {
            NUMBER.set(threads);
        }
    }
}

/// Computes a product that is too large to go without a guard.
fn product(blas: &Blas) {
    const N: isize = 64;
    let (a, mut c) = (vec![0.5; (N * N) as usize], vec![0.0; (N * N) as usize]);
    // SAFETY: matrices of these sizes.
    unsafe {
        let (a, c) = (a.as_ptr(), c.as_mut_ptr());
        blas.gemm(b'N', b'N', N, N, N, 1.0, a, N, a, N, 0.0, c, N)
    }
    .unwrap();
    assert!(c.iter().all(|&sum: &f64| sum == 16.0));
}

/// In a process of its own, with a BLAS that threads set for themselves, and what is heard.
fn with_blas(test: &str, body: impl FnOnce(&Heard)) {
    in_own_process(test, &[], || {
        let heard = Heard::here();
        load_path(&library("atlas"));
        Registration::with_controller("perthread", |_| {
            let controller: Arc<dyn Controller> = Arc::new(PerThread);
            Some(controller)
        })
        .user_api("blas")
        .prefix("libblas.so")
        .register()
        .unwrap();
        let found = runtimes().select(|runtime| runtime.internal_api() == "perthread");
        assert_eq!(found.len(), 1);
        body(&heard);
    });
}

fn pool_of_one() -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(1).build().unwrap()
}

fn times_told(heard: &Heard) -> usize {
    heard.text().matches(NOT_HELD).count()
}

#[test]
fn a_thread_that_cannot_be_held_computes_and_is_told_of_once() {
    const TEST: &str = "a_thread_that_cannot_be_held_computes_and_is_told_of_once";
    with_blas(TEST, |heard| {
        let blas = Blas::loaded().unwrap().unwrap();
        assert_eq!(blas.runtime().unwrap().internal_api(), "perthread");
        product(&blas);
        assert_eq!((times_told(heard), NUMBER.get()), (0, 4));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                STUBBORN.set(true);
                product(&blas);
                product(&blas);
            });
        });
        assert_eq!(times_told(heard), 1, "{}", heard.text());
        assert!(heard.text().contains("reads back a larger number"));
    });
}

/// Its guard cannot be made: the thread is in the middle of making another one.
#[test]
fn a_call_made_by_a_controller_computes_and_is_told_of() {
    const TEST: &str = "a_call_made_by_a_controller_computes_and_is_told_of";
    with_blas(TEST, |heard| {
        product(BLAS.get_or_init(|| Blas::loaded().unwrap().unwrap()));
        CALLS.set(true);
        drop(Limits::new().all(1).limit_thread().unwrap());
        assert!(!CALLS.get());
        assert_eq!(times_told(heard), 1, "{}", heard.text());
    });
}

#[test]
fn a_worker_that_cannot_be_held_in_a_region_is_told_of() {
    const TEST: &str = "a_worker_that_cannot_be_held_in_a_region_is_told_of";
    with_blas(TEST, |heard| {
        let [willing, stubborn] = [pool_of_one(), pool_of_one()];
        let region = region_in(&willing).unwrap();
        assert_eq!(willing.broadcast(|_| NUMBER.get()), [1]);
        drop(region);
        assert_eq!(times_told(heard), 0, "{}", heard.text());
        stubborn.broadcast(|_| STUBBORN.set(true));
        let region = region_in(&stubborn).unwrap();
        assert_eq!(NUMBER.get(), 1, "the thread that began it is held");
        assert_eq!(stubborn.broadcast(|_| NUMBER.get()), [4]);
        assert_eq!(times_told(heard), 1, "{}", heard.text());
        drop(region);
        assert_eq!(stubborn.broadcast(|_| NUMBER.get()), [4]);
    });
}
