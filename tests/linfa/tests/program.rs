//! The program of this package on backends of each kind: its numbers are right, and its calls go through dispatch, those inside
//! the backend's least squares too where they can be seen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::library;
use std::process::Command;

fn fits(keys: &[&str], inside: bool) {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).to_str().unwrap().to_owned())
        .collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_regression"));
    common::without_thread_variables(&mut command);
    command.env("THREADCTL_BACKEND", paths.join(":"));
    command.env("LD_LIBRARY_PATH", common::mkl_folder());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{keys:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The prediction; and what `dgelsd` begins with.
    assert!(text.contains("cblas_dgemv"), "{keys:?}: {text}");
    assert_eq!(text.contains("dormqr_"), inside, "{keys:?}: {text}");
}

#[test]
fn on_openblas() {
    fits(&["scipy-openblas32"], true);
    fits(&["openblas-pthread"], true);
}

#[test]
fn on_the_reference_lapack() {
    fits(&["blis-pthread", "lapack"], true);
    fits(&["netlib", "lapack"], true);
}

#[test]
fn on_mkl_which_calls_inside_itself() {
    fits(&["mkl-rt"], false);
}
