//! What the tests of `threadctl cores` share: the command with nothing but a path in its environment, and its document.

#![allow(dead_code, reason = "a document is known when all of its fields are")]

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

/// The document as a reader of version 1 knows it; a field that is not here is a change of the contract.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub schema: String,
    pub threadctl: String,
    pub pid: u32,
    pub count: u32,
    pub logical: u32,
    pub binding: usize,
    pub constraints: Vec<Constraint>,
    pub topology: Topology,
    pub notes: Vec<String>,
    pub problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    pub kind: String,
    pub limit: u32,
    pub exact: Option<f64>,
    pub source: String,
    pub detail: String,
    pub runtime: Option<String>,
    pub in_force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    pub cpus: String,
    pub logical: u32,
    pub physical: u32,
    pub numa_nodes: u32,
    pub efficiency: Option<u32>,
}

pub fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("threadctl").to_path_buf()
}

/// The command, started with no variable that could decide the answer.
pub fn plain(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    clear(&mut command);
    command
}

/// Leaves a path and a home.
pub fn clear(command: &mut Command) {
    command.env_clear();
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// Runs it, and returns what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{told}",
        output.status
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Reads the document.
#[track_caller]
pub fn document(text: &str) -> Document {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// Runs it, and reads the document.
#[track_caller]
pub fn ask(command: &mut Command) -> Document {
    document(&run(command))
}
