//! The tables of BENCHMARKS.md, each from rounds taken in turn in one run.
//!
//! `cargo xtask bench [TABLE...]` builds what they need, sets THREADCTL_TEST_LIBS and THREADCTL_BIN, and runs this. Each
//! table is printed as soon as it is made; with `--write` it also takes the place of the one in BENCHMARKS.md, between
//! the marks that bear its name. A new table is a row of [`TABLES`] and a pair of marks. Variables of [`PARTS`] choose some of
//! a table's rows; those are put among the rows that are in BENCHMARKS.md.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints its result and fails by panicking"
)]

mod beside;
#[path = "../common/mod.rs"]
mod common;
mod constraint;
mod cores;
mod demo;
mod diagnose;
mod dispatch;
mod jobs;
mod limits;
mod merge;
mod provider;
mod scale;
mod start;
#[path = "../../tests/common/trees.rs"]
mod trees;

use common::{CASES, machine, rewrite, shown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Set for a child of this program: what it measures and prints.
const CASE: &str = "THREADCTL_BENCH_CASE";
/// The value with which a child prints what the standard library counts; every other names a library.
const AVAILABLE: &str = "available_parallelism";

/// Each chooses rows in the tables that know it: libraries, calls, programs.
const PARTS: &[&str] = &[
    "THREADCTL_BENCH_LIBRARY",
    "THREADCTL_BENCH_CALLS",
    "THREADCTL_BENCH_PROGRAM",
];

/// Whether `THREADCTL_BENCH_PROGRAM` has a part of this program's name in it (several with commas), or is not set.
fn asked(program: &str) -> bool {
    std::env::var("THREADCTL_BENCH_PROGRAM").map_or(true, |only| {
        only.split(',').any(|part| program.contains(part))
    })
}

struct Table {
    /// Between the marks, and on the command line.
    name: &'static str,
    make: fn() -> String,
    /// By how many of its first cells a row is known.
    key: usize,
    /// Makes of the rows, those of this run or all, what is in BENCHMARKS.md: order, and figures over several rows.
    finish: fn(&str) -> String,
}

const fn table(name: &'static str, make: fn() -> String) -> Table {
    Table {
        name,
        make,
        key: 2,
        finish: str::to_owned,
    }
}

impl Table {
    const fn key(self, key: usize) -> Table {
        Table { key, ..self }
    }

    const fn finish(self, finish: fn(&str) -> String) -> Table {
        Table { finish, ..self }
    }
}

const TABLES: &[Table] = &[
    table("limits", limits::table),
    table("start", start::table),
    table("provider", provider::table),
    table("demo", demo::table),
    table("cores", cores::table),
    table("cores-beside", beside::table),
    table("diagnose-rules", diagnose::rules).key(1),
    table("diagnose-remedies", diagnose::remedies).key(1),
    table("diagnose-exact", diagnose::exact).key(1),
    table("diagnose-overhead", diagnose::overhead).key(1),
    table("dispatch-calls", dispatch::calls::table).finish(dispatch::calls::finish),
    table("dispatch-small", dispatch::small::table),
    table("dispatch-nested", dispatch::nested::table),
    table("dispatch-tiles", dispatch::tiles::table).key(3),
    table("dispatch-lapack", dispatch::lapack::table)
        .key(3)
        .finish(dispatch::lapack::finish),
    table("dispatch-nested-lapack", dispatch::nested_lapack::table),
    table("share", dispatch::processes::table),
    table("jobs-parallel", jobs::table).key(3),
    table("scale", scale::table).key(3),
];

/// Makes the rows of one library.
type Rows = fn(&common::Case) -> String;

/// What a child that was started for one library prints.
const CHILDREN: &[(&str, Rows)] = &[
    ("limits", limits::row),
    ("dispatch-calls", dispatch::calls::rows),
    ("dispatch-small", dispatch::small::rows),
    ("dispatch-nested", dispatch::nested::rows),
    ("dispatch-tiles", dispatch::tiles::rows),
    ("dispatch-lapack", dispatch::lapack::rows),
    ("dispatch-drivers", dispatch::lapack::driver_rows),
    ("dispatch-nested-lapack", dispatch::nested_lapack::rows),
    ("jobs-parallel", jobs::rows),
    ("scale", scale::rows),
];

fn main() {
    if let Ok(role) = std::env::var(dispatch::processes::ROLE) {
        return dispatch::processes::child(&role);
    }
    if let Ok(role) = std::env::var(scale::pingpong::ROLE) {
        return scale::pingpong::child(&role);
    }
    if let Ok(key) = std::env::var(CASE) {
        if key == AVAILABLE {
            println!("{}", std::thread::available_parallelism().expect("a count"));
            return;
        }
        let (what, key) = key.split_once(':').unwrap_or(("limits", &key));
        let case = CASES
            .iter()
            .find(|case| case.key == key)
            .expect("a known case");
        let (_, rows) = CHILDREN
            .iter()
            .find(|(name, _)| *name == what)
            .expect("a known part");
        println!("{}", rows(case).trim_end());
        return;
    }
    // Cargo adds options of its own.
    let (options, names): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with("--"));
    let asked = |option: &str| options.iter().any(|word| word == option);
    // `cargo test --benches` runs it too, to see that it starts.
    if asked("--test") {
        return;
    }
    for name in &names {
        assert!(
            TABLES.iter().any(|table| table.name == name),
            "there is no table `{name}`"
        );
    }
    let partly = PARTS.iter().any(|part| std::env::var_os(part).is_some());
    for Table {
        name,
        make,
        key,
        finish,
    } in TABLES
    {
        if !names.is_empty() && names.iter().all(|word| word != name) {
            continue;
        }
        let table = make();
        println!("{}", finish(&table));
        if asked("--write") {
            rewrite(Path::new(env!("CARGO_MANIFEST_DIR")), name, |old| {
                finish(&if partly {
                    merge::merge(old, &table, *key)
                } else {
                    table
                })
            });
        }
    }
}

/// What one of `turns` turns of `body` takes, in nanoseconds.
fn per_turn(turns: u32, mut body: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..turns {
        body();
    }
    start.elapsed().as_nanos() as f64 / f64::from(turns)
}

/// How long a command takes from its start to its end, in milliseconds. What it prints goes nowhere.
fn whole(command: &mut Command) -> f64 {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status();
    let time = start.elapsed();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
    time.as_secs_f64() * 1e3
}

fn program() -> String {
    std::env::var("THREADCTL_BIN").expect("run `cargo xtask bench`, which sets THREADCTL_BIN")
}
