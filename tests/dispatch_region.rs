//! Regions around rayon work, on real libraries that the program calls directly: inside, every call of a worker uses one
//! thread; outside, as many as before.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{in_own_process, library, load_path, mkl_folder};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use threadctl::dispatch::{Pool, region, region_in};
use threadctl::{ErrorKind, Workers, runtimes};

/// The libraries, and what makes them start with four threads.
const CASES: &[(&str, &str)] = &[
    ("openblas-pthread", "OPENBLAS_NUM_THREADS"),
    ("openblas-openmp", "OMP_NUM_THREADS"),
    ("blis-openmp", "BLIS_NUM_THREADS"),
    ("blis-pthread", "BLIS_NUM_THREADS"),
    ("mkl-rt", "MKL_NUM_THREADS"),
];

fn each_library(test: &str, body: impl Fn()) {
    let chosen = std::env::var("THREADCTL_TEST_LIBRARY");
    for (key, variable) in CASES {
        if chosen.as_deref().is_ok_and(|chosen| chosen != *key) {
            continue;
        }
        let folder = mkl_folder();
        let environment = [
            ("THREADCTL_TEST_LIBRARY", *key),
            (variable, "4"),
            ("MKL_DYNAMIC", "FALSE"),
            ("LD_LIBRARY_PATH", folder.as_str()),
        ];
        in_own_process(test, &environment, || {
            load_path(std::path::Path::new("libm.so.6"));
            load_path(&library(key));
            // OpenBLAS takes no more than there are cores from its variable.
            for runtime in &runtimes().select(|runtime| runtime.setter_scope().reaches_process()) {
                runtime.set_num_threads(4).unwrap();
            }
            assert_eq!(blas_threads(), 4, "{key}");
            body();
            assert_eq!(blas_threads(), 4, "{key}");
        });
    }
}

/// What a call of this thread would use.
fn blas_threads() -> u32 {
    let blas = runtimes().select(|runtime| runtime.user_api() == "blas");
    assert_eq!(blas.len(), 1);
    blas.iter().next().unwrap().num_threads().unwrap()
}

/// What calls of all workers of this pool would use, each in a task that was handed to it.
fn of_workers(pool: &rayon::ThreadPool) -> Vec<u32> {
    // A worker that was just looking for work when a region began or ended may take one piece before it minds.
    pool.broadcast(|_| ());
    let all = Barrier::new(pool.current_num_threads());
    pool.install(|| {
        (0..pool.current_num_threads())
            .into_par_iter()
            .with_max_len(1)
            .map(|_| {
                all.wait();
                blas_threads()
            })
            .collect()
    })
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}

#[test]
fn workers_use_one_thread_inside_and_all_outside() {
    each_library("workers_use_one_thread_inside_and_all_outside", || {
        let pool = pool(3);
        assert_eq!(of_workers(&pool), [4; 3]);
        for _ in 0..20 {
            let region = region_in(&pool).unwrap();
            assert_eq!(blas_threads(), 1);
            assert_eq!(of_workers(&pool), [1; 3]);
            drop(region);
            assert_eq!(blas_threads(), 4);
            assert_eq!(of_workers(&pool), [4; 3]);
        }
    });
}

#[test]
fn regions_nest_and_the_last_one_ends_it() {
    each_library("regions_nest_and_the_last_one_ends_it", || {
        let pool = pool(2);
        let outer = region_in(&pool).unwrap();
        let inner = region_in(&pool).unwrap();
        drop(outer);
        assert_eq!(blas_threads(), 1);
        assert_eq!(of_workers(&pool), [1; 2]);
        drop(inner);
        assert_eq!(of_workers(&pool), [4; 2]);
    });
}

#[test]
fn regions_of_several_threads_overlap() {
    each_library("regions_of_several_threads_overlap", || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let pool = pool(2);
                    for _ in 0..50 {
                        let _region = region_in(&pool).unwrap();
                        assert_eq!(of_workers(&pool), [1; 2]);
                    }
                });
            }
        });
    });
}

