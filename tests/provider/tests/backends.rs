//! The program of this package on every backend, chosen by THREADCTL_BACKEND, and what it says where there is none.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::library;
use std::process::{Command, Output};

fn run(backend: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provider"));
    common::without_thread_variables(&mut command);
    command.env("THREADCTL_BACKEND", backend);
    command.env("LD_LIBRARY_PATH", common::mkl_folder());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The libraries of a backend, as a value of the variable.
fn choice(keys: &[&str]) -> String {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).to_str().unwrap().to_owned())
        .collect();
    paths.join(":")
}

fn solves(keys: &[&str]) {
    let output = run(&choice(keys));
    assert!(
        output.status.success(),
        "{keys:?}: {}",
        text(&output.stderr)
    );
    assert!(
        text(&output.stdout).contains(".so"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn openblas_of_the_wheel() {
    solves(&["scipy-openblas32"]);
}

#[test]
fn openblas_with_threads_of_its_own() {
    solves(&["openblas-pthread"]);
}

#[test]
fn openblas_over_openmp() {
    solves(&["openblas-openmp"]);
}

#[test]
fn openblas_without_threads() {
    solves(&["openblas-serial"]);
}

#[test]
fn mkl() {
    solves(&["mkl-rt"]);
}

#[test]
fn blis_with_the_reference_lapack() {
    solves(&["blis-pthread", "lapack"]);
}

#[test]
fn the_reference_libraries() {
    solves(&["netlib", "lapack"]);
}

#[test]
fn atlas() {
    if let Some(why) = common::absent("atlas") {
        assert!(why.contains("ATLAS"), "{why}");
        return;
    }
    solves(&["atlas", "atlas-lapack"]);
}

/// What the program says when it cannot compute; it must not go on.
fn last_words(backend: &str) -> String {
    let output = run(backend);
    assert!(!output.status.success(), "{backend} computed");
    assert_eq!(text(&output.stdout), "", "{backend} went on");
    text(&output.stderr)
}

#[test]
fn wide_integers_are_not_taken_for_narrow_ones() {
    let words = last_words(&choice(&["scipy-openblas64"]));
    for part in ["dgesvd_", "64-bit integers only", "libscipy_openblas64_.so"] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn a_lacking_routine_is_named_with_the_library_and_the_package() {
    let words = last_words(&choice(&["netlib"]));
    for part in ["dgesvd_", "libblas.so.3", "liblapack3", "THREADCTL_BACKEND"] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn what_is_no_backend_is_named() {
    let words = last_words("/no/such/libblas.so");
    assert!(words.contains("/no/such/libblas.so"), "{words}");
    let words = last_words(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert!(words.contains("invalid ELF header"), "{words}");
    let words = last_words("opneblas");
    assert!(words.contains("did you mean \"openblas\"?"), "{words}");
}

/// The program where nothing is named, and the loader comes to empty files under these names before any other, and to these
/// libraries under the others.
fn run_where(empty: &[&str], present: &[(&str, &str)], folders: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for name in empty {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    for (name, key) in present {
        std::os::unix::fs::symlink(library(key), folder.path().join(name)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_provider"));
    common::without_thread_variables(&mut command);
    let folders = [&[folder.path().to_str().unwrap()], folders].concat();
    command.env("LD_LIBRARY_PATH", folders.join(":"));
    command.env_remove("THREADCTL_BACKEND").output().unwrap()
}

const OPENBLAS: &[&str] = &["libopenblas.so.0", "libopenblas.so", "libscipy_openblas.so"];
const MKL: &[&str] = &[
    "libmkl_rt.so.3",
    "libmkl_rt.so.2",
    "libmkl_rt.so.1",
    "libmkl_rt.so",
];
const BLIS: &[&str] = &["libblis.so.4", "libblis.so.3", "libblis.so"];

#[test]
fn what_is_not_named_is_the_first_that_works() {
    let reference = [("libblas.so.3", "netlib"), ("liblapack.so.3", "lapack")];
    let mkl = common::mkl_folder();
    let none_of = |names: &[&[&'static str]]| names.concat();
    let found = [
        (
            "openblas",
            run_where(&[], &[("libopenblas.so.0", "openblas-pthread")], &[]),
        ),
        ("mkl", run_where(OPENBLAS, &[], &[&mkl])),
        (
            "blis",
            run_where(
                &none_of(&[OPENBLAS, MKL]),
                &[&[("libblis.so.4", "blis-pthread")], &reference[..]].concat(),
                &[],
            ),
        ),
        (
            "system",
            run_where(&none_of(&[OPENBLAS, MKL, BLIS]), &reference, &[]),
        ),
    ];
    for (name, output) in found {
        let words = text(&output.stdout) + &text(&output.stderr);
        assert!(
            output.status.success() && words.starts_with(&format!("{name} (")),
            "{name}: {words}"
        );
    }
}

#[test]
fn where_there_is_no_backend_it_says_what_to_install() {
    let all = [OPENBLAS, MKL, BLIS, &["libblas.so.3"]].concat();
    let output = run_where(&all, &[], &[]);
    let words = text(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(words.contains("no BLAS library was found"), "{words}");
    for part in threadctl::backend::available() {
        assert!(words.contains(part.install()), "{words}");
    }
    for name in all {
        assert!(words.contains(name), "{name} was not tried: {words}");
    }
}
