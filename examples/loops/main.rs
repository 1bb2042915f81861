//! `cargo run --release -p threadctl-examples --bin loops -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ndarray::{Array2, s};
use threadctl::Workers;
use threadctl::dispatch::Pool;
use threadctl_examples::loops::arrays::{add, sum_of_squares};
use threadctl_examples::loops::distances::{Form, pairwise};
use threadctl_examples::loops::kmeans::kmeans;
use threadctl_examples::loops::products::{by_blas, by_hand};

/// Compiled loops beside their BLAS forms, each with its time.
#[derive(Parser)]
struct Args {
    /// How many points
    #[arg(long, value_name = "N", default_value_t = 3000)]
    points: usize,
    /// Their dimensions
    #[arg(long, value_name = "N", default_value_t = 16)]
    dimensions: usize,
    /// As in SciPy: 2 is two, -1 all cores
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    workers: Workers<'static>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loops: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    threadctl::init()?;
    Pool::build_global_here(args.workers)?;
    let numbers: Vec<f64> = (0..10_000_000)
        .map(|index| f64::from(index % 1000) * 1e-3)
        .collect();
    let mut out = vec![0.0; numbers.len()];
    timed("add, 10 million", || add(&numbers, &numbers, &mut out))?;
    let sum = timed("sum of squares", || sum_of_squares(&numbers));
    println!("    {sum}");
    let matrix = Array2::from_shape_fn((600, 600), |(i, j)| ((i * 7 + j * 3) % 11) as f64);
    timed("product by hand, 600 x 600", || {
        by_hand(matrix.view(), matrix.view())
    })?;
    timed("product by BLAS", || by_blas(matrix.view(), matrix.view()))?;
    let points = Array2::from_shape_fn((args.points, args.dimensions), |(i, j)| {
        ((i * 31 + j * 17) % 101) as f64
    });
    for form in [Form::Loop, Form::Product] {
        timed(
            &format!("distances of {} points, {form:?}", args.points),
            || pairwise(points.view(), form),
        );
        let begin = points.slice(s![..args.points.min(10), ..]);
        let found = timed(&format!("k-means, {form:?}"), || {
            kmeans(points.view(), begin, form, 100)
        })?;
        println!("    {} rounds", found.rounds);
    }
    Ok(())
}

fn timed<R>(what: &str, work: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = work();
    println!("{what:<36} {:.4} s", begun.elapsed().as_secs_f64());
    result
}
