//! `mpirun -n 2 --bind-to none target/release/selection --help`

use std::process::ExitCode;

use threadctl_examples::mpi::ranks;
use threadctl_examples::mpi::selection::{Args, run};

fn main() -> ExitCode {
    ranks::main("selection", |args: &Args| args.width, run)
}
