//! Shared calls in forked children, where none of the parent's workers exist: right results, and no hang.
//!
//! Each test has a process of its own, since a fork of a process with many threads copies locks as they are.
#![cfg(not(miri))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/watch.rs"]
mod watch;

use common::in_own_process;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use threadctl::dispatch::{share, width};
use watch::{cores, pool, pool_name, until, within};

/// Runs `body` in a forked child; fails unless that says `true`, and soon.
fn forked(body: impl FnOnce() -> bool) {
    // SAFETY: the child runs what this file is about, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let well = catch_unwind(AssertUnwindSafe(body)).unwrap_or(false);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(if well { 0 } else { 7 }) };
    }
    let since = Instant::now();
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if since.elapsed() > Duration::from_secs(60) {
            // SAFETY: our child, which has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(status, 0, "the child's status");
}

fn computes() -> bool {
    let sum = AtomicUsize::new(0);
    for tiles in [1, 2, 100] {
        share(tiles, |tile| {
            sum.fetch_add(tile, SeqCst);
        });
    }
    sum.load(SeqCst) == 1 + 4950
}

/// Without helpers, on this thread.
fn computes_alone() -> bool {
    let threads = Mutex::new(HashSet::new());
    share(100, |_| {
        threads.lock().unwrap().insert(std::thread::current().id());
    });
    computes() && threads.lock().unwrap().len() == 1 && width() == 1
}

/// In a pool that this process makes itself.
fn computes_in_a_new_pool() -> bool {
    let new = pool("new", 4);
    let inside = AtomicUsize::new(0);
    let names = Mutex::new(HashSet::new());
    new.install(|| {
        share(4, |_| {
            names.lock().unwrap().insert(pool_name());
            inside.fetch_add(1, SeqCst);
            until(|| inside.load(SeqCst) == 4);
        });
    });
    new.install(|| width() == 4 && computes())
        && names.into_inner().unwrap() == HashSet::from(["new".to_owned()])
}

fn every_kind_of_child() {
    forked(computes_alone);
    forked(|| std::thread::spawn(computes_alone).join().unwrap());
    forked(computes_in_a_new_pool);
    forked(|| {
        forked(computes_alone);
        forked(computes_in_a_new_pool);
        computes_in_a_new_pool() && computes_alone()
    });
}

#[test]
fn children_of_a_thread_that_no_pool_knows() {
    in_own_process("children_of_a_thread_that_no_pool_knows", &[], || {
        let _cores = cores(8);
        within(250, "children", || {
            assert!(computes());
            every_kind_of_child();
            assert!(computes());
        });
    });
}

#[test]
fn children_of_a_worker() {
    in_own_process("children_of_a_worker", &[], || {
        let _cores = cores(8);
        let pool = pool("mine", 4);
        within(250, "children", || {
            pool.install(|| {
                assert!(computes());
                every_kind_of_child();
                assert!(computes() && width() == 4);
            });
            assert!(rayon::scope(|_| computes()));
        });
    });
}

/// A child that leaves from within the tile, as programs do that start another program.
#[test]
fn children_of_a_tile() {
    in_own_process("children_of_a_tile", &[], || {
        let _cores = cores(8);
        let pool = pool("mine", 4);
        within(250, "children", || {
            let ran = AtomicUsize::new(0);
            pool.install(|| {
                share(8, |_| {
                    forked(computes_alone);
                    ran.fetch_add(1, SeqCst);
                });
            });
            assert_eq!(ran.load(SeqCst), 8);
        });
    });
}

#[test]
fn children_while_other_threads_call() {
    in_own_process("children_while_other_threads_call", &[], || {
        let _cores = cores(4);
        let pool = pool("mine", 4);
        let done = AtomicBool::new(false);
        assert!(computes());
        within(250, "children", || {
            std::thread::scope(|scope| {
                let busy = || {
                    while !done.load(SeqCst) {
                        assert!(computes());
                    }
                };
                for _ in 0..4 {
                    scope.spawn(busy);
                }
                let pool = &pool;
                scope.spawn(move || pool.install(busy));
                for _ in 0..100 {
                    forked(computes_alone);
                }
                for _ in 0..10 {
                    forked(computes_in_a_new_pool);
                }
                done.store(true, SeqCst);
            });
        });
    });
}

/// The library hears of forks from its first use on. A child of a process that has not used it yet has right results, too.
#[test]
fn children_of_a_process_that_has_not_called_yet() {
    in_own_process("children_of_a_process_that_has_not_called_yet", &[], || {
        let _cores = cores(8);
        let pool = pool("mine", 4);
        within(250, "children", || {
            pool.install(|| forked(computes));
            forked(computes);
            forked(computes_in_a_new_pool);
        });
    });
}
