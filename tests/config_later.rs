//! `THREADCTL_LIMITS` on libraries that are loaded after `init()`, on real libraries, each in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/found.rs"]
mod found;

use common::{get, in_own_process, library, load, set};
use found::the_one;
use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use threadctl::{Controller, Limits, Registration, Shortfall, init, runtimes};

fn threads(blas: &Library) -> i32 {
    get(blas, "openblas_get_num_threads")
}

/// Opens and closes a library that nothing else uses, so that the loader's counts of loadings and unloadings move.
fn load_and_unload(key: &str) {
    // SAFETY: the initialisers of a BLAS, whose threads have not been started; nothing of it is kept.
    let other = unsafe { Library::open(Some(library(key)), RTLD_LAZY | RTLD_LOCAL) }.unwrap();
    assert!(
        runtimes()
            .iter()
            .any(|runtime| runtime.filepath() == library(key).canonicalize().unwrap()),
    );
    other.close().unwrap();
    assert!(
        !runtimes()
            .iter()
            .any(|runtime| runtime.filepath() == library(key).canonicalize().unwrap()),
        "{key} could not be unloaded"
    );
}

#[test]
fn the_next_query_limits_what_came_later_and_what_is_set_after_that_stays() {
    in_own_process(
        "the_next_query_limits_what_came_later_and_what_is_set_after_that_stays",
        &[
            ("THREADCTL_LIMITS", "openblas=3"),
            ("OPENBLAS_NUM_THREADS", "2"),
        ],
        || {
            let before = init().unwrap();
            assert_eq!(before.unmatched(), ["openblas"]);
            let blas = load("openblas-pthread");
            assert_eq!(threads(blas), 2, "loading it calls nothing");
            let found = runtimes();
            assert_eq!(threads(blas), 3, "asking limits it");
            drop(found);
            assert_eq!(threads(blas), 3, "it lasts");

            the_one("openblas").set_num_threads(5).unwrap();
            set(blas, "openblas_set_num_threads", 4);
            for _ in 0..2 {
                let _ = runtimes();
                assert_eq!(threads(blas), 4, "a call goes before it");
                // What is remembered of libraries that nobody holds ends with an unloading.
                load_and_unload("blis-pthread");
            }

            let again = init().unwrap();
            assert_eq!(threads(blas), 3, "init is a call too");
            assert_eq!(again.outcomes().len(), 1);
            assert!(again.unmatched().is_empty());
        },
    );
}

#[test]
fn a_guard_of_another_thread_limits_what_came_later_and_returns_to_that() {
    in_own_process(
        "a_guard_of_another_thread_limits_what_came_later_and_returns_to_that",
        &[
            ("THREADCTL_LIMITS", "blas=3"),
            ("OPENBLAS_NUM_THREADS", "2"),
        ],
        || {
            init().unwrap();
            let blas = load("openblas-pthread");
            let other = std::thread::spawn(move || {
                let guard = Limits::new().user_api("blas", 1).limit_process().unwrap();
                assert_eq!(threads(blas), 1);
                guard
            });
            drop(other.join().unwrap());
            assert_eq!(threads(blas), 3);
        },
    );
}

#[test]
fn threads_that_ask_at_once_limit_it_once() {
    in_own_process(
        "threads_that_ask_at_once_limit_it_once",
        &[
            ("THREADCTL_LIMITS", "blas=3"),
            ("OPENBLAS_NUM_THREADS", "2"),
        ],
        || {
            init().unwrap();
            let blas = load("openblas-pthread");
            let together = Barrier::new(16);
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        together.wait();
                        let guard = Limits::new().user_api("blas", 1).limit_process().unwrap();
                        assert_eq!(guard.outcomes().len(), 1);
                    });
                }
            });
            assert_eq!(threads(blas), 3);
        },
    );
}

#[test]
fn a_thread_limits_for_itself_what_came_later() {
    in_own_process(
        "a_thread_limits_for_itself_what_came_later",
        &[
            ("THREADCTL_LIMITS", "openmp=3"),
            ("THREADCTL_SCOPE", "thread"),
            ("OMP_NUM_THREADS", "2"),
        ],
        || {
            init().unwrap();
            let gomp = load("gomp");
            let other = std::thread::spawn(move || {
                let _ = runtimes();
                get(gomp, "omp_get_max_threads")
            });
            assert_eq!(
                other.join().unwrap(),
                2,
                "a thread that has not called init"
            );
            assert_eq!(get(gomp, "omp_get_max_threads"), 2);
            let _ = runtimes();
            assert_eq!(get(gomp, "omp_get_max_threads"), 3);
        },
    );
}

#[test]
fn of_two_that_share_a_setting_the_smaller_limit_holds_whichever_came_later() {
    const TEST: &str = "of_two_that_share_a_setting_the_smaller_limit_holds_whichever_came_later";
    in_own_process(
        TEST,
        &[
            ("THREADCTL_LIMITS", "openblas=4,openmp=2"),
            ("OMP_NUM_THREADS", "6"),
        ],
        || {
            let gomp = load("gomp");
            init().unwrap();
            assert_eq!(get(gomp, "omp_get_max_threads"), 2);
            load("openblas-openmp");
            let _ = runtimes();
            assert_eq!(get(gomp, "omp_get_max_threads"), 2);
            let outcomes = init().unwrap().outcomes().to_vec();
            let mut asked: Vec<_> = outcomes
                .iter()
                .map(|own| (own.requested, own.effective))
                .collect();
            asked.sort_unstable();
            assert_eq!(asked, [(2, Some(2)), (4, Some(2))]);
        },
    );
}

