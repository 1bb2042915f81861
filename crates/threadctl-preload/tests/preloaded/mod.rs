//! Programs that run with the preload library, and what was counted in them.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses a part of it, and a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../../tests/common/mod.rs"]
mod libraries;

pub use common::preload;
pub use libraries::library;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The file of a fixture or a program beside the tests.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// A program without the settings of whoever runs the tests.
pub fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    libraries::without_thread_variables(&mut command);
    command.env_remove("PYTHONPATH");
    command.env("PYTHONNOUSERSITE", "1");
    command
}

/// Compiles a fixture.
pub fn compiled(output: PathBuf, source: &str, arguments: &[&str]) -> PathBuf {
    let mut command = program("cc");
    command.args(["-O2", "-o"]).arg(&output);
    command.arg(file(source)).args(arguments);
    let done = run(&mut command);
    assert!(done.status.success(), "cc (gcc): {}", text(&done));
    output
}

/// How often each routine reached dispatch in each process of a program.
pub type Counts = Vec<BTreeMap<String, u64>>;

/// Runs a program with the library, and returns what it wrote and what was counted in it.
pub fn run_preloaded(command: &mut Command) -> (Output, Counts) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts");
    command.env("LD_PRELOAD", preload());
    command.env("THREADCTL_COUNT_CALLS", &file);
    let output = run(command);
    let lines = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("no process counted a call: {error}\n{}", text(&output)));
    let count = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        serde_json::from_value(line["calls"].clone()).expect("counts by name")
    };
    (output, lines.lines().map(count).collect())
}

pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What it wrote, for messages.
pub fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
