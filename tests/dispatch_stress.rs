//! Random calls from 16 threads in mixed roles: no wrong result, no stall, limits restored, no thread created after
//! warm-up.
//!
//! A few seconds for each library by default; `THREADCTL_STRESS_SECONDS=600` makes it as long as it takes to trust it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::panic,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;

use common::{in_own_process, library};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use threadctl::dispatch::{Blas, region, region_in, share, simulate_cores};
use threadctl::runtimes;

/// Threads of the test, in all roles together.
const THREADS: usize = 16;
/// How long between two looks at what the threads have done.
const LOOK: Duration = Duration::from_millis(200);
/// A thread that has done nothing at so many looks has stalled: a minute, in which this process was not stopped itself.
const STALLED: u32 = 300;

/// A product whose result is known: small whole numbers, exact in any order of summation.
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    right: Vec<f64>,
}

impl Product {
    fn new([m, n, k]: [usize; 3]) -> Self {
        let a: Vec<f64> = (0..m * k).map(|at| (at % 7) as f64 - 3.0).collect();
        let b: Vec<f64> = (0..k * n).map(|at| (at % 5) as f64 - 2.0).collect();
        let mut right = vec![0.0; m * n];
        for col in 0..n {
            for inner in 0..k {
                for row in 0..m {
                    right[row + col * m] += a[row + inner * m] * b[inner + col * k];
                }
            }
        }
        Product {
            m,
            n,
            k,
            a,
            b,
            right,
        }
    }

    fn check(&self, blas: &Blas) {
        let [m, n, k] = [self.m, self.n, self.k].map(|size| size as isize);
        let mut c = vec![f64::NAN; self.m * self.n];
        // SAFETY: matrices of these sizes.
        unsafe {
            blas.gemm(
                b'N',
                b'N',
                m,
                n,
                k,
                1.0,
                self.a.as_ptr(),
                m,
                self.b.as_ptr(),
                k,
                0.0,
                c.as_mut_ptr(),
                m,
            )
        }
        .unwrap();
        assert!(c == self.right, "a wrong product of {m} x {n} x {k}");
    }
}

/// What all threads share.
struct Stage {
    blas: Blas,
    products: Vec<Product>,
    pool: rayon::ThreadPool,
    lock: Mutex<u64>,
    stop: AtomicBool,
    progress: Vec<AtomicU64>,
}

/// What one thread does, over and over, with its number of the round.
type Role = fn(&Stage, u64);

const ROLES: &[Role] = &[
    outside,
    in_pool,
    nested_loops,
    shares,
    panics,
    regions,
    locked,
];

fn product(stage: &Stage, seed: u64) -> &Product {
    // A multiplicative hash: neighbours get different products.
    let at = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
    &stage.products[at % stage.products.len()]
}

fn outside(stage: &Stage, round: u64) {
    product(stage, round).check(&stage.blas);
}

fn in_pool(stage: &Stage, round: u64) {
    stage
        .pool
        .install(|| product(stage, round).check(&stage.blas));
}

fn nested_loops(stage: &Stage, round: u64) {
    stage.pool.install(|| {
        (0..4_u64).into_par_iter().for_each(|item| {
            product(stage, round.wrapping_mul(4).wrapping_add(item)).check(&stage.blas);
        });
    });
}

fn shares(stage: &Stage, round: u64) {
    let done = AtomicU64::new(0);
    share(5, |tile| {
        // A shared call inside a tile of another.
        share(3, |_| {
            done.fetch_add(1, Relaxed);
        });
        if tile == 0 {
            product(stage, round).check(&stage.blas);
        }
    });
    assert_eq!(done.load(Relaxed), 15);
}

fn panics(stage: &Stage, round: u64) {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        stage.pool.install(|| {
            share(6, |tile| {
                product(stage, round).check(&stage.blas);
                assert!(tile != 3, "meant to fail");
            });
        });
    }));
    assert!(caught.is_err());
}

fn regions(stage: &Stage, round: u64) {
    let outer = region_in(&stage.pool).unwrap();
    let inner = region().unwrap();
    drop(outer);
    stage
        .pool
        .install(|| product(stage, round).check(&stage.blas));
    drop(inner);
}

