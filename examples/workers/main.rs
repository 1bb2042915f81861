//! `cargo run --release -p threadctl-examples --bin workers -- --help`
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
use ndarray_linalg::Determinant;
use rustfft::num_complex::Complex64;
use threadctl::Workers;
use threadctl_examples::workers::Map;
use threadctl_examples::workers::evolution::{Search, minimise};
use threadctl_examples::workers::fft::{fftn, ifftn};

/// A two-dimensional Fourier transform, and a differential evolution whose function calls LAPACK, with so many workers.
#[derive(Parser)]
struct Args {
    /// Rows and columns that are transformed
    #[arg(long, value_name = "N", default_value_t = 1024)]
    size: usize,
    /// As in SciPy: 2 is two, -1 all cores
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    workers: Workers<'static>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workers: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    threadctl::init()?;
    let image = Array2::from_shape_fn((args.size, args.size), |(i, j)| {
        Complex64::new(((i * 7 + j * 3) % 11) as f64, 0.0)
    });
    let mut there = image.clone();
    let begun = Instant::now();
    fftn(there.view_mut(), &[0, 1], args.workers)?;
    ifftn(there.view_mut(), &[0, 1], args.workers)?;
    let off = there
        .iter()
        .zip(&image)
        .map(|(a, b)| (a - b).norm())
        .fold(0.0, f64::max);
    println!(
        "{0} x {0} there and back: {1:.3} s, {off:.1e} off",
        args.size,
        begun.elapsed().as_secs_f64()
    );

    // For which length and noise does a covariance have the determinant exp(-40)? Any function that calls LAPACK would do.
    let target = |point: &[f64]| {
        let covariance = Array2::from_shape_fn((60, 60), |(i, j)| {
            let distance = i.abs_diff(j) as f64 / point[0];
            (-distance).exp() + if i == j { point[1] } else { 0.0 }
        });
        covariance
            .sln_det()
            .map_or(f64::INFINITY, |(_, logarithm)| (logarithm + 40.0).powi(2))
    };
    let begun = Instant::now();
    let search = Search {
        generations: 100,
        ..Search::default()
    };
    let found = minimise(
        &target,
        &[(0.1, 20.0), (0.001, 1.0)],
        &search,
        &Map::Workers(args.workers),
    )?;
    println!(
        "evolution: {:.3} s, {} generations, {:?} gives {:.2e}",
        begun.elapsed().as_secs_f64(),
        found.generations,
        found.point,
        found.value
    );
    Ok(())
}
