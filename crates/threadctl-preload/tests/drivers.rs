//! Drivers of LAPACK over libraries whose threads are watched while they run: MKL, and an OpenBLAS over OpenMP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{compiled, library, program, run_preloaded, text};
use std::path::Path;
use std::process::Command;

/// A fixture, linked with a library of the manifest.
fn linked(source: &str, key: &str, folder: &Path) -> Command {
    let blas = library(key);
    let search = format!("-Wl,-rpath,{}", blas.parent().unwrap().display());
    let arguments = [
        blas.to_str().unwrap(),
        &search,
        "-Wl,--no-as-needed",
        "-rdynamic",
        "-lm",
        "-lpthread",
    ];
    let fixture = compiled(folder.join("fixture"), source, &arguments);
    let mut command = program(&fixture);
    command.env("LD_LIBRARY_PATH", library("mkl-libs"));
    command
}

/// How often the driver went through threadctl, and products of the library's own.
fn decomposes(key: &str) -> [u64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let mut command = linked("fixtures/driver.c", key, folder.path());
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

/// The least and the most threads inside of a driver, called until there were as many as that; the thread's own number stays.
fn inside(key: &str, ask: &str, enough: u32, environment: &[(&str, &str)]) -> [u32; 2] {
    let folder = tempfile::tempdir().unwrap();
    let mut command = linked("fixtures/inside.c", key, folder.path());
    command.args([ask, &enough.to_string()]);
    command.envs(environment.iter().copied());
    let (output, counts) = run_preloaded(&mut command);
    assert!(output.status.success(), "{}", text(&output));
    assert!(counts[0]["dgees_"] >= 2, "{counts:?}");
    let numbers: Vec<u32> = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let [least, most, before, after] = numbers[..] else {
        panic!("{}", text(&output));
    };
    assert_eq!(before, after, "the thread's own number");
    [least, most]
}

#[test]
fn of_mkl_have_as_many_threads_as_there_are_idle_workers() {
    for layer in ["INTEL", "TBB"] {
        let cores = ("THREADCTL_NUM_THREADS", "2");
        let layer = ("MKL_THREADING_LAYER", layer);
        let two = inside("mkl-rt", "MKL_Get_Max_Threads", 2, &[layer, cores]);
        assert_eq!(two[1], 2, "{layer:?}");
        let limited = ("THREADCTL_LIMITS", "blas=1");
        let one = inside("mkl-rt", "MKL_Get_Max_Threads", 2, &[layer, cores, limited]);
        assert_eq!(one, [1, 1], "{layer:?}");
    }
}

#[test]
fn of_an_openmp_build_have_one_thread() {
    let number = [("OMP_NUM_THREADS", "3")];
    let seen = inside("openblas-openmp", "omp_get_max_threads", 2, &number);
    assert_eq!(seen, [1, 1]);
}

/// Handlers of wrong arguments that leave by `longjmp` leave nothing behind.
fn may_be_left(key: &str, ask: Option<&str>, environment: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = linked("fixtures/leaves.c", key, folder.path());
    command.args(ask);
    command.env("THREADCTL_NUM_THREADS", "2");
    command.envs(environment.iter().copied());
    let (output, _) = run_preloaded(&mut command);
    assert_eq!(output.stdout, b"right\n", "{}", text(&output));
}

#[test]
fn of_mkl_over_intel_openmp_may_be_left_by_longjmp() {
    let layer = [("MKL_THREADING_LAYER", "INTEL")];
    may_be_left("mkl-rt", Some("MKL_Get_Max_Threads"), &layer);
}

#[test]
fn of_mkl_over_tbb_may_be_left_by_longjmp() {
    let layer = [("MKL_THREADING_LAYER", "TBB")];
    may_be_left("mkl-rt", Some("MKL_Get_Max_Threads"), &layer);
}

#[test]
fn of_an_openmp_build_may_be_left_by_longjmp() {
    let number = [("OMP_NUM_THREADS", "3")];
    may_be_left("openblas-openmp", Some("omp_get_max_threads"), &number);
}

#[test]
fn of_an_openblas_with_threads_of_its_own_may_be_left_by_longjmp() {
    may_be_left("openblas-pthread", None, &[]);
}

/// It bears one caller at a time: the turn is given back too.
#[test]
fn of_an_openblas_without_threads_may_be_left_by_longjmp() {
    may_be_left("openblas-serial", Some("alone"), &[]);
}
