//! The command line, as clap reads it. Parsing has no effects; each command's own options live beside it.

use clap::{Parser, Subcommand};

use crate::cmd::{
    backends, cores, demo, doctor, env, explain, generate, info, jobs, plot, run, share, tune,
    watch,
};

/// Which thread pools a process has, what they cost, and how they share the cores.
#[derive(Debug, Parser)]
#[command(
    name = "threadctl",
    version,
    about,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "Exit codes: 0 good, 1 bad news as the answer, 2 usage or system error.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant per command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every BLAS and OpenMP thread pool of a process: its threads, its build, whom a setting reaches.
    Info(info::args::InfoArgs),
    /// Print how many cores this process may really use, and with --explain which constraint says so.
    Cores(cores::args::CoresArgs),
    Backends(backends::args::BackendsArgs),
    Env(env::args::EnvArgs),
    Run(run::args::RunArgs),
    Share(share::args::ShareArgs),
    Jobs(jobs::args::JobsArgs),
    Plot(plot::PlotArgs),
    Watch(watch::WatchArgs),
    Explain(explain::ExplainArgs),
    Doctor(doctor::DoctorArgs),
    Tune(tune::args::TuneArgs),
    Demo(demo::args::DemoArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
    /// One measured run of the demo; the demo starts it as a child of its own.
    #[command(hide = true, name = demo::child::SUBCOMMAND)]
    DemoChild,
}
