//! `threadctl run`: the command's status (`status`), its terminal (`terminal`), what makes it hard to look at (`survives`),
//! the document (`document`), and whose threads they are against programs whose threads are known (`whose`); the verdict on
//! programs that make one mistake (`programs`) and on real ones in several languages, with the remedies (`real`), also below a
//! CPU quota (`quota`);
//! `threadctl watch` (`watch`) and `threadctl doctor` (`doctor`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../tests/common/mod.rs"]
mod common;
mod doctor;
mod document;
mod programs;
mod quota;
mod real;
mod schema;
mod status;
mod survives;
mod terminal;
mod watch;
mod whose;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `threadctl run` with these arguments, without the settings of whoever runs the tests.
fn threadctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    common::without_thread_variables(&mut command);
    for name in ["RAYON_NUM_THREADS", "LD_PRELOAD", "THREADCTL_NUM_THREADS"] {
        command.env_remove(name);
    }
    command.arg("run").args(args);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command that must end well, and returns the document, which agrees with its schema.
fn document_of(options: &[&str], environment: &[(&str, &str)], command: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let mut run = threadctl(&["--json", "--report"]);
    run.arg(&file).args(options).arg("--").args(command);
    let output = run.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    let document = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    schema::check(&document);
    document
}

/// The group of this name.
fn group<'a>(document: &'a Value, name: &str) -> &'a Value {
    let groups = document["who"].as_array().unwrap();
    groups
        .iter()
        .find(|group| group["name"] == name)
        .unwrap_or_else(|| panic!("no group {name}: {:#}", document["who"]))
}

/// Compiles a fixture with the C compiler.
fn compile(source: &[&str], into: &Path, options: &[&str]) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let output = Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-pthread", "-o"])
        .arg(into)
        .args(source.iter().map(|name| fixtures.join(name)))
        .args(options)
        .output()
        .expect("cc of the package gcc");
    assert!(output.status.success(), "{}", stderr(&output));
    into.to_owned()
}
