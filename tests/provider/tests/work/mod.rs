//! What the tests of faults compute: systems whose solutions are known, in this process and in forked children.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses a part of it, and a test fails by panicking"
)]

use crate::common::library;
use ndarray::{Array1, Array2};
use ndarray_linalg::{Norm as _, SVD as _, Solve as _};
use threadctl::backend;

/// The libraries of a backend, as a value of THREADCTL_BACKEND.
pub fn paths(keys: &[&str]) -> String {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).to_str().unwrap().to_owned())
        .collect();
    paths.join(":")
}

/// Solves a system of that order, which goes through dispatch, and finds singular values, which the backend's own LAPACK does.
pub fn solves(order: usize) {
    let matrix = Array2::from_shape_fn((order, order), |(row, column)| {
        let diagonal = if row == column { order as f64 } else { 0.0 };
        ((row * 7 + column * 3) % 11) as f64 + diagonal
    });
    let known = Array1::from_shape_fn(order, |row| 1.0 + row as f64 / order as f64);
    // In plain loops, which no BLAS has part in.
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

/// Longer than anything here takes on a machine that others use too.
const PATIENCE: u32 = 120;

/// Forks, runs `body` in the child, and returns whether it ended well. A child that hangs is ended by the system.
pub fn in_child(body: impl FnOnce()) -> bool {
    // SAFETY: the child calls what it must be able to call after a fork, and ends without running anything else.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            // SAFETY: sets a timer, whose signal ends the process.
            unsafe { libc::alarm(PATIENCE) };
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