#[test]
fn a_region_that_ends_leaves_its_pool_alone_whatever_others_do() {
    each_library(
        "a_region_that_ends_leaves_its_pool_alone_whatever_others_do",
        || {
            // Two threads with a pool each: the first one's region ends while the other's is alive.
            let [first, second] = [pool(2), pool(2)];
            let (begun, ended) = (Barrier::new(2), Barrier::new(2));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let region = region_in(&first).unwrap();
                    begun.wait();
                    drop(region);
                    ended.wait();
                    // The other region may still be alive, for libraries whose setter reaches the process.
                    ended.wait();
                    assert_eq!(blas_threads(), 4, "the thread that made the region");
                });
                let region = region_in(&second).unwrap();
                begun.wait();
                ended.wait();
                assert_eq!(of_workers(&second), [1; 2]);
                drop(region);
                ended.wait();
            });
            assert_eq!(of_workers(&first), [4; 2]);
            assert_eq!(of_workers(&second), [4; 2]);
        },
    );
}

#[test]
fn a_region_begun_by_a_worker_is_for_its_own_pool() {
    each_library("a_region_begun_by_a_worker_is_for_its_own_pool", || {
        let pool = pool(2);
        pool.install(|| {
            let _region = region().unwrap();
            rayon::broadcast(|_| ());
            let seen: Vec<u32> = (0..64).into_par_iter().map(|_| blas_threads()).collect();
            assert_eq!(seen, [1; 64]);
        });
        assert_eq!(of_workers(&pool), [4; 2]);
    });
}

#[test]
fn a_region_ends_on_a_panic() {
    each_library("a_region_ends_on_a_panic", || {
        let pool = pool(2);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _region = region_in(&pool).unwrap();
            pool.install(|| panic!("a task that fails"));
        }));
        assert!(caught.is_err());
        assert_eq!(of_workers(&pool), [4; 2]);
    });
}

#[test]
fn workers_that_are_born_inside_a_region_are_in_it() {
    each_library("workers_that_are_born_inside_a_region_are_in_it", || {
        let outer = pool(1);
        let region = region_in(&outer).unwrap();
        let born = Pool::new(Workers::try_from(2).unwrap()).unwrap();
        let width = born.rayon().current_num_threads();
        assert_eq!(of_workers(born.rayon()), vec![1; width]);
        // A region of its own, which ends first, changes nothing.
        assert_eq!(born.install(blas_threads).unwrap(), 1);
        assert_eq!(of_workers(born.rayon()), vec![1; width]);
        drop(region);
        assert_eq!(of_workers(born.rayon()), vec![4; width]);
    });
}

#[test]
fn a_pool_of_ours_runs_its_work_in_a_region() {
    each_library("a_pool_of_ours_runs_its_work_in_a_region", || {
        let pool = Pool::new(Workers::ALL).unwrap();
        let seen: Vec<u32> = pool
            .install(|| {
                rayon::broadcast(|_| ());
                (0..64).into_par_iter().map(|_| blas_threads()).collect()
            })
            .unwrap();
        assert_eq!(seen, [1; 64]);
        assert_eq!(
            of_workers(pool.rayon()),
            vec![4; pool.rayon().current_num_threads()]
        );
    });
}

#[test]
fn the_global_pool_is_as_large_as_was_asked_and_is_made_once() {
    each_library(
        "the_global_pool_is_as_large_as_was_asked_and_is_made_once",
        || {
            let error = Pool::build_global(0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidLimit);
            assert!(error.to_string().contains("0 workers"), "{error}");
            Pool::build_global(2).unwrap();
            assert_eq!(rayon::current_num_threads(), 2);
            let again = Pool::build_global(3).unwrap_err();
            assert_eq!(again.kind(), ErrorKind::Unsupported);
            assert!(again.to_string().contains("3 workers"), "{again}");
            // Its workers are in the regions that are begun outside of pools.
            let region = region().unwrap();
            assert_eq!(rayon::broadcast(|_| blas_threads()), [1; 2]);
            drop(region);
            assert_eq!(rayon::broadcast(|_| blas_threads()), [4; 2]);
        },
    );
}

#[test]
fn the_main_thread_can_be_a_worker_of_the_global_pool() {
    each_library("the_main_thread_can_be_a_worker_of_the_global_pool", || {
        Pool::build_global_here(2).unwrap();
        assert_eq!(rayon::current_num_threads(), 2);
        assert_eq!(rayon::current_thread_index(), Some(0));
        let again = Pool::build_global_here(2).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Unsupported);
        for _ in 0..100 {
            let inside = region().unwrap();
            assert_eq!(blas_threads(), 1);
            assert_eq!(rayon::broadcast(|_| blas_threads()), [1; 2]);
            drop(inside);
            // At once, not only when it looks for the pool's work again.
            assert_eq!(blas_threads(), 4);
        }
        assert_eq!(rayon::broadcast(|_| blas_threads()), [4; 2]);
    });
}
