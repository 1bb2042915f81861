//! The options of `threadctl run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use threadctl::{Limits, Workers};

use crate::plot::Target;

const EXAMPLES: &str = "\
Examples:
  threadctl run -- python job.py                  do its threads fight for cores, whose, and what does it cost?
  threadctl run --limit blas=1 -- python job.py   the same with one thread in each call into BLAS
  threadctl run --jobs 4 -- ./job                 as one of four jobs on this machine (see threadctl env)
  threadctl run --json --report run.json -- ./job
  threadctl run --plot run.html -- ./job          a page with a picture of its threads over time
  threadctl run --quiet --fail-over 10 -- ./job   for CI: exit code 1 if more than 10 % of thread time is waiting

The report comes on standard error, or in the file of --report, when the command has ended; its input, output and
terminal are its own. Of each group of threads it has the CPU time, what they waited for a core, and the overlap: CPU
time that they used while threads of other groups waited, which is what spinning costs others. Exit codes: the command's own; 128 + N where signal N killed it; 1 where it succeeded but the
loss exceeds --fail-over; 2 where it was not started (there is no such command, an option is wrong ...).";

/// Run a command, and report whether its threads fought for cores, and whose they are.
///
/// Works with programs in any language. The program and its children are looked at from outside; a small library that is
/// preloaded into them writes down which library made each thread, and what it used (not in programs that are
/// statically linked or set-uid).
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The least time between two looks, in milliseconds. Many threads make it longer: looking takes less than 1 % of a
    /// core, or there is one look a second.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = interval)]
    pub(crate) interval: Duration,

    /// Write the report to this file instead of standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Write the report as one versioned JSON document (threadctl.run/1).
    #[arg(long)]
    pub(crate) json: bool,

    /// Draw runnable threads over time, by whose they are, and what they waited for a core: as SVG, PNG, or one HTML page with
    /// the report in it.
    #[arg(long, value_name = "FILE.svg|png|html")]
    pub(crate) plot: Option<Target>,

    /// Write no report on standard error.
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Exit with 1 if the command succeeds but its threads spend more than this share of their time waiting for a core.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) fail_over: Option<f64>,

    /// Limit the threads of its runtimes: blas=1, openmp=2, rayon=4 ...; several with commas, or several times. Sets the
    /// variables that those read when they start, and THREADCTL_LIMITS.
    #[arg(long, value_name = "LIMITS", value_parser = limits)]
    pub(crate) limit: Vec<String>,

    /// Have it use this many cores: sets the variables of `threadctl env`; -1 is all cores.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = workers)]
    pub(crate) cores: Option<Workers<'static>>,

    /// Have it use its share beside so many jobs at the same time: sets the variables of `threadctl env --jobs N`.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = workers)]
    pub(crate) jobs: Option<Workers<'static>>,

    /// Share the command's BLAS and LAPACK calls between the cores: preloads libthreadctl_preload.so, which lies beside threadctl or
    /// in ../lib, or is named by THREADCTL_PRELOAD. Not in programs that are statically linked or set-uid.
    #[arg(long)]
    pub(crate) dispatch: bool,

    /// Preload no agent: for programs that do not bear it (built with a sanitizer, for instance). Whose the threads are is
    /// then guessed.
    #[arg(long)]
    pub(crate) no_agent: bool,

    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<OsString>,
}

pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(milliseconds @ 1..=60_000) => Ok(Duration::from_millis(milliseconds)),
        _ => Err("give whole milliseconds from 1 to 60000".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    number
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "give a number from 0 to 100".to_owned())
}

fn limits(text: &str) -> Result<String, String> {
    let parsed: Result<Limits, _> = text.parse();
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

fn workers(text: &str) -> Result<Workers<'static>, String> {
    text.parse()
        .map_err(|_| "give 1 or more, or -1 for all cores, -2 for all but one ...".to_owned())
}
