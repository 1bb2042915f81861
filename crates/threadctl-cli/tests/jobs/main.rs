//! `threadctl jobs`, with real processes: what is run and printed (`output`), shares and CPUs (`shares`), logs and what is
//! run again (`resume`), how it is ended (`signals`), and what goes wrong (`trouble`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../tests/common/mod.rs"]
mod common;
mod output;
mod resume;
#[path = "../schema/mod.rs"]
mod schema;
mod shares;
mod signals;
mod trouble;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long to wait for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// `threadctl jobs` with these arguments, without the settings of whoever runs the tests.
fn jobs(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    common::without_thread_variables(&mut command);
    for name in ["RAYON_NUM_THREADS", "LD_PRELOAD", "THREADCTL_NUM_THREADS"] {
        command.env_remove(name);
    }
    command.arg("jobs").args(args);
    command.stdin(std::process::Stdio::null());
    command
}

/// The same, with something to read.
fn reading(args: &[&str], input: impl Into<Vec<u8>>) -> Output {
    let command = assert_cmd::Command::from_std(jobs(args));
    let mut command = command;
    command.write_stdin(input).output().unwrap()
}

fn run(args: &[&str]) -> Output {
    jobs(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The document of a run, which agrees with its schema.
fn document(args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let output = jobs(&["--json", "--report"]).arg(&file).args(args).output();
    let text = std::fs::read(&file).unwrap();
    let document = serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output.unwrap())));
    schema::check_with(SCHEMA, &document);
    document
}

const SCHEMA: &str = include_str!("../../../../docs/schema/threadctl.jobs.1.json");

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The lines of a file; none if it is not there yet.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Whether a process is there and has not ended.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

#[test]
fn the_schema_is_closed() {
    schema::check_closed(SCHEMA);
}
