//! The options of `threadctl jobs`. Names and meanings are GNU parallel's where it has them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use threadctl::Workers;

const EXAMPLES: &str = "\
Examples:
  threadctl jobs gzip -9 ::: *.fits               one job for each file, as many at once as there are cores
  ls *.fil | threadctl jobs -k --tag search {} -o {.}.cand
  threadctl jobs < commands.txt                   without a command, each line is one
  threadctl jobs -j 2 python3 fit.py {1} {2} ::: a b c ::: 0.1 0.5      every a, b, c with every number
  threadctl jobs --joblog log --resume ./fit {} ::: $(seq 1000)         go on where the last run stopped
  threadctl jobs --halt now,fail=1 --bar make -C {} ::: */              the first failure ends all
  threadctl jobs --json --report report.json ./fit ::: a b c

In the command {} is the value, {.} without its extension, {/} its file name, {//} its folder, {/.} its file name without
the extension, {1} {2.} ... those of one list of several, {#} the number of the job and {%} of its place among those that
run at once. Values are quoted for the shell, sh, which the job is run by; where none of these is in the command, {}
goes at its end. Without a command the lists are commands themselves, and not quoted.

Each job has its share of the cores, by the variables of `threadctl env` and by affinity. Together the shares are never
more than the cores (unless -j is). Where fewer jobs are left than run at once, those that start get more cores each.

Exit codes: 0 all jobs succeeded; 1 one failed, and they are listed; 2 usage or system error (the log cannot be written,
a file cannot be read ...); 128 + N when signal N ended it.";

/// Run many commands, a bounded number at once, each with its share of the cores.
///
/// Output is kept apart: that of a job is printed when it has ended, standard output first. The basic options are those of GNU
/// parallel. A list is read to its end before the first job starts.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "threadctl jobs [OPTIONS] [COMMAND]... [::: VALUE...]...")]
pub(crate) struct JobsArgs {
    /// How many jobs run at once: a number, or per cent of the cores. Without it, as many as there are cores.
    #[arg(long, short, visible_short_alias = 'P', value_name = "N|N%", value_parser = at_once)]
    pub(super) jobs: Option<AtOnce>,

    /// The cores that they share: 4 is four, -1 all, -2 all but one.
    #[arg(long, value_name = "N", default_value = "-1", allow_hyphen_values = true, value_parser = workers)]
    pub(super) cores: Workers<'static>,

    /// Read values from a file, one on each line; - is standard input. Several times: every value of the first with every
    /// value of the second.
    #[arg(long, short = 'a', value_name = "FILE")]
    pub(super) arg_file: Vec<PathBuf>,

    /// Values in files, and on standard input, end with a NUL and not with a line (find -print0).
    #[arg(long, short = '0')]
    pub(super) null: bool,

    /// Print output in the order of the jobs, not of their ends.
    #[arg(long, short)]
    pub(super) keep_order: bool,

    /// Begin each line of output with the value of its job and a tab.
    #[arg(long)]
    pub(super) tag: bool,

    /// Write a line for each job that has ended, as GNU parallel does. A log that is there is begun anew, unless --resume.
    #[arg(long, value_name = "FILE")]
    pub(super) joblog: Option<PathBuf>,

    /// Do not run again what has succeeded by the log; what failed, or was under way, runs again.
    #[arg(long, requires = "joblog")]
    pub(super) resume: bool,

    /// Keep output in DIR/NUMBER/stdout and stderr, too, NUMBER being the job's.
    #[arg(long, value_name = "DIR")]
    pub(super) results: Option<PathBuf>,

    /// When to stop before the end: never; soon,fail=N starts no more jobs once N have failed; now,fail=N also ends those that
    /// run.
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = halt)]
    pub(super) halt: Halt,

    /// Print the commands instead of running them.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Show how many have ended, on a terminal.
    #[arg(long)]
    pub(super) bar: bool,

    /// Leave jobs on all CPUs: their shares are numbers of threads alone.
    #[arg(long)]
    pub(super) no_affinity: bool,

    /// Report as one versioned JSON document (threadctl.jobs/1), on standard error or in the file of --report.
    #[arg(long)]
    pub(super) json: bool,

    /// Write the report to this file instead of standard error.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,

    /// The command and its arguments; then ::: and values, or :::: and files of values, as often as there are lists.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(super) command: Vec<OsString>,
}

/// How many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtOnce {
    Number(u32),
    /// Of the cores, at least one.
    PerCent(u32),
}

impl AtOnce {
    pub(super) fn of(self, cores: u32) -> u32 {
        match self {
            AtOnce::Number(number) => number,
            AtOnce::PerCent(part) => {
                let number = u64::from(cores) * u64::from(part) / 100;
                u32::try_from(number).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

/// When to stop before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Never,
    /// After so many failures nothing is started.
    Soon(usize),
    /// And what runs is ended.
    Now(usize),
}

fn at_once(text: &str) -> Result<AtOnce, String> {
    let (digits, make): (_, fn(u32) -> AtOnce) = match text.strip_suffix('%') {
        Some(digits) => (digits, AtOnce::PerCent),
        None => (text, AtOnce::Number),
    };
    match digits.parse() {
        // More processes than any kernel has would only be an endless loop.
        Ok(number @ 1..=100_000) if !digits.starts_with('+') => Ok(make(number)),
        _ => Err("give a whole number from 1 on, or per cent of the cores, such as 50%".to_owned()),
    }
}

fn workers(text: &str) -> Result<Workers<'static>, String> {
    text.parse()
        .map_err(|_| "give 1 or more, or -1 for all cores, -2 for all but one ...".to_owned())
}

fn halt(text: &str) -> Result<Halt, String> {
    let (word, rest) = text.split_once(',').unwrap_or((text, "fail=1"));
    let number = rest
        .strip_prefix("fail=")
        .and_then(|digits| digits.parse().ok());
    match (word, number) {
        ("never", _) if text == "never" => Ok(Halt::Never),
        ("soon", Some(number @ 1..)) => Ok(Halt::Soon(number)),
        ("now", Some(number @ 1..)) => Ok(Halt::Now(number)),
        _ => Err(
            "give never, soon or now, the latter two with how many failures: soon,fail=1"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_once_are_numbers_or_per_cent() {
        assert_eq!(at_once("3").unwrap().of(8), 3);
        assert_eq!(at_once("50%").unwrap().of(8), 4);
        assert_eq!(at_once("1%").unwrap().of(8), 1);
        for wrong in ["0", "-1", "+2", "", "%", "x", "0%", "4294967296", "1.5"] {
            assert!(at_once(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn halting_takes_a_word_and_a_number_of_failures() {
        assert_eq!(halt("never"), Ok(Halt::Never));
        assert_eq!(halt("now"), Ok(Halt::Now(1)));
        assert_eq!(halt("soon,fail=3"), Ok(Halt::Soon(3)));
        for wrong in [
            "",
            "later",
            "now,fail=0",
            "now,fail=",
            "soon,success=1",
            "never,fail=1",
            "now,",
        ] {
            assert!(halt(wrong).is_err(), "{wrong}");
        }
    }
}
