//! Elementwise work and shared calls in one pool: neither keeps the other from getting on.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;

use common::{in_own_process, library};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use threadctl::dispatch::{Blas, simulate_cores};

/// Far longer than anything here takes.
const TOO_LONG: Duration = Duration::from_secs(60);

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
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(workers)
                .build()
                .unwrap();
            body(&blas, &pool);
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
    let since = Instant::now();
    pool.join(
        || {
            while !done.load(Relaxed) {
                other();
                rounds.fetch_add(1, Relaxed);
                assert!(since.elapsed() < TOO_LONG, "the other side starves");
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

/// Work that comes from outside while the workers help with calls from outside.
#[test]
fn elementwise_work_from_outside_gets_on_beside_calls_from_outside() {
    let test = "elementwise_work_from_outside_gets_on_beside_calls_from_outside";
    alone(test, |blas, pool| {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut product, since) = (Product::new(), Instant::now());
                while !done.load(Relaxed) {
                    product.multiply(blas);
                    assert!(since.elapsed() < TOO_LONG, "the elementwise work starves");
                }
            });
            let mut elements = vec![0.5; 1 << 16];
            for _ in 0..200 {
                pool.install(|| pass(&mut elements));
            }
            done.store(true, Relaxed);
        });
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
