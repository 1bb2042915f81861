//! The library is built, and a program that has no BLAS does not notice it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::Command;

#[test]
fn a_program_without_blas_does_not_notice() {
    let mut command = Command::new("/bin/echo");
    command.arg("here").env("LD_PRELOAD", common::preload());
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"here\n");
    assert_eq!(output.stderr, b"");
}
