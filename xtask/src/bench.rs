//! `cargo xtask bench [TABLE...] [--print]`: makes the tables of BENCHMARKS.md anew, all or those named.
//!
//! Invariant: the marks in BENCHMARKS.md (`<!-- begin TABLE -->`) are the one list of names, here and in the bench that
//! makes the tables.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::project::{Project, shown};
use crate::setup::table::Purpose;
use crate::setup::{self, MANIFEST_VARIABLE};
use crate::{FAILED, demo};

/// Prints the tables without writing them.
const PRINT: &str = "--print";

/// The bench asks for the whole command's start-up too, so that is built first.
pub fn run(project: &Project, args: &[String]) -> Result<ExitCode> {
    let file = project.root.join("BENCHMARKS.md");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let request = request(&text, args)?;
    let manifest = setup::ensure(project, Purpose::Bench)?;
    let program = demo::build(project)?;
    let provider = provider(project)?;
    if request.iter().any(|word| word.starts_with("diagnose-"))
        || request.iter().all(|word| word.starts_with("--"))
    {
        // One of the programs that are diagnosed; cargo puts it beside the command.
        demo::build_program(project, "linked-openblas", "rayon_linalg")?;
    }
    let mut cargo = project.cargo();
    cargo
        .args([
            "bench",
            "--package",
            "threadctl",
            "--all-features",
            "--bench",
            "tables",
            "--",
        ])
        .args(request)
        .env(MANIFEST_VARIABLE, manifest.file())
        .env("THREADCTL_BIN", program)
        .env("THREADCTL_PROVIDER_BINS", provider);
    let status = cargo
        .status()
        .with_context(|| format!("starting `{}`", shown(&cargo)))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Builds the programs over the provider, and returns the folder that they are in.
fn provider(project: &Project) -> Result<PathBuf> {
    let mut cargo = project.cargo();
    cargo.args(["build", "--release", "--package", "provider", "--bins"]);
    let status = cargo
        .status()
        .with_context(|| format!("starting `{}`", shown(&cargo)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(&cargo));
    }
    Ok(project.target.join("release"))
}

/// What the bench is told: the tables asked for, none for all, and whether to write them.
fn request(benchmarks: &str, args: &[String]) -> Result<Vec<String>> {
    let known: Vec<&str> = benchmarks
        .lines()
        .filter_map(|line| line.strip_prefix("<!-- begin ")?.strip_suffix(" -->"))
        // Those are made by `cargo xtask peers`.
        .filter(|name| !name.starts_with("peers-"))
        .collect();
    let mut words = Vec::new();
    let mut write = true;
    for arg in args {
        if arg == PRINT {
            write = false;
        } else if known.contains(&arg.as_str()) {
            words.push(arg.clone());
        } else {
            bail!(
                "BENCHMARKS.md has no table `{arg}`; `cargo xtask bench` takes {PRINT} and the names {}",
                known.join(", ")
            );
        }
    }
    if write {
        words.push("--write".to_owned());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends there
    use super::*;

    const TEXT: &str =
        "# Title\n<!-- begin limits -->\n<!-- end limits -->\n<!-- begin cores -->\n";

    fn asked(words: &str) -> Result<Vec<String>> {
        let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        request(TEXT, &args)
    }

    #[test]
    fn the_marks_are_the_names() {
        assert_eq!(asked("").unwrap(), ["--write"]);
        assert_eq!(asked("cores").unwrap(), ["cores", "--write"]);
        assert_eq!(asked("cores --print limits").unwrap(), ["cores", "limits"]);
    }

    #[test]
    fn a_name_without_marks_is_refused_with_those_that_have_some() {
        let error = asked("core").unwrap_err().to_string();
        assert!(
            error.contains("`core`") && error.contains("limits, cores"),
            "{error}"
        );
    }
}
