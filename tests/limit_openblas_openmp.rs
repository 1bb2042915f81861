//! Limits on OpenBLAS built on OpenMP: what counts is the calling thread's number, which OpenMP shares.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::in_own_process;
use libloading::os::unix::Library;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use threadctl::{ErrorKind, Limits, Shortfall, ThreadGuard, runtimes};

const START: i32 = 4;

/// OpenBLAS on libgomp, in a process of its own; this thread's number is [`START`].
fn alone(test: &str, body: impl FnOnce(&'static Library)) {
    in_own_process(test, &[("OMP_NUM_THREADS", "4")], || {
        body(common::load("openblas-openmp"));
    });
}

/// What a call of this thread would use.
fn in_force(blas: &Library) -> i32 {
    common::get(blas, "omp_get_max_threads")
}

fn limit_thread(text: &str) -> ThreadGuard {
    text.parse::<Limits>().unwrap().limit_thread().unwrap()
}

#[test]
fn a_limit_for_a_thread_leaves_other_threads_alone() {
    alone("a_limit_for_a_thread_leaves_other_threads_alone", |blas| {
        assert_eq!(in_force(blas), START);
        let (ask, asked) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let other = std::thread::spawn(move || {
            while asked.recv().is_ok() {
                tell.send(in_force(blas)).unwrap();
            }
        });
        let elsewhere = || {
            ask.send(()).unwrap();
            told.recv().unwrap()
        };
        assert_eq!(elsewhere(), START);
        let guard = limit_thread("blas=1");
        assert_eq!((in_force(blas), elsewhere()), (1, START));
        assert_eq!(guard.outcomes()[0].effective, Some(1));
        assert_eq!(guard.outcomes()[0].shortfall, None);
        drop(guard);
        assert_eq!((in_force(blas), elsewhere()), (START, START));
        drop(ask);
        other.join().unwrap();
    });
}

#[test]
fn a_limit_for_the_process_cannot_hold_and_touches_nothing() {
    alone(
        "a_limit_for_the_process_cannot_hold_and_touches_nothing",
        |blas| {
            let limits = Limits::new().user_api("blas", 1);
            let guard = limits.limit_process().unwrap();
            let outcome = &guard.outcomes()[0];
            assert_eq!(outcome.shortfall, Some(Shortfall::ThreadOnly));
            assert_eq!(outcome.effective, None);
            assert!(!outcome.is_honoured());
            assert_eq!(in_force(blas), START);
            drop(guard);

            let error = limits.strict(true).limit_process().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotHonoured);
            let text = error.to_string();
            assert!(
                text.contains("openblas") && text.contains("thread"),
                "{text}"
            );
            assert_eq!(in_force(blas), START);
        },
    );
}

#[test]
fn more_than_the_build_allows_is_reported_though_openmp_takes_it() {
    alone(
        "more_than_the_build_allows_is_reported_though_openmp_takes_it",
        |_| {
            let guard = limit_thread("blas=100000");
            let outcome = &guard.outcomes()[0];
            let max = outcome.runtime.max_threads().unwrap();
            assert_eq!(
                outcome.shortfall,
                Some(Shortfall::Clamped {
                    max,
                    widened: false
                })
            );
            assert_eq!(outcome.effective, Some(max));
        },
    );
}

#[test]
fn guards_of_a_thread_may_go_in_any_order() {
    alone("guards_of_a_thread_may_go_in_any_order", |blas| {
        let mut guards: Vec<_> = ["blas=3", "blas=1", "blas=2"].map(limit_thread).into();
        assert_eq!(in_force(blas), 1);
        drop(guards.remove(1));
        assert_eq!(in_force(blas), 2);
        drop(guards.remove(0));
        assert_eq!(in_force(blas), 2);
        drop(guards);
        assert_eq!(in_force(blas), START);
        // More than there was before: a limit that is alive is in force, whatever it is.
        let more = limit_thread("blas=7");
        assert_eq!(in_force(blas), 7);
        drop(more);
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn openblas_and_its_openmp_share_one_number() {
    alone("openblas_and_its_openmp_share_one_number", |blas| {
        assert!(
            runtimes()
                .iter()
                .any(|runtime| runtime.user_api() == "openmp")
        );
        let guard = limit_thread("openmp=3,blas=2");
        assert_eq!(in_force(blas), 2);
        let outcome = |api: &str| {
            guard
                .outcomes()
                .iter()
                .find(|outcome| outcome.runtime.user_api() == api)
                .unwrap()
        };
        assert_eq!(outcome("blas").effective, Some(2));
        assert_eq!(outcome("blas").shortfall, None);
        assert_eq!(outcome("openmp").requested, 3);
        assert_eq!(outcome("openmp").effective, Some(2));
        assert_eq!(
            outcome("openmp").shortfall,
            Some(Shortfall::Overridden { by: 2 })
        );
        let nested = limit_thread("openmp=1");
        assert_eq!(in_force(blas), 1);
        drop(guard);
        assert_eq!(in_force(blas), 1);
        drop(nested);
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn a_panic_restores_the_thread() {
    alone("a_panic_restores_the_thread", |blas| {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = limit_thread("all=1");
            panic!("in the scope of a limit");
        }));
        assert!(panicked.is_err());
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn strict_limits_for_the_thread_hold() {
    alone("strict_limits_for_the_thread_hold", |blas| {
        let limits: Limits = "blas=1,openmp=2".parse().unwrap();
        let guard = limits.strict(true).limit_thread().unwrap();
        assert_eq!(in_force(blas), 1);
        drop(guard);
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn a_lasting_change_is_the_threads_own() {
    alone("a_lasting_change_is_the_threads_own", |blas| {
        let found = runtimes().select(|runtime| runtime.internal_api() == "openblas");
        let openblas = found.iter().next().unwrap();
        let guard = limit_thread("blas=1");
        let outcome = openblas.set_num_threads(3).unwrap();
        assert_eq!(outcome.shortfall, Some(Shortfall::Overridden { by: 1 }));
        assert_eq!(in_force(blas), 1);
        drop(guard);
        assert_eq!(in_force(blas), 3);
        assert_eq!(openblas.set_num_threads(2).unwrap().effective, Some(2));
        assert_eq!(in_force(blas), 2);
        let elsewhere = std::thread::spawn(move || in_force(blas)).join().unwrap();
        assert_eq!(elsewhere, START);
    });
}

thread_local! {
    static KEPT: RefCell<Vec<ThreadGuard>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn guards_that_the_end_of_a_thread_drops_do_no_harm() {
    alone("guards_that_the_end_of_a_thread_drops_do_no_harm", |blas| {
        for _ in 0..100 {
            std::thread::spawn(move || {
                KEPT.with_borrow_mut(|kept| {
                    kept.push(limit_thread("blas=2"));
                    kept.push(limit_thread("blas=1"));
                });
                assert_eq!(in_force(blas), 1);
            })
            .join()
            .unwrap();
        }
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn many_threads_limit_themselves_independently() {
    alone("many_threads_limit_themselves_independently", |blas| {
        let plans: Vec<_> = (1..=8)
            .map(|limit| {
                Limits::new()
                    .user_api("blas", limit)
                    .plan(&runtimes())
                    .unwrap()
            })
            .collect();
        std::thread::scope(|scope| {
            for (own, plan) in plans.iter().enumerate() {
                scope.spawn(move || {
                    for _ in 0..1000 {
                        let guard = plan.limit_thread().unwrap();
                        assert_eq!(in_force(blas), own as i32 + 1);
                        drop(guard);
                        assert_eq!(in_force(blas), START);
                    }
                });
            }
        });
    });
}
