//! What the tests of the preload library share: where it is, and programs that run with it.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test file uses a part of it, and a test fails by panicking"
)]

use std::path::PathBuf;

/// The library under test. Cargo builds it for the tests of its package, beside the test programs.
pub fn preload() -> PathBuf {
    let program = std::env::current_exe().expect("the test program's path");
    let library = program.with_file_name("libthreadctl_preload.so");
    assert!(library.exists(), "{} was not built", library.display());
    library
}
