//! Programs that nobody changed, with and without the library: the same numbers within rounding, nothing more is written, and
//! the calls went through dispatch.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{file, library, program, run, run_preloaded, text};
use std::collections::BTreeMap;
use std::process::{Command, Output};

/// A program's lines: what it is, and a complex number.
fn numbers(output: &Output) -> BTreeMap<String, [f64; 2]> {
    assert!(output.status.success(), "{}", text(output));
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let parts = |line: &str| {
        let mut words = line.rsplitn(3, ' ');
        let mut number = || words.next()?.parse().ok();
        let (imaginary, real) = (number()?, number()?);
        Some((words.next()?.to_owned(), [real, imaginary]))
    };
    let read = |line: &str| parts(line).unwrap_or_else(|| panic!("no number: {line}"));
    lines.lines().map(read).collect()
}

/// How far apart results may be: sums in another order, in single precision where the name says so.
fn tolerance(what: &str) -> f64 {
    if what.ends_with("float32") || what.ends_with("complex64") {
        1e-4
    } else {
        1e-11
    }
}

/// Runs it both ways. `routines` are such as must have been counted.
fn is_unharmed(new: impl Fn() -> Command, at_least: usize, routines: &[&str]) {
    let without = run(&mut new());
    let expected = numbers(&without);
    assert!(expected.len() >= at_least, "{expected:?}");
    let (with, counts) = run_preloaded(&mut new());
    let found = numbers(&with);
    assert_eq!(with.stderr, without.stderr, "{}", text(&with));
    assert!(found.keys().eq(expected.keys()), "{found:?}");
    for (what, expected) in &expected {
        let found = found[what];
        let off = (found[0] - expected[0]).hypot(found[1] - expected[1]);
        let size = expected[0].hypot(expected[1]).max(1.0);
        assert!(
            off <= tolerance(what) * size,
            "{what}: {found:?} in place of {expected:?}"
        );
    }
    let [counts] = &counts[..] else {
        panic!("several processes counted: {counts:?}");
    };
    for routine in routines {
        assert!(counts.contains_key(*routine), "no {routine}: {counts:?}");
    }
}

fn debian(script: &str) -> Command {
    let mut command = program(library("debian-python"));
    command.arg(file(script));
    command
}

fn wheels(script: &str) -> Command {
    wheels_of(&["python-packages"], script)
}

/// With the packages of these folders.
fn wheels_of(folders: &[&str], script: &str) -> Command {
    let mut command = program(library("python"));
    let search = std::env::join_paths(folders.iter().map(|key| library(key))).unwrap();
    command.env("PYTHONPATH", search);
    command.arg(file(script));
    command
}

/// What every numpy calls itself, whatever its library calls inside. It has LAPACK in double precision only.
const NUMPY: &[&str] = &[
    "cblas_dgemm",
    "cblas_zgemm",
    "cblas_sgemm",
    "cblas_cgemm",
    "cblas_dsyrk",
    "cblas_dgemv",
    "cblas_zdotc_sub",
    "cblas_cdotu_sub",
    "dgesv_",
    "zgesv_",
    "dgetrf_",
    "dpotrf_",
    "dgeqrf_",
    "zungqr_",
];

const SCIPY: &[&str] = &[
    "cblas_dgemm",
    "dgemm_",
    "sgemm_",
    "zgemm_",
    "idamax_",
    "dgetrf_",
    "dgetrs_",
    "dgetri_",
    "dpotrf_",
    "dgeqrf_",
];

#[test]
fn numpy_of_debian() {
    // Debian's LAPACK makes its calls by name: those inside a decomposition are seen too.
    let routines = [NUMPY, &["dsyr2k_", "ztrmm_"]].concat();
    is_unharmed(|| debian("programs/matrices.py"), 92, &routines);
}

#[test]
fn numpy_of_pypi() {
    is_unharmed(|| wheels("programs/matrices.py"), 92, NUMPY);
}

#[test]
fn scipy_of_debian() {
    library("debian-scipy");
    is_unharmed(|| debian("programs/science.py"), 23, SCIPY);
}

