//! What is told at the end: the jobs that failed, for people; everything, as a document. Its schema is committed:
//! docs/schema/threadctl.jobs.1.json.

use std::fmt::Write as _;

use serde::Serialize;

use super::engine::{Engine, Outcome, Stop};
use super::job::End;
use crate::out;

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.jobs/1";

/// As many are listed one by one.
const LISTED: usize = 100;

/// What is known besides the jobs.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) cores: u32,
    pub(super) at_once: u32,
    /// In the list.
    pub(super) jobs: usize,
    pub(super) skipped: usize,
    pub(super) notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    /// That the jobs shared.
    cores: u32,
    at_once: u32,
    total: usize,
    succeeded: usize,
    failed: usize,
    /// They succeeded in an earlier run.
    skipped: usize,
    not_run: usize,
    /// Why some were not run: `halt`, `closed`, `signal`, `problem`.
    stopped: Option<&'static str>,
    /// The signal that ended it.
    signal: Option<i32>,
    problem: Option<String>,
    wall_seconds: f64,
    notes: &'a [String],
    jobs: Vec<Job>,
}

#[derive(Debug, Serialize)]
struct Job {
    /// In the list, from 1.
    number: usize,
    /// What the shell ran; bytes that are not UTF-8 become U+FFFD.
    command: String,
    cores: u32,
    cpus: Option<String>,
    slot: usize,
    begun_seconds: f64,
    seconds: f64,
    status: Option<u8>,
    signal: Option<i32>,
    not_started: Option<String>,
}

/// The document.
pub(super) fn json(engine: &Engine<'_>, setting: &Setting<'_>) -> serde_json::Result<String> {
    let ended = engine.outcomes.len();
    let job = |outcome: &Outcome| Job {
        number: outcome.index + 1,
        command: text(&engine.line(outcome.index, outcome.slot)),
        cores: outcome.width,
        cpus: outcome.cpus.clone(),
        slot: outcome.slot,
        begun_seconds: outcome.begun.as_secs_f64(),
        seconds: outcome.took.as_secs_f64(),
        status: match outcome.end {
            End::Exited(code) => Some(code),
            _ => None,
        },
        signal: match outcome.end {
            End::Killed(signal) => Some(signal),
            _ => None,
        },
        not_started: match &outcome.end {
            End::NotStarted(why) => Some(why.clone()),
            _ => None,
        },
    };
    let mut jobs: Vec<Job> = engine.outcomes.iter().map(job).collect();
    jobs.sort_by_key(|job| job.number);
    serde_json::to_string_pretty(&Document {
        schema: SCHEMA,
        threadctl: env!("CARGO_PKG_VERSION"),
        cores: setting.cores,
        at_once: setting.at_once,
        total: setting.jobs,
        succeeded: ended - engine.failed,
        failed: engine.failed,
        skipped: setting.skipped,
        not_run: setting.jobs - setting.skipped - ended,
        stopped: engine.stop.map(|stop| match stop {
            Stop::Halt => "halt",
            Stop::Closed => "closed",
            Stop::Signal(_) => "signal",
            Stop::Problem => "problem",
        }),
        signal: engine.stop.and_then(|stop| match stop {
            Stop::Signal(signal) => Some(signal as i32),
            _ => None,
        }),
        problem: engine
            .problem
            .as_ref()
            .map(|problem| format!("{problem:#}")),
        wall_seconds: engine.took().as_secs_f64(),
        notes: setting.notes,
        jobs,
    })
}

/// What failed, in the order of the list, and what was not run; nothing where all is well.
pub(super) fn words(engine: &Engine<'_>, setting: &Setting<'_>) -> String {
    let mut failed: Vec<&Outcome> = engine
        .outcomes
        .iter()
        .filter(|outcome| !outcome.end.is_success())
        .collect();
    failed.sort_by_key(|outcome| outcome.index);
    let ended = engine.outcomes.len();
    let mut words = String::new();
    if !failed.is_empty() {
        let _ = writeln!(
            words,
            "threadctl: {} of {} failed:",
            failed.len(),
            counted(ended)
        );
    }
    for outcome in failed.iter().take(LISTED) {
        let _ = writeln!(
            words,
            "  job {}, {}, after {:.1} s on {}: {}",
            outcome.index + 1,
            outcome.end,
            outcome.took.as_secs_f64(),
            if outcome.width == 1 {
                "1 core".to_owned()
            } else {
                format!("{} cores", outcome.width)
            },
            out::shown(&text(&engine.line(outcome.index, outcome.slot)))
        );
    }
    if failed.len() > LISTED {
        let _ = writeln!(
            words,
            "  and {} more (--joblog FILE or --json has all)",
            failed.len() - LISTED
        );
    }
    let left = setting.jobs - setting.skipped - ended;
    let why = match engine.stop {
        Some(Stop::Signal(signal)) => format!(", because of {signal}"),
        Some(Stop::Halt) => ", because of --halt".to_owned(),
        _ => String::new(),
    };
    if left > 0 {
        let _ = writeln!(words, "threadctl: {} not run{why}", counted(left));
    }
    words
}

fn counted(jobs: usize) -> String {
    if jobs == 1 {
        "1 job".to_owned()
    } else {
        format!("{jobs} jobs")
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
