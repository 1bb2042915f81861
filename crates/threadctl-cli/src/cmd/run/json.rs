//! The document of `threadctl run --json`. Its schema is committed: docs/schema/threadctl.run.1.json. A field that goes or
//! changes its meaning needs a new number; new fields do not, but the schema names them.

use serde::Serialize;
use threadctl::diagnose::{Finding, Report};

use super::tokens::Tokens;

/// The name and the version of the document.
pub(super) const SCHEMA: &str = "threadctl.run/1";

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    pub(super) schema: &'static str,
    /// The version of this program.
    pub(super) threadctl: &'static str,
    /// The command and its arguments; bytes that are not UTF-8 become U+FFFD.
    pub(super) command: &'a [String],
    /// The exit code that is passed on.
    pub(super) status: u8,
    /// The signal that killed the command.
    pub(super) signal: Option<u8>,
    /// Share of thread time, from 0 to 100, that was lost waiting for a core: what --fail-over is compared with.
    pub(super) loss_percent: f64,
    /// What is wrong, by rule; empty if nothing is.
    pub(super) findings: &'a [Finding],
    /// What it had of a budget of cores that processes share; `None` if it was in none.
    pub(super) tokens: Option<&'a Tokens>,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}