#[test]
fn what_no_entry_means_can_still_be_unloaded() {
    in_own_process(
        "what_no_entry_means_can_still_be_unloaded",
        &[("THREADCTL_LIMITS", "openblas=1")],
        || {
            init().unwrap();
            load_and_unload("blis-pthread");
        },
    );
}

#[test]
fn mkl_is_limited_when_it_is_loaded_before_init_and_when_after() {
    const TEST: &str = "mkl_is_limited_when_it_is_loaded_before_init_and_when_after";
    let folder = common::mkl_folder();
    in_own_process(
        TEST,
        &[
            ("LD_LIBRARY_PATH", &folder),
            ("MKL_THREADING_LAYER", "INTEL"),
            ("MKL_DYNAMIC", "FALSE"),
            ("MKL_NUM_THREADS", "6"),
            ("THREADCTL_LIMITS", "mkl=3"),
        ],
        || {
            let open = || {
                common::load_path("libm.so.6".as_ref());
                load("mkl-rt")
            };
            let in_force = |mkl: &'static Library| {
                let elsewhere = std::thread::spawn(move || get(mkl, "MKL_Get_Max_Threads"));
                [get(mkl, "MKL_Get_Max_Threads"), elsewhere.join().unwrap()]
            };
            init().unwrap();
            let mkl = open();
            assert_eq!(in_force(mkl), [6, 6]);
            let found = runtimes();
            assert_eq!(in_force(mkl), [3, 3]);
            drop(found);

            the_one("mkl").set_num_threads(5).unwrap();
            assert_eq!(in_force(mkl), [5, 5]);
            let outcomes = init().unwrap().outcomes().to_vec();
            assert_eq!(in_force(mkl), [3, 3]);
            assert!(
                outcomes.iter().all(|own| own.shortfall.is_none()),
                "{outcomes:?}"
            );
        },
    );
}

#[test]
fn each_build_of_blis_is_limited_before_and_after() {
    const TEST: &str = "each_build_of_blis_is_limited_before_and_after";
    let build = std::env::var("BLIS_BUILD_OF_TEST").ok();
    for key in ["blis-pthread", "blis-openmp"] {
        // In the child, the one that it is for.
        if build.as_ref().is_some_and(|build| build != key) {
            continue;
        }
        in_own_process(
            TEST,
            &[
                ("BLIS_BUILD_OF_TEST", key),
                ("THREADCTL_LIMITS", "blis=3"),
                ("BLIS_NUM_THREADS", "2"),
            ],
            || {
                init().unwrap();
                let blis = load(key);
                let in_force = || get(blis, "bli_thread_get_num_threads");
                assert_eq!(in_force(), 2, "{key}");
                let _ = runtimes();
                assert_eq!(in_force(), 3, "{key}");
                the_one("blis").set_num_threads(5).unwrap();
                assert_eq!(in_force(), 5, "{key}");
                let init = init().unwrap();
                assert_eq!(in_force(), 3, "{key}");
                assert!(
                    init.outcomes().iter().all(|own| {
                        // Version 1 sets a number for the calling thread.
                        matches!(own.shortfall, None | Some(Shortfall::CallingThreadOnly))
                    }),
                    "{init:?}"
                );
            },
        );
    }
}

/// Limits a controller that asks for everything whenever it is set: whoever held a lock meanwhile would wait for ever.
fn a_controller_asks_back(test: &str, scope: &str) {
    struct Curious(AtomicU32);
    impl Controller for Curious {
        fn num_threads(&self) -> u32 {
            self.0.load(Relaxed)
        }
        fn set_num_threads(&self, threads: u32) {
            let _ = runtimes();
            self.0.store(threads, Relaxed);
        }
    }
    let environment = [("THREADCTL_LIMITS", "all=3"), ("THREADCTL_SCOPE", scope)];
    in_own_process(test, &environment, || {
        init().unwrap();
        let pool = Arc::new(Curious(AtomicU32::new(8)));
        let controller = Arc::clone(&pool);
        Registration::with_controller("curious", move |_| Some(controller.clone() as _))
            .prefix("libc.so")
            .register()
            .unwrap();
        assert_eq!(pool.num_threads(), 8);
        let _ = runtimes();
        assert_eq!(pool.num_threads(), 3, "what is registered later came later");
        let blas = load("openblas-pthread");
        let _ = runtimes();
        assert_eq!(threads(blas), 3);
    });
}

#[test]
fn a_controller_may_ask_back_when_it_is_limited() {
    a_controller_asks_back("a_controller_may_ask_back_when_it_is_limited", "process");
}

#[test]
fn a_controller_may_ask_back_when_a_thread_limits_it() {
    a_controller_asks_back(
        "a_controller_may_ask_back_when_a_thread_limits_it",
        "thread",
    );
}
