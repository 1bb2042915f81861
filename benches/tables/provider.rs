//! What the provider costs a program: per call over a direct one, and at its start over a program that is linked with OpenBLAS.
//! The programs are those of `tests/provider`.

use super::{machine, shown, whole};
use crate::common::{manifest, spread};
use std::process::Command;

/// A backend: its name in the table, and in the manifest.
const BACKENDS: &[(&str, &str)] = &[
    ("OpenBLAS 0.3.34, the wheel's", "scipy-openblas32"),
    ("OpenBLAS 0.3.21, Debian's", "openblas-pthread"),
    ("the same over OpenMP", "openblas-openmp"),
    ("BLIS 0.9, Debian's", "blis-pthread"),
    ("the reference BLAS", "netlib"),
    ("MKL 2026.2", "mkl-rt"),
];

fn program(name: &str) -> String {
    let folder = std::env::var("THREADCTL_PROVIDER_BINS");
    let folder = folder.expect("run `cargo xtask bench`, which sets THREADCTL_PROVIDER_BINS");
    format!("{folder}/{name}")
}

fn on(name: &str, backend: &str) -> Command {
    let mut command = Command::new(program(name));
    command
        .env("THREADCTL_BACKEND", manifest(backend, "path"))
        .env("LD_LIBRARY_PATH", manifest("mkl-libs", "path"));
    command
}

/// The table.
pub fn table() -> String {
    let mut text = String::from(
        "| backend | routine | | direct call, ns | more through the provider, ns |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, key) in BACKENDS {
        let output = on("cost", key).output().expect("the program runs");
        assert!(output.status.success(), "{key}: {output:?}");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [routine, kind, direct, more, low, high] = words[..] else {
                panic!("{line}");
            };
            text += &format!(
                "| {name} | `{routine}` | {kind} | {direct} | {more} [{low} to {high}] |\n"
            );
        }
    }
    let mut columns = [(); 3].map(|()| Vec::new());
    for round in 0..=40 {
        let linked = whole(&mut Command::new(program("one-call-openblas")));
        let ours = whole(&mut on("one-call", "openblas-pthread"));
        if round > 0 {
            for (column, value) in columns.iter_mut().zip([linked, ours, ours - linked]) {
                column.push(value);
            }
        }
    }
    let [linked, ours, more] = columns.map(spread);
    text += &format!(
        "\n| whole program that makes one call of `cblas_ddot` | milliseconds |\n| --- | --- |\n\
         | linked with Debian's OpenBLAS by openblas-src | {} |\n\
         | over the provider, which opens the same library | {} |\n\
         | difference | {} |\n\n\
         n = 1. Medians of 101 rounds of 200,000 calls, and of 40 programs, each in turn with what it is compared with; quartiles \
         in brackets. {}\n",
        shown(linked, 1),
        shown(ours, 1),
        shown(more, 1),
        machine()
    );
    text
}
