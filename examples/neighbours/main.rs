//! `cargo run --release -p threadctl-examples --bin neighbours -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ndarray::Array2;
use threadctl::Workers;
use threadctl::dispatch::Pool;
use threadctl_examples::neighbours::{nearest, pairs_above};

/// Finds the nearest neighbours by cosine of each vector.
#[derive(Parser)]
struct Args {
    /// A .npy file of float32 (n, dimensions), in C order [default: made at random]
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// How many are made at random
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    random: usize,
    /// How many neighbours of each
    #[arg(long, short = 'k', value_name = "K", default_value_t = 10)]
    count: usize,
    /// All pairs above this cosine instead
    #[arg(long, value_name = "COSINE", allow_hyphen_values = true)]
    threshold: Option<f32>,
    /// As in SciPy: 2 is two, -1 all cores
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    workers: Workers<'static>,
    /// Where the indices go: int64 (n, K), the nearest first
    #[arg(long, value_name = "FILE", conflicts_with = "threshold")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("neighbours: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    threadctl::init()?;
    Pool::build_global_here(args.workers)?;
    let vectors: Array2<f32> = match &args.vectors {
        Some(file) => ndarray_npy::read_npy(file).map_err(|error| {
            format!(
                "{}: {error}; wanted: float32, two dimensions",
                file.display()
            )
        })?,
        None => at_random(args.random, 256),
    };
    let begun = Instant::now();
    if let Some(threshold) = args.threshold {
        let pairs = pairs_above(vectors.view(), threshold)?;
        println!(
            "{} pairs of {} vectors are above {threshold} ({:.3} s)",
            pairs.len(),
            vectors.nrows(),
            begun.elapsed().as_secs_f64()
        );
        return Ok(());
    }
    let found = nearest(vectors.view(), args.count)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} neighbours of each of {} vectors ({seconds:.3} s), of the first:",
        args.count,
        vectors.nrows()
    );
    for neighbour in found.of(0) {
        println!("{:>10} {:.6}", neighbour.index, neighbour.cosine);
    }
    if let Some(out) = &args.out {
        ndarray_npy::write_npy(out, &found.indices())
            .map_err(|error| format!("{}: {error}", out.display()))?;
    }
    Ok(())
}

/// The same at every start: SplitMix64.
fn at_random(count: usize, dimensions: usize) -> Array2<f32> {
    let mut state = 1u64;
    Array2::from_shape_simple_fn((count, dimensions), || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}
