//! An OpenBLAS without threads and without locks, which computes wrong numbers for callers at once: not under the library, in
//! routines that dispatch does not cover either.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{compiled, library, program, run, run_preloaded, text};
use std::process::Output;

/// How many results were wrong.
fn wrong(output: &Output) -> u32 {
    assert!(output.status.success(), "{}", text(output));
    let number = String::from_utf8_lossy(&output.stdout);
    number
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn callers_at_once_of_a_serial_openblas_get_right_results() {
    let folder = tempfile::tempdir().unwrap();
    let openblas = library("openblas-serial");
    let search = format!("-Wl,-rpath,{}", openblas.parent().unwrap().display());
    let arguments = [openblas.to_str().unwrap(), &search, "-lpthread"];
    let callers = compiled(
        folder.path().join("callers"),
        "fixtures/callers.c",
        &arguments,
    );
    // A race: some hundred of 320,000 in most runs.
    let shows = (0..50).any(|_| wrong(&run(&mut program(&callers))) > 0);
    assert!(shows, "its results are right without the library too");
    for _ in 0..10 {
        let (output, counts) = run_preloaded(&mut program(&callers));
        assert_eq!(wrong(&output), 0);
        assert_eq!(counts[0]["daxpy_"], 1, "{counts:?}");
    }
}
