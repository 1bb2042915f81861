//! Limits on BLIS: a number for the process in version 0.9, where "nobody has set it" is a value of its own (-1), and
//! one for each thread since 1.0.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::in_own_process;
use libloading::os::unix::Library;
use threadctl::{ErrorKind, Limits, SetterScope, Shortfall, runtimes};

fn in_force(blis: &Library) -> i32 {
    common::get(blis, "bli_thread_get_num_threads")
}

fn elsewhere(blis: &Library) -> i32 {
    std::thread::scope(|scope| scope.spawn(|| in_force(blis)).join().unwrap())
}

/// The build under test, in a process of its own.
fn alone(test: &str, build: &str, body: impl Fn(&'static Library)) {
    in_own_process(test, &[], || body(common::load(build)));
}

fn unset_comes_back(blis: &Library) {
    let unset = (in_force(blis), elsewhere(blis));
    let limits = Limits::new().user_api("blas", 2).strict(true);
    let outer = limits.limit_thread().unwrap();
    assert_eq!(in_force(blis), 2);
    let found = runtimes().select(|runtime| runtime.internal_api() == "blis");
    let process_wide = match found.iter().next().unwrap().setter_scope() {
        SetterScope::Process => true,
        SetterScope::Thread => false,
        other => unreachable!("{other}"),
    };
    assert_eq!(
        outer.outcomes()[0].shortfall,
        process_wide.then_some(Shortfall::WidenedToProcess)
    );
    assert_eq!(elsewhere(blis), if process_wide { 2 } else { unset.1 });

    let inner = limits.limit_process();
    if process_wide {
        let inner = inner.unwrap();
        drop(outer);
        assert_eq!((in_force(blis), elsewhere(blis)), (2, 2));
        drop(inner);
    } else {
        assert_eq!(inner.unwrap_err().kind(), ErrorKind::NotHonoured);
        drop(outer);
    }
    assert_eq!((in_force(blis), elsewhere(blis)), unset);
}

#[test]
fn the_openmp_build_is_unset_again() {
    alone("the_openmp_build_is_unset_again", "blis-openmp", |blis| {
        unset_comes_back(blis);
    });
}

#[test]
fn the_pthreads_build_is_unset_again() {
    alone(
        "the_pthreads_build_is_unset_again",
        "blis-pthread",
        |blis| {
            unset_comes_back(blis);
        },
    );
}

#[test]
fn a_set_number_comes_back() {
    alone("a_set_number_comes_back", "blis-openmp", |blis| {
        common::set(blis, "bli_thread_set_num_threads", 5);
        let guard = Limits::new().user_api("blas", 1).limit_thread().unwrap();
        assert_eq!(in_force(blis), 1);
        drop(guard);
        assert_eq!(in_force(blis), 5);
    });
}

#[test]
fn a_serial_build_is_within_every_limit_and_never_set() {
    alone(
        "a_serial_build_is_within_every_limit_and_never_set",
        "blis-serial",
        |blis| {
            let unset = in_force(blis);
            let limits = Limits::new().user_api("blas", 2).strict(true);
            for outcomes in [
                limits.limit_process().unwrap().outcomes().to_vec(),
                limits.limit_thread().unwrap().outcomes().to_vec(),
            ] {
                assert_eq!(outcomes.len(), 1);
                assert_eq!(outcomes[0].effective, Some(1));
                let clamped = Shortfall::Clamped {
                    max: 1,
                    widened: false,
                };
                assert_eq!(
                    outcomes[0].shortfall,
                    Some(clamped),
                    "more than it can have"
                );
            }
            let _guard = limits.limit_process().unwrap();
            // It would echo whatever it was told.
            assert_eq!(in_force(blis), unset);
        },
    );
}
