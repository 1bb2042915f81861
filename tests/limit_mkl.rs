//! Limits on MKL: a number for the process, and one for each thread that goes before it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::in_own_process;
use libloading::os::unix::Library;
use std::sync::mpsc;
use threadctl::{ErrorKind, Limits, ProcessGuard, Shortfall, ThreadGuard, runtimes};

const START: i32 = 6;

/// MKL on the named layer in a process of its own. With MKL_DYNAMIC off, it takes more threads than there are cores.
fn alone(test: &str, layer: &str, dynamic: &str, body: impl FnOnce(&'static Library)) {
    let folder = common::mkl_folder();
    let environment = [
        ("LD_LIBRARY_PATH", folder.as_str()),
        ("MKL_THREADING_LAYER", layer),
        ("MKL_DYNAMIC", dynamic),
        ("MKL_NUM_THREADS", "6"),
    ];
    in_own_process(test, &environment, || {
        common::load_path("libm.so.6".as_ref());
        body(common::load("mkl-rt"));
    });
}

fn in_force(mkl: &Library) -> i32 {
    common::get(mkl, "MKL_Get_Max_Threads")
}

/// The same, for a thread that has no number of its own.
fn elsewhere(mkl: &'static Library) -> i32 {
    std::thread::spawn(move || in_force(mkl)).join().unwrap()
}

fn process(limit: u32) -> ProcessGuard {
    Limits::new()
        .internal_api("mkl", limit)
        .limit_process()
        .unwrap()
}

fn thread(limit: u32) -> ThreadGuard {
    Limits::new()
        .internal_api("mkl", limit)
        .limit_thread()
        .unwrap()
}

#[test]
fn each_scope_is_set_through_its_own_setter() {
    alone(
        "each_scope_is_set_through_its_own_setter",
        "INTEL",
        "FALSE",
        |mkl| {
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
            let guard = process(2);
            assert_eq!(guard.outcomes()[0].effective, Some(2));
            assert_eq!(guard.outcomes()[0].shortfall, None);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (2, 2));
            drop(guard);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
            let guard = thread(3);
            assert_eq!(guard.outcomes()[0].effective, Some(3));
            assert_eq!(guard.outcomes()[0].shortfall, None);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (3, START));
            drop(guard);
            // "None of its own" is what came back, so the thread follows the process again.
            common::set(mkl, "MKL_Set_Num_Threads", 5);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (5, 5));
        },
    );
}

#[test]
fn a_threads_limit_does_not_widen_the_processs() {
    alone(
        "a_threads_limit_does_not_widen_the_processs",
        "GNU",
        "FALSE",
        |mkl| {
            let outer = process(2);
            let inner = thread(4);
            assert_eq!(in_force(mkl), 2);
            assert_eq!(inner.outcomes()[0].effective, Some(2));
            assert_eq!(
                inner.outcomes()[0].shortfall,
                Some(Shortfall::Overridden { by: 2 })
            );
            let innermost = thread(1);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (1, 2));
            drop(innermost);
            assert_eq!(in_force(mkl), 2);
            drop(outer);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (4, START));
            drop(inner);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
        },
    );
}

#[test]
fn a_limit_for_the_process_reaches_the_thread_that_makes_it() {
    alone(
        "a_limit_for_the_process_reaches_the_thread_that_makes_it",
        "INTEL",
        "FALSE",
        |mkl| {
            let own = thread(4);
            let all = process(2);
            assert_eq!(all.outcomes()[0].shortfall, None);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (2, 2));
            drop(all);
            // The process's original was read past the thread's own number.
            assert_eq!((in_force(mkl), elsewhere(mkl)), (4, START));
            let all = process(5);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (4, 5));
            drop(own);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (5, 5));
            drop(all);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
        },
    );
}

#[test]
fn larger_limits_of_other_threads_are_reported_and_strict_mode_refuses() {
    alone(
        "larger_limits_of_other_threads_are_reported_and_strict_mode_refuses",
        "INTEL",
        "FALSE",
        |mkl| {
            let (ready, wait) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let other = std::thread::spawn(move || {
                let _guard = thread(4);
                ready.send(in_force(mkl)).unwrap();
                let _ = ended.recv();
                in_force(mkl)
            });
            assert_eq!(wait.recv().unwrap(), 4);
            assert_eq!(process(4).outcomes()[0].shortfall, None);
            let guard = process(2);
            assert_eq!(
                guard.outcomes()[0].shortfall,
                Some(Shortfall::ThreadLimitsGoBefore { threads: 1 })
            );
            drop(guard);
            let strict = Limits::new().internal_api("mkl", 2).strict(true);
            let error = strict.limit_process().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotHonoured);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
            drop(end);
            assert_eq!(other.join().unwrap(), 4);
            // With that thread's guard gone, it holds.
            let guard = strict.limit_process().unwrap();
            assert_eq!(elsewhere(mkl), 2);
            drop(guard);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
        },
    );
}