#[test]
fn numpy_and_scipy_of_pypi_with_an_openblas_each() {
    is_unharmed(|| wheels("programs/science.py"), 23, SCIPY);
}

const LEARN: &[&str] = &["cblas_dgemm", "cblas_dsyrk", "dpotrf_", "dgeqrf_"];

#[test]
fn scikit_learn_of_debian() {
    library("debian-scikit-learn");
    is_unharmed(|| debian("programs/learn.py"), 9, LEARN);
}

#[test]
fn scikit_learn_of_pypi() {
    let folders = ["python-packages", "learn"];
    is_unharmed(|| wheels_of(&folders, "programs/learn.py"), 9, LEARN);
}

#[test]
fn r() {
    let r = || {
        let mut command = program(library("rscript"));
        command.args(["--vanilla", file("programs/matrices.R").to_str().unwrap()]);
        command
    };
    is_unharmed(
        r,
        15,
        &[
            "dgemm_", "zgemm_", "dsyrk_", "dgesv_", "dpotrf_", "dpotri_", "dtrsm_", "dsyr2k_",
        ],
    );
}

#[test]
fn octave() {
    let octave = || {
        let mut command = program(library("octave"));
        command.args(["--no-init-file", "--no-gui", "--quiet"]);
        command.arg(file("programs/matrices.m"));
        command
    };
    is_unharmed(
        octave,
        16,
        &[
            "dgemm_", "sgemm_", "zgemm_", "dgetrf_", "dpotrf_", "dgeqrf_", "dsyr2k_",
        ],
    );
}

fn forks(new: impl Fn() -> Command) {
    let (output, counts) = run_preloaded(&mut new());
    assert_eq!(output.stdout, b"right\n", "{}", text(&output));
    assert_eq!(output.stderr, b"", "{}", text(&output));
    // The program, and the child that ended as programs do; those of the pool end without a report.
    assert_eq!(counts.len(), 2, "{counts:?}");
    for counts in counts {
        assert!(counts["cblas_dgemm"] >= 2, "{counts:?}");
        assert!(counts["dgesv_"] >= 2, "{counts:?}");
    }
}

#[test]
fn forked_children_of_debian_compute() {
    forks(|| debian("programs/forks.py"));
}

#[test]
fn forked_children_of_pypi_compute() {
    forks(|| wheels("programs/forks.py"));
}

#[test]
fn a_program_without_blas_does_not_notice() {
    let mut command = program("/bin/echo");
    command.arg("here").env("LD_PRELOAD", preloaded::preload());
    let output = run(&mut command);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"here\n");
    assert_eq!(output.stderr, b"");
}

/// How much of a product's CPU time helpers had, in percent, and what was written to standard error.
fn helped(variables: &[(&str, &str)]) -> (u32, String) {
    let mut command = wheels("programs/limits.py");
    command.envs(variables.iter().copied());
    command.env("LD_PRELOAD", preloaded::preload());
    let output = run(&mut command);
    assert!(output.status.success(), "{}", text(&output));
    let share = String::from_utf8_lossy(&output.stdout).trim().parse();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (share.unwrap(), log)
}

#[test]
fn variables_of_threadctl_are_in_force() {
    let (share, log) = helped(&[]);
    assert!(share > 25, "nobody helped: {share} %");
    assert_eq!(log, "");
    let (share, log) = helped(&[
        ("THREADCTL_LIMITS", "blas=1"),
        ("THREADCTL_LOG", "info"),
        ("THREADCTL_SCOPE", "proces"),
    ]);
    assert!(share <= 5, "somebody helped: {share} %");
    for part in [
        "THREADCTL_LIMITS: ",
        "its calls go through dispatch",
        "did you mean \"process\"",
    ] {
        assert!(log.contains(part), "no {part:?} in {log}");
    }
    // For the thread that makes the first call, which is the only one.
    let (share, log) = helped(&[("THREADCTL_LIMITS", "all=1"), ("THREADCTL_SCOPE", "thread")]);
    assert!(share <= 5, "somebody helped: {share} %");
    assert_eq!(log, "");
}
