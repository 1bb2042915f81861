//! Budgets of cores between processes: `threadctl share` (`budget`), its processes being killed (`kill`), GNU make and cargo
//! (`make`), and budgets that cannot be used (`stale`). `roles` is what the processes do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod budget;
mod kill;
mod make;
mod roles;
#[path = "../run/schema.rs"]
#[allow(
    dead_code,
    reason = "the documents of other commands are checked elsewhere"
)]
mod schema;
mod stale;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Variables that offer budgets, or count as somebody's.
const OFFERS: &[&str] = &[
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "CARGO_MAKEFLAGS",
    "THREADCTL_JOBSERVER",
    "THREADCTL_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// A command without the budgets of whoever runs the tests.
fn without_offers(mut command: Command) -> Command {
    for name in OFFERS {
        command.env_remove(name);
    }
    command
}

fn threadctl(args: &[&str]) -> Command {
    let mut command = without_offers(Command::new(env!("CARGO_BIN_EXE_threadctl")));
    command.args(args);
    command
}

/// `threadctl share` with these options.
fn share(options: &[&str]) -> Command {
    let mut command = threadctl(&["share"]);
    command.args(options).arg("--");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a command that must end well.
#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    output
}

/// Waits for something; how long it took.
#[track_caller]
fn until(what: &str, happened: impl Fn() -> bool) -> Duration {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
    since.elapsed()
}

fn read(path: &Path) -> serde_json::Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}
