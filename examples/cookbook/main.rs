//! `cargo run --release -p threadctl-examples --bin cookbook -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use threadctl::Workers;
use threadctl_examples::cookbook::{exp, exp_one_by_one, map};

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
        return Ok(part(start, end)?);
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
        in_processes(args.numbers, args.workers)
    })?;
    if threads != plain || processes != plain {
        return Err("the three do not agree".into());
    }
    Ok(())
}

fn number(index: usize) -> f64 {
    (index % 1000) as f64 * 1e-3
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

/// A process for each worker. Their results come back through pipes, which is what processes cost.
fn in_processes(count: usize, workers: Workers<'_>) -> Result<Vec<f64>, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let parts = workers.resolve(threadctl::cores().count()) as usize;
    let bounds: Vec<(usize, usize)> = (0..parts)
        .map(|part| (count * part / parts, count * (part + 1) / parts))
        .collect();
    let results = map(
        |(start, end)| -> Result<Vec<f64>, String> {
            let mut child = Command::new(&own)
                .args(["--part", &start.to_string(), &end.to_string()])
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())?;
            let mut bytes = Vec::with_capacity((end - start) * 8);
            let read = child
                .stdout
                .take()
                .map(|mut pipe| pipe.read_to_end(&mut bytes));
            let status = child.wait().map_err(|error| error.to_string())?;
            match read {
                Some(Ok(length)) if status.success() && length == (end - start) * 8 => Ok(bytes
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|bytes| f64::from_le_bytes(*bytes))
                    .collect()),
                _ => Err(format!(
                    "the process ended with {status} after {} bytes",
                    bytes.len()
                )),
            }
        },
        &bounds,
        workers,
    )?;
    Ok(results.concat())
}

fn part(start: usize, end: usize) -> std::io::Result<()> {
    let numbers: Vec<f64> = (start..end).map(number).collect();
    let mut results = vec![0.0; numbers.len()];
    exp_one_by_one(&numbers, &mut results);
    let bytes: Vec<u8> = results
        .iter()
        .flat_map(|result| result.to_le_bytes())
        .collect();
    std::io::stdout().lock().write_all(&bytes)
}
