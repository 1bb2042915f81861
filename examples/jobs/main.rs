//! `cargo run --release -p threadctl-examples --bin jobs -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use threadctl::Workers;
use threadctl_examples::jobs::{Outcome, run};

/// Runs the lines of a file as shell commands, each with its share of the cores.
///
/// Exit codes: 0 all done, 1 at least one failed, 2 the list cannot be read.
#[derive(Parser)]
struct Args {
    /// A command on each line; empty lines and lines that begin with # are left out; `-` is standard input
    list: PathBuf,
    /// The cores that they share: 2 is two, -1 all
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    cores: Workers<'static>,
}

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("jobs: {error}");
            ExitCode::from(2)
        }
    }
}

/// How many failed.
fn start(args: &Args) -> Result<usize, Box<dyn Error>> {
    threadctl::init()?;
    let text = read(args).map_err(|error| format!("{}: {error}", args.list.display()))?;
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let command = |line: &&str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    };
    let jobs = lines.iter().map(command).collect();
    let outcomes = run(jobs, args.cores, |index, outcome| {
        println!(
            "{}/{} {} after {:.1} s on {} core(s): {}",
            index + 1,
            lines.len(),
            outcome.describe(),
            outcome.took.as_secs_f64(),
            outcome.cores,
            lines[index]
        );
    });
    let failed = outcomes
        .iter()
        .filter(|outcome| !Outcome::is_success(outcome))
        .count();
    println!("{} of {} done", outcomes.len() - failed, outcomes.len());
    Ok(failed)
}

fn read(args: &Args) -> std::io::Result<String> {
    if args.list.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(&args.list)
}
