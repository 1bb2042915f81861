//! `cargo run --release -p threadctl-examples --bin cookbook -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use threadctl::Workers;
use threadctl_examples::cookbook::processes::{exp_in_processes, number, part};
use threadctl_examples::cookbook::{exp, exp_one_by_one};

/// exp of many numbers: one after the other, with threads, with processes.
#[derive(Parser)]
struct Args {
    /// How many numbers
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    numbers: usize,
    /// As in SciPy: 2 is two, -1 all cores
    #[arg(long, default_value = "2", allow_hyphen_values = true)]
    workers: Workers<'static>,
    /// The part of the numbers that a process of ours computes, and writes to standard output
    #[arg(long, num_args = 2, hide = true)]
    part: Vec<usize>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cookbook: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if let [start, end] = args.part[..] {
        return Ok(part(
            start..end,
            exp_one_by_one,
            &mut std::io::stdout().lock(),
        )?);
    }
    threadctl::init()?;
    let numbers: Vec<f64> = (0..args.numbers).map(number).collect();
    let (mut plain, mut threads) = (vec![0.0; numbers.len()], vec![0.0; numbers.len()]);
    timed("one after the other", || {
        exp_one_by_one(&numbers, &mut plain);
        Ok(())
    })?;
    timed(&format!("{} workers", args.workers), || {
        Ok(exp(&numbers, &mut threads, args.workers)?)
    })?;
    let processes = timed("as many processes", || {
        let own = std::env::current_exe()?;
        Ok(exp_in_processes(&own, args.numbers, args.workers)?)
    })?;
    if threads != plain || processes != plain {
        return Err("the three do not agree".into());
    }
    Ok(())
}

fn timed<R>(
    what: &str,
    work: impl FnOnce() -> Result<R, Box<dyn Error>>,
) -> Result<R, Box<dyn Error>> {
    let begun = Instant::now();
    let result = work()?;
    println!("{what:<20} {:.3} s", begun.elapsed().as_secs_f64());
    Ok(result)
}
