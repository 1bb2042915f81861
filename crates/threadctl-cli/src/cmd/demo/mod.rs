//! `threadctl demo`: Gaussian-process model selection, run three ways, each in a child process of its own.

pub(crate) mod args;
pub(crate) mod child;

use anyhow::{Result, bail};

use crate::Verdict;

/// Runs the demo and prints its table.
pub(crate) fn run(_args: &args::DemoArgs) -> Result<Verdict> {
    bail!("the demo is not built yet")
}
