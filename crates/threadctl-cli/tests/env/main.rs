//! `threadctl env`: read by real shells (`settings`), by simultaneous jobs (`jobs`), and by the runtimes whose threads
//! are to sleep when they are idle (`spin`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../tests/common/mod.rs"]
mod common;
mod jobs;
mod settings;
mod spin;

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output};

/// The runtimes' variables that the command must know.
const EXPECTED: &[&str] = &[
    "THREADCTL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "JULIA_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "KMP_BLOCKTIME",
    "GOMP_SPINCOUNT",
    "OPENBLAS_THREAD_TIMEOUT",
];

/// A command without the settings of whoever runs the tests.
fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("THREADCTL_") && !text.starts_with("THREADCTL_TEST_");
        if ours || EXPECTED.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    command
}

fn threadctl(args: &[&str]) -> Output {
    clean(env!("CARGO_BIN_EXE_threadctl"))
        .arg("env")
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn document(args: &[&str]) -> Value {
    let output = threadctl(&[args, &["--shell", "json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(document: &Value, field: &str) -> usize {
    document[field].as_u64().unwrap().try_into().unwrap()
}

fn variables(document: &Value) -> BTreeMap<String, String> {
    let entries = document["variables"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|entry| (text(&entry["name"]), text(&entry["value"])))
        .collect()
}
