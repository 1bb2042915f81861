//! `cargo xtask peers [WORKLOAD[/ROW]...] [--rounds N] [--print]`: the workloads of `examples/` beside NumPy, SciPy and Numba.
//!
//! What is fetched and built is here; what is measured, and how the tables are made, is in `benches/peers`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::FAILED;
use crate::project::{Project, shown};
use crate::setup::table::Purpose;
use crate::setup::{self, MANIFEST_VARIABLE};

/// Where the bench finds the programs of the examples, and the command.
const PROGRAMS_VARIABLE: &str = "PEERS_PROGRAMS";

pub fn run(project: &Project, args: &[String]) -> Result<ExitCode> {
    let manifest = setup::ensure(project, Purpose::Peers)?;
    let mut cargo = project.cargo();
    cargo.args(["build", "--release", "--bins"]);
    for package in ["threadctl-peers", "threadctl-examples", "threadctl-cli"] {
        cargo.args(["--package", package]);
    }
    let status = cargo
        .status()
        .with_context(|| format!("starting `{}`", shown(&cargo)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(&cargo));
    }
    let programs = project.target.join("release");
    let mut bench = std::process::Command::new(programs.join("peers"));
    bench
        .args(args)
        .env(MANIFEST_VARIABLE, manifest.file())
        .env(PROGRAMS_VARIABLE, &programs);
    let status = bench
        .status()
        .with_context(|| format!("starting `{}`", shown(&bench)))?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(2) => ExitCode::from(2),
        _ => ExitCode::from(FAILED),
    })
}
