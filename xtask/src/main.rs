//! The project's own tasks, run as `cargo xtask TASK`: set-up of real BLAS and OpenMP libraries, the demo, the tests.
//!
//! Everything that it says goes to stderr, so that stdout holds only what was asked for: the demo's own output, the
//! closing tally of `test`, the `export` line of `setup`.
//!
//! Exit codes: 0 when all is well, 1 when a test step failed, 2 when the set-up or the request itself cannot be
//! carried out. `demo` ends with the exit code of `threadctl demo`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a task runner talks to the person who started it

mod bench;
mod demo;
mod peers;
mod project;
mod sanitize;
mod setup;
mod summary;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};
use project::Project;
use setup::table::Purpose;

/// Bad news as the answer: a step of `test` or `check` failed.
pub const FAILED: u8 = 1;
/// The task could not be carried out at all.
const UNABLE: u8 = 2;

/// One row of the command line: name, what `help` says, whether arguments may follow, the task.
struct Task {
    name: &'static str,
    about: &'static str,
    takes_args: bool,
    run: fn(&Project, &[String]) -> Result<ExitCode>,
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        about: "fetch the libraries that the tests load, and write the manifest that names them",
        takes_args: false,
        run: |project, _| {
            let manifest = setup::ensure(project, Purpose::Test)?;
            println!(
                "export {}='{}'",
                setup::MANIFEST_VARIABLE,
                manifest.file().display()
            );
            Ok(ExitCode::SUCCESS)
        },
    },
    Task {
        name: "test",
        about: "setup, then check, all tests, doctests and the loom models; ends with one line of totals",
        takes_args: false,
        run: |project, _| test::run(project, test::Extent::Everything),
    },
    Task {
        name: "check",
        about: "formatting, clippy and rustdoc only; needs no set-up but the linker's OpenBLAS, MPI and libclang",
        takes_args: false,
        run: |project, _| test::run(project, test::Extent::Static),
    },
    Task {
        name: "sanitize",
        about: "shared calls under ThreadSanitizer and AddressSanitizer; needs llvm-symbolizer, and no set-up",
        takes_args: false,
        run: |project, _| sanitize::run(project),
    },
    Task {
        name: "demo",
        about: "fetch one BLAS, build threadctl and run `threadctl demo [ARGS...]`",
        takes_args: true,
        run: demo::run,
    },
    Task {
        name: "bench",
        about: "setup, then write BENCHMARKS.md anew, or the tables named; with `--print`, print only",
        takes_args: true,
        run: bench::run,
    },
    Task {
        name: "peers",
        about: "fetch NumPy, SciPy and Numba, run the workloads beside them, write their tables; `--print`: print only",
        takes_args: true,
        run: peers::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(UNABLE)
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let (name, rest) = match args {
        [] => bail!("no task given\n\n{}", usage()),
        [name, ..] if matches!(name.as_str(), "help" | "-h" | "--help") => {
            println!("{}", usage());
            return Ok(ExitCode::SUCCESS);
        }
        [name, rest @ ..] => (name, rest),
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        bail!("there is no task `{name}`\n\n{}", usage());
    };
    if let ([extra, ..], false) = (rest, task.takes_args) {
        bail!("`cargo xtask {name}` takes no arguments, but was given `{extra}`");
    }
    (task.run)(&Project::find()?, rest)
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask TASK\n");
    for task in TASKS {
        text.push_str(&format!("\n  {:<9}{}", task.name, task.about));
    }
    text
}