fn locked(stage: &Stage, round: u64) {
    stage.pool.install(|| {
        (0..3).into_par_iter().for_each(|_| {
            let mut count = stage.lock.lock().unwrap();
            product(stage, round).check(&stage.blas);
            *count += 1;
        });
    });
}

/// One that fails ends the others.
struct StopOnPanic<'stage>(&'stage Stage);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}

fn threads_of_this_process() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn blas_threads() -> Vec<Option<u32>> {
    let blas = runtimes().select(|runtime| runtime.user_api() == "blas");
    blas.iter().map(threadctl::Runtime::num_threads).collect()
}

fn stress(path: &Path) {
    // Those that are meant to fail would fill the output.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<&str>();
        if text.is_none_or(|text| *text != "meant to fail") {
            usual(info);
        }
    }));
    let seconds = std::env::var("THREADCTL_STRESS_SECONDS")
        .map_or(4, |text| text.parse().expect("a number of seconds"));
    common::load_path(path);
    let before = blas_threads();
    simulate_cores(NonZeroUsize::new(4));
    let stage = Stage {
        // SAFETY: a BLAS of the manifest.
        blas: unsafe { Blas::open(path) }.unwrap(),
        products: [
            [8, 8, 8],
            [50, 60, 70],
            [96, 96, 96],
            [130, 70, 90],
            [40, 300, 64],
            [257, 129, 65],
        ]
        .map(Product::new)
        .into(),
        pool: rayon::ThreadPoolBuilder::new()
            .num_threads(4)
            .build()
            .unwrap(),
        lock: Mutex::new(0),
        stop: AtomicBool::new(false),
        progress: (0..THREADS).map(|_| AtomicU64::new(0)).collect(),
    };
    // Warm-up: every role once, so that every pool is there.
    for role in ROLES {
        role(&stage, 1);
    }
    let threads = threads_of_this_process();
    let mut most = 0;
    std::thread::scope(|scope| {
        let stage = &stage;
        for me in 0..THREADS {
            scope.spawn(move || {
                let mut round = me as u64;
                let _stop = StopOnPanic(stage);
                while !stage.stop.load(Relaxed) {
                    ROLES[(round % ROLES.len() as u64) as usize](stage, round);
                    stage.progress[me].fetch_add(1, Relaxed);
                    round = round
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(me as u64 | 1)
                        >> 1;
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let most = &mut most;
        let mut seen = vec![(0, 0); THREADS];
        while Instant::now() < end {
            std::thread::sleep(LOOK);
            for (me, (count, looks)) in seen.iter_mut().enumerate() {
                let now = stage.progress[me].load(Relaxed);
                *looks = if now == *count { *looks + 1 } else { 0 };
                *count = now;
                if *looks > STALLED {
                    // The scope would wait for the thread that stalled.
                    eprintln!("thread {me} stalled after {now} rounds");
                    std::process::abort();
                }
            }
            *most = (*most).max(threads_of_this_process());
        }
        stage.stop.store(true, Relaxed);
    });
    assert!(
        most <= threads + THREADS,
        "a thread was created: {most} for {threads} and {THREADS}"
    );
    let rounds: Vec<u64> = stage
        .progress
        .iter()
        .map(|count| count.load(Relaxed))
        .collect();
    assert!(rounds.iter().all(|&count| count > 0), "{rounds:?}");
    drop(stage);
    assert_eq!(blas_threads(), before, "limits are restored");
}

#[test]
fn sixteen_threads_on_openblas() {
    in_own_process(
        "sixteen_threads_on_openblas",
        &[("OPENBLAS_NUM_THREADS", "2")],
        || {
            stress(&library("scipy-openblas32"));
        },
    );
}

#[test]
fn sixteen_threads_on_openblas_with_openmp() {
    in_own_process(
        "sixteen_threads_on_openblas_with_openmp",
        &[("OMP_NUM_THREADS", "2")],
        || {
            stress(&library("openblas-openmp"));
        },
    );
}
