//! `threadctl watch`: the report of `threadctl run` on a process that is running already, again and again.
//!
//! Invariants: the process is only looked at. On a terminal each report takes the place of the one before, by two codes that every
//! terminal knows, and has no more lines than the terminal; no mode of it is changed, so nothing has to be put back however this
//! ends. Elsewhere there is a line for each report.

use std::io::IsTerminal as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use threadctl::diagnose::{Finding, Observer, Report, Totals, findings, inspect};

use super::run::{self, args::interval, budget::Budget, text};
use crate::{Verdict, out};

/// The name and the version of the document: docs/schema/threadctl.watch.1.json.
const SCHEMA: &str = "threadctl.watch/1";

/// Moves to the corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// The lines and columns of a terminal that does not tell.
const USUAL: (usize, usize) = (24, 80);

const EXAMPLES: &str = "\
Examples:
  threadctl watch --pid 1234                    live, until the process ends or Ctrl-C
  threadctl watch --pid 1234 --once             one report on the next two seconds
  threadctl watch --pid 1234 --once --json      the same as a versioned document
  threadctl watch --pid 1234 | tee threads.log  a line every two seconds

Whose the threads are is a guess here; threadctl run knows it. Exit codes: 0 watched, and with --once nothing found; 1 with
--once: something was found; 2 there is no such process, or this user may not look at it.";

/// Show whether the threads of a running process and its children fight for cores.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The process.
    #[arg(long, value_name = "PID")]
    pub(crate) pid: u32,

    /// Report once, on the time of one --window, and end.
    #[arg(long)]
    pub(crate) once: bool,

    /// Write the report as one versioned JSON document (threadctl.watch/1).
    #[arg(long, requires = "once")]
    pub(crate) json: bool,

    /// Time between two reports, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "2000", value_parser = interval)]
    pub(crate) window: Duration,

    /// The least time between two looks, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = interval)]
    pub(crate) interval: Duration,
}

/// The document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    pid: u32,
    /// Share of thread time, from 0 to 100, that was lost waiting for a core.
    loss_percent: f64,
    findings: &'a [Finding],
    #[serde(flatten)]
    report: &'a Report,
}

/// Watches it.
pub(crate) fn run(args: &WatchArgs) -> Result<Verdict> {
    // Says why, where there is no such process, or it may not be looked at.
    let program = inspect(args.pid)?;
    let name = program
        .executable
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    run::allow_many_files();
    let redraw = std::io::stdout().is_terminal() && !args.once;
    let mut observer = Observer::of_process(program.pid);
    observer.look();
    let mut budget = Budget::new();
    loop {
        let alive = window(&mut observer, &mut budget, args);
        let report = observer.report(Totals::default());
        let findings = findings(&report, None);
        let heading = format!(
            "threadctl: process {} ({}), watched for {:.0} s",
            program.pid,
            out::shown(&name),
            report.wall_seconds
        );
        if args.json {
            out::json(&Document {
                schema: SCHEMA,
                threadctl: env!("CARGO_PKG_VERSION"),
                pid: program.pid,
                loss_percent: run::loss(&report),
                findings: &findings,
                report: &report,
            })?;
        } else if redraw {
            let screen = text::screen(&heading, &report, &findings, size());
            let screen = out::coloured(&std::io::stdout(), &screen);
            out::text(&format!("{CLEAR}{screen}"))?;
        } else if args.once {
            let report = text::report(&heading, &report, &findings);
            out::text(&out::coloured(&std::io::stdout(), &report))?;
        } else {
            out::text(&line(&report, &findings))?;
        }
        if args.once && !findings.is_empty() {
            return Ok(Verdict::BadNews);
        }
        if args.once || !alive {
            return Ok(Verdict::Good);
        }
        if !redraw {
            // Each line is about its own time.
            observer = Observer::of_process(program.pid);
            observer.look();
        }
    }
}

/// How many lines of the terminal a report may have, the cursor standing below it, and how many columns there are.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    // Some terminals say that they have none.
    let told = |told: Option<u16>, least: u16, usual: usize| {
        told.filter(|told| *told >= least)
            .map_or(usual, usize::from)
    };
    let size = size.ok();
    let rows = told(size.map(|size| size.ws_row), 2, USUAL.0);
    let columns = told(size.map(|size| size.ws_col), 1, USUAL.1);
    (rows - 1, columns)
}

/// Looks for the time of one report; tells whether anything is still there.
fn window(observer: &mut Observer, budget: &mut Budget, args: &WatchArgs) -> bool {
    let end = Instant::now() + args.window;
    loop {
        let cost = observer.look();
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || observer.alive() == 0 {
            return observer.alive() > 0;
        }
        thread::sleep(budget.pause(args.interval, cost).min(left));
    }
}

/// A report in a line.
fn line(report: &Report, findings: &[Finding]) -> String {
    let rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
    format!(
        "{:.2} of {} cores, {} threads runnable, {:.1} % waiting{}{}",
        report.cores_used,
        report.cores.count,
        report.runnable.peak,
        run::loss(report),
        if rules.is_empty() { "" } else { ": " },
        rules.join(", ")
    )
}
