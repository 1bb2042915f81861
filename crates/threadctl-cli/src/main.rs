//! The `threadctl` command: parse, run one command, map its end to an exit code.
//!
//! Invariants: this is the only place that turns a result into an exit code (0 the answer is good, 1 the answer
//! is bad news, 2 usage or system error; clap uses 2 for usage errors too; `threadctl run` ends as its command did), and nothing below it calls
//! `process::exit`. A reader that goes away early (`threadctl demo | head -1`) is not an error.

mod args;
mod cmd;
mod out;
mod plot;

use std::process::ExitCode;

use clap::Parser;

/// What a command found out; how it went wrong is the `Err` beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The command did what was asked and has nothing to complain of.
    Good,
    /// The command worked, and its answer is bad news (already printed).
    BadNews,
    /// A command was run, and ended with this code.
    Status(u8),
}

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let ended = threadctl::init()
        .map_err(anyhow::Error::from)
        .and_then(|_| cmd::run(cli.command));
    match ended {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Status(code)) => ExitCode::from(code),
        Ok(Verdict::BadNews) => ExitCode::from(1),
        Err(error) if out::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            out::complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}
