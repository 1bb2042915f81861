//! What `threadctl info --json` prints. A change here that takes a field away or gives it another meaning needs a new
//! number in [`SCHEMA`]; new fields do not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use threadctl::RuntimeInfo;
use threadctl::diagnose::{CpuList, ProcessReport};

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
    /// How it was looked at: `inside` (this process, asking its libraries) or `outside` (another one, read-only).
    view: &'static str,
    /// An object each; a superset of what threadpoolctl's `threadpool_info()` returns.
    runtimes: &'a [RuntimeInfo],
    /// Combinations that are known to fail, in words.
    conflicts: &'a [String],
    /// What only a look from outside tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process<'a>>,
}

/// A process that was looked at from outside.
#[derive(Debug, Serialize)]
struct Process<'a> {
    /// Bytes that are not UTF-8 are replaced, as in the paths of the runtimes.
    executable: Cow<'a, str>,
    /// How many threads it has.
    threads: u32,
    /// The CPUs that its first thread may run on.
    allowed_cpus: &'a CpuList,
    /// Variables that settle numbers of threads, as they were when it was started.
    environment: &'a BTreeMap<String, String>,
    /// Files that may be runtimes but could not be read, in words.
    unreadable: &'a [String],
}

impl<'a> Document<'a> {
    /// On this process.
    pub(crate) fn of_self(runtimes: &'a [RuntimeInfo], conflicts: &'a [String]) -> Self {
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            view: "inside",
            runtimes,
            conflicts,
            process: None,
        }
    }

    /// On another process.
    pub(crate) fn of_other(report: &'a ProcessReport) -> Self {
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            pid: report.pid,
            view: "outside",
            runtimes: &report.runtimes,
            conflicts: &report.conflicts,
            process: Some(Process {
                executable: report.executable.to_string_lossy(),
                threads: report.threads,
                allowed_cpus: &report.allowed_cpus,
                environment: &report.environment,
                unreadable: &report.unreadable,
            }),
        }
    }
}
