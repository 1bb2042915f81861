//! One folder or file per command, each with a `run` that returns a verdict. To add a command: a variant in
//! `args::Command`, a module here, a line in [`run()`].

pub(crate) mod backends;
pub(crate) mod cores;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod info;
pub(crate) mod jobs;
pub(crate) mod plot;
pub(crate) mod run;
pub(crate) mod share;
mod special;
pub(crate) mod tune;
pub(crate) mod watch;

use anyhow::Result;

use crate::Verdict;
use crate::args::Command;

/// Runs the command that was asked for.
pub(crate) fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::Info(args) => info::run(&args),
        Command::Backends(args) => backends::run(&args),
        Command::Cores(args) => cores::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Share(args) => share::run(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoChild => demo::child::run(),
    }
}
