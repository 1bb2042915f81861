//! `cargo run --release -p threadctl-examples --bin arrays -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ndarray::Array1;
use threadctl::Workers;
use threadctl_examples::arrays::{in_place, into};

/// Array expressions, each in one pass, with its time.
#[derive(Parser)]
struct Args {
    /// How many elements
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    elements: usize,
    /// As in SciPy: 2 is two, -1 all cores
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    workers: Workers<'static>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("arrays: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    threadctl::init()?;
    let workers = args.workers;
    let numbers = |step: usize| {
        Array1::from_shape_fn(args.elements, |at| ((at * step) % 1000 + 1) as f64 / 1002.0)
    };
    let (b, c) = (numbers(7), numbers(3));
    let mut a = Array1::zeros(args.elements);
    timed("A = B + C", || {
        into(
            a.view_mut(),
            [b.view(), c.view()],
            workers,
            #[inline(always)]
            |_, [b, c]| b + c,
        )
    })?;
    timed("A = sin(B)", || {
        into(
            a.view_mut(),
            [b.view()],
            workers,
            #[inline(always)]
            |maths, [b]| maths.sin(b),
        )
    })?;
    timed("A = norm.isf(B)", || {
        into(
            a.view_mut(),
            [b.view()],
            workers,
            #[inline(always)]
            |maths, [b]| maths.isf(b),
        )
    })?;
    timed("A = exp(-B * B / 2) * C + sin(B), in one pass", || {
        into(
            a.view_mut(),
            [b.view(), c.view()],
            workers,
            #[inline(always)]
            |maths, [b, c]| maths.exp(-b * b / 2.0) * c + maths.sin(b),
        )
    })?;
    timed("A += 2 B, in place", || {
        in_place(
            a.view_mut(),
            [b.view()],
            workers,
            #[inline(always)]
            |_, a, [b]| a + 2.0 * b,
        )
    })?;
    println!("sum of A: {}", a.sum());
    Ok(())
}

fn timed<E: Error + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<(), E>,
) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    work()?;
    println!("{what:<46} {:.4} s", begun.elapsed().as_secs_f64());
    Ok(())
}
