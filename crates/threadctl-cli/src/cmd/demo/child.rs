//! One run of the demo in one mode: what the hidden child does.

use anyhow::{Result, bail};

use super::args::ChildArgs;
use crate::Verdict;

/// The hidden subcommand that the parent starts.
pub(crate) const SUBCOMMAND: &str = "demo-child";

/// Runs the child.
pub(crate) fn run(_args: &ChildArgs) -> Result<Verdict> {
    bail!("the demo is not built yet")
}
