//! Another backend while calls run, and a forked child.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../common/mod.rs"]
mod common;
mod work;

use common::{in_own_process, library};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use threadctl::backend;
use threadctl_src as _;
use work::{in_child, paths, solves};

#[test]
fn calls_end_right_while_the_backend_changes() {
    let test = "calls_end_right_while_the_backend_changes";
    let path = library("scipy-openblas32").display().to_string();
    in_own_process(test, &[("THREADCTL_BACKEND", &path)], || {
        let blis = format!(
            "{}:{}",
            library("blis-pthread").display(),
            library("lapack").display()
        );
        let choices: Vec<backend::Choice> = [
            path.as_str(),
            &blis,
            library("openblas-pthread").to_str().unwrap(),
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        solves(60);
        let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        solves(60);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for round in 0..30 {
                let choice = &choices[round % choices.len()];
                // SAFETY: BLAS libraries.
                let new = unsafe { backend::switch(choice) }.unwrap();
                assert_eq!(new.name(), choice.to_string());
                // So that calls are made on each of them.
                let before = calls.load(Ordering::Relaxed);
                while calls.load(Ordering::Relaxed) < before + 6 {
                    std::thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        // What cannot be opened changes nothing.
        let before = backend::current().unwrap().name();
        // SAFETY: there is none.
        let wrong = unsafe { backend::switch(&"/no/such/libblas.so".parse().unwrap()) };
        assert!(
            wrong
                .unwrap_err()
                .to_string()
                .contains("/no/such/libblas.so")
        );
        assert_eq!(backend::current().unwrap().name(), before);
        solves(60);
    });
}

fn forks(test: &str, keys: &[&str]) {
    in_own_process(test, &[("THREADCTL_BACKEND", &paths(keys))], || {
        // The first calls of all in a child; then after the parent has called; the child finds routines of its own too.
        assert!(in_child(|| solves(120)), "a child that begins");
        solves(120);
        for _ in 0..5 {
            assert!(in_child(|| solves(120)), "a child that goes on");
        }
        solves(120);
    });
}

#[test]
fn a_forked_child_computes_on_openblas() {
    forks("a_forked_child_computes_on_openblas", &["scipy-openblas32"]);
}

#[test]
fn a_forked_child_computes_on_the_reference_libraries() {
    forks(
        "a_forked_child_computes_on_the_reference_libraries",
        &["netlib", "lapack"],
    );
}
