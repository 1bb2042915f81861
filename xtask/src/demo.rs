//! `cargo xtask demo`: one BLAS is fetched, `threadctl` is built for release, and its demo takes this process's place.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::project::{Project, output_of, shown};
use crate::setup;
use crate::setup::table::{DEMO_BLAS, Purpose};

const PROGRAM: &str = "threadctl";

/// Ends this process with the demo's own exit code, unless something before it fails.
pub fn run(project: &Project, args: &[String]) -> Result<ExitCode> {
    let mut words = vec!["demo".to_owned()];
    if needs_blas(args) {
        let manifest = setup::ensure(project, Purpose::Demo)?;
        let entry = manifest
            .libraries
            .get(DEMO_BLAS)
            .with_context(|| format!("the manifest does not name {DEMO_BLAS}"))?;
        words.extend(["--blas".to_owned(), entry.path.display().to_string()]);
    }
    words.extend_from_slice(args);
    let program = build(project)?;
    // In the user's folder, so that a relative `--data FILE` means what it says. This returns only on failure.
    let error = Command::new(&program).args(words).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

/// Whether the user leaves the choice of the BLAS to us, and wants a run rather than the help.
fn needs_blas(args: &[String]) -> bool {
    !args
        .iter()
        .any(|arg| arg == "--blas" || arg.starts_with("--blas=") || arg == "--help" || arg == "-h")
}

/// Builds the command for release and answers with its path, as cargo tells it.
pub fn build(project: &Project) -> Result<PathBuf> {
    build_program(project, "threadctl-cli", PROGRAM)
}

/// The same for another program of the workspace.
pub fn build_program(project: &Project, package: &str, program: &str) -> Result<PathBuf> {
    let mut cargo = project.cargo();
    cargo.args(["build", "--release", "--package", package, "--bin", program]);
    cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let output = output_of(&mut cargo)?;
    if !output.status.success() {
        bail!("`{}` ended with {}", shown(&cargo), output.status);
    }
    executable(&String::from_utf8_lossy(&output.stdout), program)
        .with_context(|| format!("cargo did not say where it put `{program}`"))
}

fn executable(messages: &str, program: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["target"]["name"] == program
        })
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_choice_of_blas_is_left_alone() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for ours in ["", "--rows 100", "--data blas.csv"] {
            assert!(needs_blas(&words(ours)), "{ours}");
        }
        for theirs in ["--blas x.so", "--rows 3 --blas=x.so", "--help"] {
            assert!(!needs_blas(&words(theirs)), "{theirs}");
        }
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"threadctl"},"executable":null}"#;
        let program = r#"{"reason":"compiler-artifact","target":{"name":"threadctl"},"executable":"/t/threadctl"}"#;
        let text = format!("not JSON\n{library}\n{program}\n{{\"reason\":\"build-finished\"}}\n");
        assert_eq!(
            executable(&text, PROGRAM),
            Some(PathBuf::from("/t/threadctl"))
        );
        assert_eq!(executable(library, PROGRAM), None);
    }
}
