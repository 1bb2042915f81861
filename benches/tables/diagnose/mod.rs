//! `threadctl run` on real programs: whether its rules find what is wrong and nothing else, whether its remedies help, how
//! exact its figures are, and what it costs.
//!
//! Invariant: programs and their settings are those of the tests (`tests/common/programs.rs`).

mod accounts;
mod exact;
mod overhead;
mod remedies;
mod rules;

#[path = "../../../tests/common/programs.rs"]
pub mod programs;

pub use exact::table as exact;
pub use overhead::table as overhead;
pub use remedies::table as remedies;
pub use rules::table as rules;

use super::program;
use crate::common::{manifest, without_settings};
use programs::{PROGRAMS, Place, Program, Ready};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn place(scratch: &Path) -> Place {
    Place {
        threadctl: PathBuf::from(program()),
        scratch: scratch.to_owned(),
        library: |key| PathBuf::from(manifest(key, "path")),
        fixtures: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
    }
}

/// The programs that were asked for.
fn chosen() -> impl Iterator<Item = &'static Program> {
    PROGRAMS.iter().filter(|program| crate::asked(program.name))
}

/// A command without the settings of whoever runs this.
fn clean(command: &mut Command) -> &mut Command {
    without_settings(command).stdout(Stdio::null())
}

/// Runs it below `threadctl run`, started by these words if there are any.
fn diagnosed(before: &[String], ready: &Ready, report: &Path) -> Value {
    let threadctl = program();
    let words = before.iter().chain(std::iter::once(&threadctl));
    let words: Vec<&String> = words.collect();
    let mut run = Command::new(words[0]);
    run.args(&words[1..]).args(["run", "--json", "--report"]);
    run.arg(report).arg("--").args(&ready.words);
    clean(&mut run).envs(ready.environment.iter().cloned());
    ended_well(&mut run, report)
}

/// The report that a command has written.
fn ended_well(command: &mut Command, report: &Path) -> Value {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    serde_json::from_slice(&std::fs::read(report).expect("the report")).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
