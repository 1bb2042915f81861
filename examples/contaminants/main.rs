//! `cargo run --release -p threadctl-examples --bin contaminants -- --help`
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
use threadctl_examples::contaminants::catalogue::write_indices;
use threadctl_examples::contaminants::{BadCatalogue, Method, Sphere, clean};

/// Removes the objects of a catalogue that a contaminant is near to.
#[derive(Parser)]
struct Args {
    /// Objects, a .npy file of float64 (n, 3) with unit vectors [default: 500,000 at random]
    #[arg(long, value_name = "FILE")]
    objects: Option<PathBuf>,
    /// Contaminants, likewise [default: 50,000 at random]
    #[arg(long, value_name = "FILE")]
    contaminants: Option<PathBuf>,
    /// Nearer than this is too near
    #[arg(long, value_name = "DEGREES", default_value_t = 0.05)]
    angle: f64,
    /// auto, pairs (every pair, left at the first hit) or tree (k-d tree)
    #[arg(long, default_value_t = Method::Auto)]
    method: Method,
    /// Where the indices of the objects that stay go, int64 in order
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contaminants: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    threadctl::init()?;
    let read = |file: &Option<PathBuf>, count, seed| match file {
        Some(file) => Sphere::read(file).map_err(|error| match error {
            BadCatalogue::File { .. } => error.to_string(),
            _ => format!("{}: {error}", file.display()),
        }),
        None => Ok(Sphere::random(count, seed)),
    };
    let objects = read(&args.objects, 500_000, 1)?;
    let contaminants = read(&args.contaminants, 50_000, 2)?;
    let (method, why) = args
        .method
        .settle(objects.len(), contaminants.len(), args.angle);
    let begun = Instant::now();
    let stay = clean(&objects, &contaminants, args.angle, args.method)?;
    println!(
        "{} of {} objects stay ({method}: {why}; {:.3} s)",
        stay.len(),
        objects.len(),
        begun.elapsed().as_secs_f64()
    );
    if let Some(out) = &args.out {
        write_indices(out, &stay)?;
    }
    Ok(())
}
