//! The demo on each library: its own document, whose three ways it runs in turn.

use super::{machine, program};
use crate::common::manifest;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

/// The libraries that the demo runs on, with their names.
const DEMO: &[(&str, &str)] = &[
    ("scipy-openblas32", "OpenBLAS on pthreads (wheel)"),
    ("openblas-pthread", "OpenBLAS on pthreads (Debian)"),
    ("openblas-openmp", "OpenBLAS on OpenMP (Debian)"),
    ("mkl-rt", "MKL"),
];

/// The demo's own document for each library: its children run the three ways in turn.
pub fn table() -> String {
    let mut table = String::from(
        "| library | version | BLAS runs | time, s | ratio | cores used | peak runnable | run-queue wait |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut shape = String::new();
    for (key, label) in DEMO {
        let output = Command::new(program())
            .args([
                "demo",
                "--json",
                "--rounds",
                "5",
                "--blas",
                &manifest(key, "path"),
            ])
            .env("LD_LIBRARY_PATH", manifest("mkl-libs", "path"))
            .stderr(Stdio::inherit())
            .output()
            .expect("the demo starts");
        assert!(output.status.success(), "{key}: {}", output.status);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let number = |value: &serde_json::Value| value.as_f64().expect("a number");
        for mode in json["modes"].as_array().expect("the three ways") {
            let seconds = &mode["seconds"];
            let _ = writeln!(
                table,
                "| {label} | {} | {} | {:.2} [{:.2} to {:.2}] | {:.2} | {:.2} | {} | {:.1} % |",
                json["blas"][0]["version"].as_str().unwrap_or("unknown"),
                mode["mode"].as_str().expect("a name").replace('_', " "),
                number(&seconds["median"]),
                number(&seconds["min"]),
                number(&seconds["max"]),
                number(&mode["ratio"]),
                number(&mode["cores_used"]["median"]),
                mode["peak_runnable_threads"],
                100.0 * number(&mode["run_queue_wait_share"]["median"]),
            );
        }
        shape = format!(
            "{} rows, {} candidates, {} workers",
            json["rows"], json["candidates"], json["workers"]
        );
    }
    format!(
        "{table}\nMedian of 5 rounds, the three ways in turn, smallest and largest in brackets; {shape}. The same \
         hyper-parameters were chosen in all three. {}\n",
        machine()
    )
}
