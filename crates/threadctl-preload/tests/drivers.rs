//! Drivers of LAPACK over libraries whose threads are watched while they run: MKL, and an OpenBLAS over OpenMP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{compiled, library, program, run_preloaded, text};

/// How often the driver went through threadctl, and products of the library's own.
fn decomposes(key: &str) -> [u64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let blas = library(key);
    let mkl = library("mkl-libs");
    let search = format!("-Wl,-rpath,{}", blas.parent().unwrap().display());
    let arguments = [blas.to_str().unwrap(), &search, "-Wl,--no-as-needed", "-lm"];
    let driver = compiled(
        folder.path().join("driver"),
        "fixtures/driver.c",
        &arguments,
    );
    let mut command = program(&driver);
    command.env("LD_LIBRARY_PATH", mkl);
    let (output, counts) = run_preloaded(&mut command);
    assert_eq!(output.stdout, b"right\n", "{}", text(&output));
    assert_eq!(output.stderr, b"", "{}", text(&output));
    let [counts] = &counts[..] else {
        panic!("several processes counted: {counts:?}");
    };
    ["dgesdd_", "dgemm_"].map(|name| counts.get(name).copied().unwrap_or_default())
}

#[test]
fn of_mkl_are_watched() {
    // MKL calls inside itself.
    assert_eq!(decomposes("mkl-rt"), [8, 0]);
}

#[test]
fn of_an_openmp_build_are_watched_and_call_back() {
    let [drivers, products] = decomposes("openblas-openmp");
    assert_eq!(drivers, 8);
    assert!(products > 10, "{products}");
}
