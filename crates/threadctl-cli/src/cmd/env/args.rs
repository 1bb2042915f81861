//! The options of `threadctl env`.

use clap::{Args, ValueEnum};
use threadctl::Workers;

const EXAMPLES: &str = "\
Examples:
  eval \"$(threadctl env --jobs 4)\"            then start four jobs from this shell
  threadctl env --jobs 4 --shell fish | source
  eval \"$(threadctl env --inner 2)\"           a program whose parallel loop calls BLAS: 2 cores in each call
  eval \"$(threadctl env --jobs 3 --job 1)\"    the first of three jobs, which gets what does not divide evenly
  threadctl env --shell json | jq -r .width

Exit codes: 0 printed, 2 usage or system error (no jobs, a THREADCTL_ variable that cannot be read ...).";

/// Print the environment variables with which programs, in any language, keep to their share of the cores.
///
/// The settings are for each of the jobs, which have equal shares; whatever they are, a job has one core at least. What
/// is not what was asked for is said on standard error.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EnvArgs {
    /// How many jobs run at the same time; -1 is one for each core.
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true, value_parser = jobs)]
    pub(crate) jobs: Workers<'static>,

    /// The settings of this one of the jobs, from 1; the first ones get the cores that do not divide evenly.
    #[arg(long, value_name = "K")]
    pub(crate) job: Option<usize>,

    /// How many cores one call into a library (BLAS, OpenMP) may use where it is made from a parallel loop (rayon,
    /// numba ...); the loop gets as many threads as fit beside that. -1 is all of the job's. Without it each of them
    /// may use all of the job's, for programs that do not call one from the other.
    #[arg(long, value_name = "M", allow_hyphen_values = true, value_parser = inner)]
    pub(crate) inner: Option<Workers<'static>>,

    /// For whom the settings are written.
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub(crate) shell: Shell,
}

/// Who reads the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// sh, bash, zsh, dash, ksh
    Sh,
    Fish,
    /// One versioned document
    Json,
}

fn jobs(text: &str) -> Result<Workers<'static>, String> {
    workers(text, "there must be at least one job")
}

fn inner(text: &str) -> Result<Workers<'static>, String> {
    workers(text, "a call uses at least one core")
}

/// clap names the option and the value; what is wrong with it is said here.
fn workers(text: &str, why_not_0: &str) -> Result<Workers<'static>, String> {
    text.parse().map_err(|_| {
        let zero = text.trim().parse() == Ok(0);
        let why = if zero {
            why_not_0
        } else {
            "that is no whole number"
        };
        format!("{why}; give 1 or more, or -1 for all cores, -2 for all but one ...")
    })
}