#[test]
fn physical_cores_cap_the_process_and_the_limit_holds() {
    alone(
        "physical_cores_cap_the_process_and_the_limit_holds",
        "INTEL",
        "TRUE",
        |mkl| {
            let before = in_force(mkl);
            let guard = Limits::new()
                .internal_api("mkl", 4096)
                .strict(true)
                .limit_process()
                .unwrap();
            let outcome = &guard.outcomes()[0];
            let effective = outcome.effective.unwrap();
            assert!(effective < 4096);
            assert_eq!(outcome.shortfall, Some(Shortfall::Capped));
            assert_eq!(in_force(mkl), effective as i32);
            drop(guard);
            assert_eq!(in_force(mkl), before);
        },
    );
}

#[test]
fn over_tbb_only_threads_can_be_limited() {
    alone(
        "over_tbb_only_threads_can_be_limited",
        "TBB",
        "FALSE",
        |mkl| {
            let before = in_force(mkl);
            let guard = process(1);
            assert_eq!(guard.outcomes()[0].shortfall, Some(Shortfall::ThreadOnly));
            assert_eq!(in_force(mkl), before);
            drop(guard);
            let guard = thread(1);
            assert_eq!(guard.outcomes()[0].shortfall, None);
            assert_eq!((in_force(mkl), elsewhere(mkl)), (1, before));
            drop(guard);
            assert_eq!(in_force(mkl), before);
        },
    );
}

#[test]
fn the_sequential_layer_is_within_every_limit() {
    alone(
        "the_sequential_layer_is_within_every_limit",
        "SEQUENTIAL",
        "FALSE",
        |mkl| {
            let guard = Limits::new()
                .internal_api("mkl", 1)
                .strict(true)
                .limit_process()
                .unwrap();
            assert_eq!(guard.outcomes()[0].effective, Some(1));
            assert_eq!(guard.outcomes()[0].shortfall, None);
            assert_eq!(in_force(mkl), 1);
            let found = runtimes().select(|runtime| runtime.internal_api() == "mkl");
            let error = found.iter().next().unwrap().set_num_threads(2).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        },
    );
}

#[test]
fn many_threads_with_limits_of_both_scopes_leave_nothing_behind() {
    alone(
        "many_threads_with_limits_of_both_scopes_leave_nothing_behind",
        "INTEL",
        "FALSE",
        |mkl| {
            let found = runtimes();
            let plans: Vec<_> = (1..=5)
                .map(|limit| {
                    Limits::new()
                        .internal_api("mkl", limit)
                        .plan(&found)
                        .unwrap()
                })
                .collect();
            std::thread::scope(|scope| {
                for turn in 0..8 {
                    let plans = &plans;
                    scope.spawn(move || {
                        for round in turn..turn + 500 {
                            let (own, all) = (round % 5, (round * 3 + turn) % 5);
                            let thread = plans[own].limit_thread().unwrap();
                            assert!(in_force(mkl) <= own as i32 + 1);
                            let process = plans[all].limit_process().unwrap();
                            assert!(in_force(mkl) <= own.min(all) as i32 + 1);
                            if round % 2 == 0 {
                                drop(thread);
                                drop(process);
                            } else {
                                drop(process);
                                drop(thread);
                            }
                        }
                    });
                }
            });
            assert_eq!((in_force(mkl), elsewhere(mkl)), (START, START));
            // Nobody is counted any more who has limits of his own.
            assert_eq!(process(1).outcomes()[0].shortfall, None);
        },
    );
}

#[test]
fn two_files_of_mkl_are_one_number_with_one_account() {
    let folder = common::mkl_folder();
    let test = "two_files_of_mkl_are_one_number_with_one_account";
    let environment = [
        ("LD_LIBRARY_PATH", &*folder),
        ("MKL_DYNAMIC", "FALSE"),
        ("MKL_NUM_THREADS", "6"),
    ];
    in_own_process(test, &environment, || {
        let folder = common::library("mkl-libs");
        for name in [
            "libm.so.6",
            "libiomp5.so",
            "libmkl_core.so.3",
            "libmkl_intel_thread.so.3",
            "libmkl_intel_lp64.so.3",
        ] {
            let in_folder = folder.join(name);
            common::load_path(if in_folder.exists() {
                &in_folder
            } else {
                name.as_ref()
            });
        }
        let narrow = process(2);
        let mkl = common::load("mkl-rt");
        assert_eq!(in_force(mkl), 2);
        let wide = process(4);
        assert_eq!(
            in_force(mkl),
            2,
            "the smallest alive, whichever file it was taken through"
        );
        drop(narrow);
        assert_eq!(in_force(mkl), 4);
        drop(wide);
        assert_eq!(in_force(mkl), 6);
    });
}
