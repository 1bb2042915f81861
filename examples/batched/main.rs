//! `cargo run --release -p threadctl-examples --bin batched -- --help`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that answers its user"
)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ndarray::Array2;
use threadctl::Workers;
use threadctl::dispatch::Pool;
use threadctl_examples::batched::{singular_values, with_a_large_one};

/// Singular values of many small matrices, alone and with a large one beside them.
#[derive(Parser)]
struct Args {
    /// How many small ones
    #[arg(long, value_name = "N", default_value_t = 1000)]
    count: usize,
    /// Rows and columns of a small one
    #[arg(long, value_name = "N", default_value_t = 64)]
    small: usize,
    /// Rows and columns of the large one
    #[arg(long, value_name = "N", default_value_t = 800)]
    large: usize,
    /// As in SciPy: 2 is two, -1 all cores
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    workers: Workers<'static>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("batched: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    threadctl::init()?;
    Pool::build_global_here(args.workers)?;
    let small: Vec<Array2<f64>> = (0..args.count)
        .map(|seed| matrix(args.small, seed))
        .collect();
    let large = matrix(args.large, args.count);
    // The library is opened at the first call, which is nobody's work.
    singular_values(&small[..small.len().min(1)])?;

    let begun = Instant::now();
    let alone = singular_values(&small)?;
    let between = begun.elapsed();
    let (beside, of_large) = with_a_large_one(&small, &large)?;
    println!("small ones alone: {:.3} s", between.as_secs_f64());
    println!(
        "with a large one: {:.3} s",
        (begun.elapsed() - between).as_secs_f64()
    );
    if alone != beside {
        return Err("the small ones differ between the two".into());
    }
    if let Some(largest) = of_large.first() {
        println!("largest singular value of the large one: {largest:.6}");
    }
    Ok(())
}

/// Numbers without a pattern, from -1 to 1, the same for the same seed: SplitMix64.
fn matrix(order: usize, seed: usize) -> Array2<f64> {
    let mut state = (seed as u64) << 32;
    Array2::from_shape_simple_fn((order, order), || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}
