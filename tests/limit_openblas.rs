//! Limits on OpenBLAS with its own threads: one number for the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/found.rs"]
mod found;

use common::in_own_process;
use found::the_one;
use libloading::os::unix::Library;
use std::panic::{AssertUnwindSafe, catch_unwind};
use threadctl::{ErrorKind, Limits, Plan, Shortfall, Workers, runtimes};

const START: i32 = 4;

/// OpenBLAS, loaded in a process of its own and set to [`START`] threads.
fn alone(test: &str, body: impl FnOnce(&'static Library)) {
    in_own_process(test, &[], || {
        let blas = common::load("openblas-pthread");
        common::set(blas, "openblas_set_num_threads", START);
        body(blas);
    });
}

fn in_force(blas: &Library) -> i32 {
    common::get(blas, "openblas_get_num_threads")
}

fn plan(limit: u32) -> Plan {
    Limits::new()
        .user_api("blas", limit)
        .plan(&runtimes())
        .unwrap()
}

#[test]
fn a_limit_holds_until_its_guard_is_dropped() {
    alone("a_limit_holds_until_its_guard_is_dropped", |blas| {
        for limit in [1, 2, 3, 8] {
            let guard = plan(limit).limit_process().unwrap();
            assert_eq!(in_force(blas), limit as i32);
            let [outcome] = guard.outcomes() else {
                panic!("{:?}", guard.outcomes())
            };
            assert_eq!(outcome.requested, limit);
            assert_eq!(outcome.effective, Some(limit));
            assert_eq!(outcome.shortfall, None);
            drop(guard);
            assert_eq!(in_force(blas), START);
        }
    });
}

#[test]
fn the_smallest_alive_is_in_force_in_any_order_of_drops() {
    alone(
        "the_smallest_alive_is_in_force_in_any_order_of_drops",
        |blas| {
            let orders = [
                [0, 1, 2],
                [0, 2, 1],
                [1, 0, 2],
                [1, 2, 0],
                [2, 0, 1],
                [2, 1, 0],
            ];
            for entered in orders {
                for left in orders {
                    let limits = [2, 3, 6];
                    let mut guards = [None, None, None];
                    for place in entered {
                        guards[place] = Some(plan(limits[place]).limit_process().unwrap());
                        assert_smallest(blas, &guards, limits);
                    }
                    for place in left {
                        guards[place] = None;
                        assert_smallest(blas, &guards, limits);
                    }
                }
            }
        },
    );
}

fn assert_smallest<G>(blas: &Library, guards: &[Option<G>; 3], limits: [u32; 3]) {
    let alive = guards
        .iter()
        .zip(limits)
        .filter(|(guard, _)| guard.is_some());
    let expected = alive.map(|(_, limit)| limit as i32).min().unwrap_or(START);
    assert_eq!(in_force(blas), expected);
}

#[test]
fn a_nested_limit_says_that_a_smaller_one_is_in_force() {
    alone("a_nested_limit_says_that_a_smaller_one_is_in_force", |_| {
        let _outer = plan(2).limit_process().unwrap();
        let inner = plan(3).limit_process().unwrap();
        let outcome = &inner.outcomes()[0];
        assert_eq!(outcome.effective, Some(2));
        assert_eq!(outcome.shortfall, Some(Shortfall::Overridden { by: 2 }));
        assert!(outcome.is_honoured());
    });
}

#[test]
fn a_guard_may_go_on_another_thread() {
    alone("a_guard_may_go_on_another_thread", |blas| {
        let first = plan(1).limit_process().unwrap();
        let second = std::thread::spawn(|| plan(2).limit_process().unwrap())
            .join()
            .unwrap();
        assert_eq!(in_force(blas), 1);
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert_eq!(in_force(blas), 2);
        drop(second);
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn an_early_return_and_a_panic_restore() {
    alone("an_early_return_and_a_panic_restore", |blas| {
        fn fails(blas: &Library) -> Result<(), std::num::ParseIntError> {
            let _guard = plan(1).limit_process().unwrap();
            assert_eq!(in_force(blas), 1);
            "x".parse::<i32>()?;
            Ok(())
        }
        assert!(fails(blas).is_err());
        assert_eq!(in_force(blas), START);

        let panicked = catch_unwind(AssertUnwindSafe(|| {
            plan(1).run(|| {
                assert_eq!(in_force(blas), 1);
                panic!("in the scope of a limit");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn closures_and_wrapped_functions_run_under_the_limit() {
    alone(
        "closures_and_wrapped_functions_run_under_the_limit",
        |blas| {
            let limits = Limits::new().internal_api("openblas", 2);
            assert_eq!(limits.run(|| in_force(blas)).unwrap(), 2);
            assert_eq!(limits.run_thread(|| in_force(blas)).unwrap(), 2);
            let wrapped = limits.wrap(|plus: i32| in_force(blas) + plus);
            assert_eq!(in_force(blas), START);
            assert_eq!(wrapped(10).unwrap(), 12);
            assert_eq!(in_force(blas), START);
            assert_eq!(wrapped(20).unwrap(), 22);
            assert_eq!(limits.wrap_thread(|()| in_force(blas))(()).unwrap(), 2);
            assert_eq!(in_force(blas), START);
        },
    );
}

#[test]
fn the_most_specific_entry_counts() {
    alone("the_most_specific_entry_counts", |blas| {
        let path = the_one("openblas").filepath().display().to_string();
        for (text, expected) in [
            ("all=1".to_owned(), 1),
            ("all=1,blas=2".to_owned(), 2),
            ("openblas=3, blas=2, all=1".to_owned(), 3),
            ("libopenblas=5,openblas=3,blas=2".to_owned(), 5),
            (format!("{path}=6,libopenblas=5,all=1"), 6),
            // Through the link by which it was opened.
            (
                format!("{}=7", common::library("openblas-pthread").display()),
                7,
            ),
            ("openmp=1".to_owned(), START),
        ] {
            let limits: Limits = text.parse().unwrap();
            assert_eq!(limits.run(|| in_force(blas)).unwrap(), expected, "{text}");
            assert_eq!(in_force(blas), START);
        }
    });
}

#[test]
fn an_entry_that_means_nothing_is_reported_and_strict_mode_refuses_it() {
    alone(
        "an_entry_that_means_nothing_is_reported_and_strict_mode_refuses_it",
        |blas| {
            let limits: Limits = "blas=1,mkl=1".parse().unwrap();
            let guard = limits.limit_process().unwrap();
            assert_eq!(guard.unmatched(), ["mkl"]);
            assert_eq!(in_force(blas), 1);
            drop(guard);
            let error = limits.strict(true).limit_process().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotHonoured);
            assert!(
                error.to_string().contains("mkl: no such runtime"),
                "{error}"
            );
            assert_eq!(in_force(blas), START);
        },
    );
}

#[test]
fn a_limit_above_what_the_build_allows_is_a_reported_clamp() {
    alone(
        "a_limit_above_what_the_build_allows_is_a_reported_clamp",
        |blas| {
            let max = the_one("openblas").max_threads().unwrap();
            let guard = plan(max + 36).limit_process().unwrap();
            let outcome = &guard.outcomes()[0];
            assert_eq!(outcome.effective, Some(max));
            assert_eq!(
                outcome.shortfall,
                Some(Shortfall::Clamped {
                    max,
                    widened: false
                })
            );
            assert_eq!(in_force(blas), max as i32);
            drop(guard);
            assert_eq!(in_force(blas), START);
            // It holds, so strict mode has nothing against it.
            let strict = Limits::new().user_api("blas", max + 36).strict(true);
            drop(strict.limit_process().unwrap());
        },
    );
}

#[test]
fn a_limit_for_a_thread_is_widened_and_says_so() {
    alone("a_limit_for_a_thread_is_widened_and_says_so", |blas| {
        let guard = plan(1).limit_thread().unwrap();
        assert_eq!(
            guard.outcomes()[0].shortfall,
            Some(Shortfall::WidenedToProcess)
        );
        assert!(guard.outcomes()[0].is_honoured());
        assert_eq!(in_force(blas), 1);
        // Through the ledger of the process: limits for it and limits for threads are one family.
        let process = plan(2).limit_process().unwrap();
        assert_eq!(in_force(blas), 1);
        drop(guard);
        assert_eq!(in_force(blas), 2);
        drop(process);
        assert_eq!(in_force(blas), START);
    });
}

#[test]
fn a_lasting_change_waits_for_the_limits() {
    alone("a_lasting_change_waits_for_the_limits", |blas| {
        let runtime = the_one("openblas");
        assert_eq!(runtime.set_num_threads(5).unwrap().effective, Some(5));
        assert_eq!(in_force(blas), 5);

        let (one, two) = (
            plan(2).limit_process().unwrap(),
            plan(3).limit_process().unwrap(),
        );
        let outcome = runtime.set_num_threads(7).unwrap();
        assert_eq!(outcome.effective, Some(2));
        assert_eq!(outcome.shortfall, Some(Shortfall::Overridden { by: 2 }));
        assert_eq!(in_force(blas), 2);
        drop(one);
        assert_eq!(in_force(blas), 3);
        drop(two);
        assert_eq!(in_force(blas), 7);

        assert_eq!(
            runtime.set_num_threads(0).unwrap_err().kind(),
            ErrorKind::InvalidLimit
        );
        let max = runtime.max_threads().unwrap();
        let clamped = runtime.set_num_threads(max + 1).unwrap();
        assert_eq!(
            clamped.shortfall,
            Some(Shortfall::Clamped {
                max,
                widened: false
            })
        );
    });
}

#[test]
fn a_lasting_change_is_given_as_workers_too() {
    alone("a_lasting_change_is_given_as_workers_too", |blas| {
        let runtime = the_one("openblas");
        let cores = threadctl::cores().count();
        let outcome = runtime.set_num_threads(Workers::ALL).unwrap();
        assert_eq!(outcome.effective, Some(cores));
        assert_eq!(in_force(blas), i32::try_from(cores).unwrap());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(runtime.set_num_threads(&pool).unwrap().effective, Some(1));
        let guard = Limits::new()
            .user_api("blas", Workers::ALL)
            .limit_process()
            .unwrap();
        assert_eq!(in_force(blas), i32::try_from(cores).unwrap());
        drop(guard);
        assert_eq!(in_force(blas), 1);
    });
}

#[test]
fn what_was_not_limited_is_never_restored() {
    alone("what_was_not_limited_is_never_restored", |blas| {
        let limits: Limits = "openmp=1".parse().unwrap();
        let guard = limits.limit_process().unwrap();
        common::set(blas, "openblas_set_num_threads", 3);
        drop(guard);
        assert_eq!(in_force(blas), 3);
    });
}

#[test]
fn a_forgotten_guard_leaves_its_limit() {
    alone("a_forgotten_guard_leaves_its_limit", |blas| {
        std::mem::forget(plan(2).limit_process().unwrap());
        assert_eq!(in_force(blas), 2);
        drop(plan(1).limit_process().unwrap());
        assert_eq!(in_force(blas), 2);
    });
}

#[test]
fn a_guard_holds_the_library_that_it_will_restore() {
    use libloading::os::unix::{RTLD_LAZY, RTLD_LOCAL};
    const TEST: &str = "a_guard_holds_the_library_that_it_will_restore";
    in_own_process(TEST, &[], || {
        let path = common::library("openblas-pthread");
        let loaded = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.contains("libopenblas")
        };
        for _ in 0..5 {
            // SAFETY: OpenBLAS's initialisers, and at its end nobody is in a call.
            let blas = unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_LOCAL) }.unwrap();
            common::set(&blas, "openblas_set_num_threads", START);
            let guard = plan(2).limit_process().unwrap();
            let lasting = plan(1);
            blas.close().unwrap();
            assert!(loaded());
            let nested = lasting.limit_process().unwrap();
            assert_eq!(the_one("openblas").num_threads(), Some(1));
            drop((guard, nested));
            assert_eq!(the_one("openblas").num_threads(), Some(START as u32));
            assert!(loaded());
            drop(lasting);
            // With the plan the last reference went: nothing of it is called any more.
            assert!(!loaded());
            assert!(runtimes().is_empty());
        }
    });
}
