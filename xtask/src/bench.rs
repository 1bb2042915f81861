//! `cargo xtask bench`: makes the tables of BENCHMARKS.md anew, threadpoolctl beside threadctl in the same loops.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::project::{Project, shown};
use crate::setup::table::Purpose;
use crate::setup::{self, MANIFEST_VARIABLE};
use crate::{FAILED, demo};

/// The bench asks for the whole command's start-up too, so that is built first.
pub fn run(project: &Project, args: &[String]) -> Result<ExitCode> {
    let manifest = setup::ensure(project, Purpose::Test)?;
    let program = demo::build(project)?;
    let write = ["--write".to_owned()];
    let mut cargo = project.cargo();
    cargo
        .args(["bench", "--package", "threadctl", "--bench", "tables", "--"])
        .args(if args.is_empty() { &write } else { args })
        .env(MANIFEST_VARIABLE, manifest.file())
        .env("THREADCTL_BIN", program);
    let status = cargo
        .status()
        .with_context(|| format!("starting `{}`", shown(&cargo)))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}
