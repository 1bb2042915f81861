//! `mpirun -n 2 --bind-to none target/release/kmeans --help`

use std::process::ExitCode;

use threadctl_examples::mpi::kmeans::{Args, run};
use threadctl_examples::mpi::ranks;

fn main() -> ExitCode {
    ranks::main("kmeans", |args: &Args| args.width, run)
}
