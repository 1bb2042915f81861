//! What the C interface tells as JSON. `info` and `cores` have the form of the command's `--json`; a change that takes a field
//! away or gives it another meaning needs a new number in the schema, new fields do not.

use super::status::{Failure, Status};
use serde::Serialize;
use threadctl::{Cores, Outcome, RuntimeInfo};

/// What all documents begin with.
#[derive(Serialize)]
struct Document<T> {
    schema: &'static str,
    /// The version of this library.
    threadctl: &'static str,
    pid: u32,
    #[serde(flatten)]
    content: T,
}

#[derive(Serialize)]
struct Info {
    view: &'static str,
    runtimes: Vec<RuntimeInfo>,
    conflicts: Vec<String>,
}

#[derive(Serialize)]
struct Limit<'a> {
    scope: &'static str,
    outcomes: Vec<Row<'a>>,
    unmatched: &'a [String],
}

/// What became of a limit on one runtime.
#[derive(Serialize)]
struct Row<'a> {
    user_api: &'a str,
    internal_api: &'a str,
    /// Bytes that are not UTF-8 are replaced.
    filepath: String,
    requested: u32,
    effective: Option<u32>,
    honoured: bool,
    shortfall: Option<String>,
}

/// The runtimes of this process.
pub(super) fn info() -> Result<String, Failure> {
    let runtimes = threadctl::runtimes();
    let content = Info {
        view: "inside",
        runtimes: runtimes.info(),
        conflicts: runtimes.conflicts(),
    };
    document("threadctl.info/1", content)
}

/// The cores of this process.
pub(super) fn cores() -> Result<String, Failure> {
    document::<Cores>("threadctl.cores/1", threadctl::cores())
}

/// What became of limits.
pub(super) fn outcomes(
    scope: &'static str,
    outcomes: &[Outcome],
    unmatched: &[String],
) -> Result<String, Failure> {
    let content = Limit {
        scope,
        outcomes: outcomes.iter().map(row).collect(),
        unmatched,
    };
    document("threadctl.limit/1", content)
}

fn row(outcome: &Outcome) -> Row<'_> {
    Row {
        user_api: outcome.runtime.user_api(),
        internal_api: outcome.runtime.internal_api(),
        filepath: outcome.runtime.filepath().display().to_string(),
        requested: outcome.requested,
        effective: outcome.effective,
        honoured: outcome.is_honoured(),
        shortfall: outcome.shortfall.as_ref().map(ToString::to_string),
    }
}

fn document<T: Serialize>(schema: &'static str, content: T) -> Result<String, Failure> {
    let document = Document {
        schema,
        threadctl: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        content,
    };
    serde_json::to_string(&document)
        .map_err(|error| Failure::new(Status::Internal, error.to_string()))
}
