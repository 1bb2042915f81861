//! Another backend while calls run, and a forked child.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library};
use ndarray::{Array1, Array2};
use ndarray_linalg::{Norm as _, SVD as _, Solve as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use threadctl::backend;
use threadctl_src as _;

/// A system whose solution is known, with as many operations inside and outside of dispatch.
fn solves(order: usize) {
    let matrix = Array2::from_shape_fn((order, order), |(row, column)| {
        let diagonal = if row == column { order as f64 } else { 0.0 };
        ((row * 7 + column * 3) % 11) as f64 + diagonal
    });
    let known = Array1::from_shape_fn(order, |row| 1.0 + row as f64 / order as f64);
    let right: Array1<f64> = matrix
        .rows()
        .into_iter()
        .map(|row| row.iter().zip(&known).map(|(a, x)| a * x).sum::<f64>())
        .collect();
    let solution = matrix.solve(&right).unwrap();
    let off = (&solution - &known).fold(0.0, |worst: f64, x| x.abs().max(worst));
    assert!(off < 1e-11, "{off:e} off on {:?}", backend::current());
    let (_, singular, _) = matrix.svd(false, false).unwrap();
    let squares: f64 = matrix.iter().map(|x| x * x).sum();
    let ratio = singular.norm_l2() / squares.sqrt();
    assert!(
        (ratio - 1.0).abs() < 1e-11,
        "{ratio} on {:?}",
        backend::current()
    );
}

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

/// Forks, runs `body` in the child, and returns whether it ended well.
fn in_child(body: impl FnOnce()) -> bool {
    // SAFETY: the child calls what it must be able to call after a fork, and ends without running anything else.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!right)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

fn forks(test: &str, keys: &[&str]) {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).display().to_string())
        .collect();
    in_own_process(test, &[("THREADCTL_BACKEND", &paths.join(":"))], || {
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
