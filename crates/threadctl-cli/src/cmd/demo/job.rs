//! What parent and child say to each other: one [`Job`] as JSON on the child's standard input, then one [`Event`]
//! per line of its standard output. The last event is `Finished` or `Failed`.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use super::data::Problem;
use super::gp::Hyper;

/// The ways that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// As many BLAS threads as the library starts by itself.
    Defaults,
    /// One BLAS thread, by environment variables: the usual cure.
    BlasAtOne,
    /// Limits set by threadctl while the loop runs.
    Threadctl,
}

impl Mode {
    /// In the order of the table; the first is what the others are compared with.
    pub(crate) const ALL: [Self; 3] = [Self::Defaults, Self::BlasAtOne, Self::Threadctl];

    /// What the table calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::BlasAtOne => "BLAS at 1",
            Self::Threadctl => "threadctl",
        }
    }
}

/// Everything that one run needs. The data travels, so that all runs see the same numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Which way to run.
    pub(crate) mode: Mode,
    /// Threads of the outer loop.
    pub(crate) workers: usize,
    /// CPUs that the process may use.
    pub(crate) cores: usize,
    /// Paths or names of the libraries to open; none means search. serde writes an `OsString` byte by byte, so that any
    /// name of a file arrives as it is, UTF-8 or not.
    pub(crate) blas: Vec<OsString>,
    /// The data.
    pub(crate) problem: Problem,
    /// What to score.
    pub(crate) candidates: Vec<Hyper>,
}

/// What the child reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// Start-up is over, the measured part begins.
    Started,
    /// One more candidate is scored.
    Scored,
    /// The measured part is over.
    Measured,
    /// The result; nothing follows.
    Finished(Box<Run>),
    /// The run could not be done; the reason is for the user.
    Failed(String),
}

/// What one run measured of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Wall-clock time.
    pub(crate) seconds: f64,
    /// CPU time of all threads.
    pub(crate) cpu_seconds: f64,
    /// Run-queue wait over (CPU time + run-queue wait), of all threads; absent where the kernel does not count it, and
    /// where threads that have ended did too much of the work.
    pub(crate) wait_share: Option<f64>,
    /// Per candidate; absent when its matrix was not positive definite.
    pub(crate) scores: Vec<Option<f64>>,
    /// The BLAS libraries that the process had loaded.
    pub(crate) blas: Vec<Library>,
    /// What the user should know of this run.
    pub(crate) notes: Vec<String>,
}

/// A BLAS library, as far as it concerns a reader of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Library {
    /// `openblas`, `mkl` ...
    pub(crate) internal_api: String,
    /// As the library tells it.
    pub(crate) version: Option<String>,
    /// How it makes threads.
    pub(crate) threading_layer: Option<String>,
    /// Symbolic links resolved. For the report only: bytes that are not UTF-8 are replaced.
    pub(crate) filepath: String,
}

impl Library {
    /// `openblas 0.3.21 (pthreads)`.
    pub(crate) fn describe(&self) -> String {
        let mut text = self.internal_api.clone();
        if let Some(version) = &self.version {
            text.push(' ');
            text.push_str(version);
        }
        if let Some(layer) = &self.threading_layer {
            text.push_str(" (");
            text.push_str(layer);
            text.push(')');
        }
        text
    }
}
