//! What `threadctl cores --json` prints. A change here or in the library's `Cores` that takes a field away or gives it
//! another meaning needs a new number in [`SCHEMA`]; new fields do not.

use serde::Serialize;
use threadctl::Cores;

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.cores/1";

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    /// The process that is reported on.
    pid: u32,
    /// `count`, `logical`, `binding` (an index into `constraints`), `constraints`, `topology`, `notes`, `problems`.
    #[serde(flatten)]
    cores: &'a Cores,
}

impl<'a> Document<'a> {
    /// On the process `pid`, or on this one.
    pub(crate) fn new(pid: Option<u32>, cores: &'a Cores) -> Self {
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            pid: pid.unwrap_or_else(std::process::id),
            cores,
        }
    }
}
