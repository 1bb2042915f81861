//! What `threadctl info --json` prints. A change here that takes a field away or gives it another meaning needs a new
//! number in [`SCHEMA`]; new fields do not.

use serde::Serialize;
use threadctl::RuntimeInfo;

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.info/1";

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    /// The process that is reported on.
    pid: u32,
    /// An object each; a superset of what threadpoolctl's `threadpool_info()` returns.
    runtimes: &'a [RuntimeInfo],
    /// Combinations that are known to fail, in words.
    conflicts: &'a [String],
}

impl<'a> Document<'a> {
    /// On this process.
    pub(crate) fn of_self(runtimes: &'a [RuntimeInfo], conflicts: &'a [String]) -> Self {
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            runtimes,
            conflicts,
        }
    }
}
