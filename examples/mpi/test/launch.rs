//! `mpirun`, in an environment that does not depend on who runs the tests.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

pub const KMEANS: &str = env!("CARGO_BIN_EXE_kmeans");
pub const SELECTION: &str = env!("CARGO_BIN_EXE_selection");

/// Beginnings of names of variables that decide how many threads there are, which budget, and where MPI finds itself.
const OTHERS: [&str; 9] = [
    "THREADCTL_",
    "OMP",
    "OPENBLAS_",
    "MKL_",
    "RAYON_",
    "PMIX",
    "SLURM_",
    "MAKEFLAGS",
    "CARGO_MAKEFLAGS",
];

/// A program that ends after so many seconds at the latest, with everything that it has started.
pub fn limited(program: &str, seconds: u32) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &seconds.to_string(), program]);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if OTHERS.iter().any(|other| text.starts_with(other)) {
            command.env_remove(&name);
        }
    }
    // What was measured on somebody's machine must not decide results.
    command.env("THREADCTL_TUNING", "off");
    command
}

/// So many ranks, which may run everywhere. `folder` is for what mpirun keeps: two that start at once get into each other's way.
pub fn mpirun(ranks: u32, folder: &Path, options: &[&str]) -> Command {
    let mut command = limited("mpirun", 150);
    command
        .env("TMPDIR", folder)
        .args([
            "--allow-run-as-root",
            "--oversubscribe",
            "-n",
            &ranks.to_string(),
        ])
        .args(options);
    command
}

/// Its output, where it must end well.
pub fn done(command: &mut Command) -> String {
    let output = output(command);
    let (told, complained) = text(&output);
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{told}{complained}",
        output.status
    );
    told
}

pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo xtask setup` installs openmpi-bin")
    })
}

pub fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The document of a program on so many ranks.
pub fn document(ranks: u32, program: &str, args: &[&str]) -> Value {
    with(&["--bind-to", "none"], ranks, program, args)
}

/// The same with other options of mpirun's.
pub fn with(options: &[&str], ranks: u32, program: &str, args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mpirun(ranks, folder.path(), options);
    read(&done(command.arg(program).args(args).arg("--json")))
}

pub fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// A field that is a number.
pub fn number(document: &Value, field: &str) -> u64 {
    document[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field} in {document}"))
}

/// The cores of each rank.
pub fn rank_cores(document: &Value) -> Vec<u64> {
    let cores = document["rank_cores"].as_array().unwrap();
    cores.iter().map(|cores| cores.as_u64().unwrap()).collect()
}
