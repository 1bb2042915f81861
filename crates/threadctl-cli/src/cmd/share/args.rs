//! The options of `threadctl share`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  threadctl share -- sh -c './a & ./b & wait'        two programs on all cores; who rests lends its core
  threadctl share --cores 8 -- make -j8 experiments  a make, and the threadctl programs in its rules, on 8 cores
  threadctl share --cores 4 -- python -m pytest -n 4
  threadctl share --report used.json --json -- ./sweep

Programs that use threadctl, or run under threadctl run --dispatch, are in the budget: each has one core, and takes a
token for every further one. GNU make and cargo take tokens for their jobs. What ignores the budget runs as ever.
A program that shall not take part gets THREADCTL_JOBSERVER=off. Exit codes: the command's own; 128 + N where signal N
killed it; 2 where it was not started.";

/// Run a command whose processes share a budget of cores.
///
/// The budget speaks GNU make's jobserver protocol. Tokens of a process that was killed come back within milliseconds, and a
/// process that rests lends its own core. Nobody waits for a token: who gets none computes with fewer threads.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShareArgs {
    /// How many cores the budget has; without it as many as threadctl cores says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) cores: Option<u32>,

    /// How make is told: by the name of a FIFO (make from 4.4 on) or by two inherited descriptors (any make that has jobservers of
    /// its own). Without it, what the make in PATH understands. Other flags in your MAKEFLAGS are kept.
    #[arg(long, value_enum, default_value_t = Style::Auto)]
    pub(crate) jobserver_style: Style,

    /// When the command has ended, write to this file how the budget was used; - is standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Write the report as one versioned JSON document (threadctl.share/1).
    #[arg(long, requires = "report")]
    pub(crate) json: bool,

    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<OsString>,
}

/// The forms of `--jobserver-auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// A FIFO, or a pipe where make in PATH is older than 4.4.
    Auto,
    /// `fifo:PATH`
    Fifo,
    /// `R,W`
    Pipe,
}
