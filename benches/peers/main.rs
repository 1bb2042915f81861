//! The workloads of `examples/` beside their peers in Python, on the same input in turn; the tables `peers-*` of BENCHMARKS.md.
//!
//! `cargo xtask peers [WORKLOAD[/ROW]...] [--rounds N] [--print]` sets all of it up and runs this. README.md says how a row is added.
//! This program is both the driver and, started anew with `--serve WORKLOAD`, our side.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints its result and fails by panicking"
)]

mod cookbook;
mod driver;
mod input;
#[allow(dead_code, reason = "the other benches use the rest")]
#[path = "../common/report.rs"]
mod report;
mod rows;
mod serve;
mod side;
mod table;

use std::process::ExitCode;

use rows::{Row, Workload};

/// In the order of BENCHMARKS.md. Each has a module here, a script of the same name beside it, and marks in BENCHMARKS.md.
const WORKLOADS: &[&Workload] = &[&cookbook::WORKLOAD];

/// Rounds of each row, unless `--rounds` says another number.
const ROUNDS: usize = 21;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [option, name] = &words[..]
        && option == "--serve"
    {
        serve::serve(workload(name).expect("the driver names a known workload"));
        return ExitCode::SUCCESS;
    }
    match request(&words) {
        Ok(request) => {
            for (workload, rows) in &request.rows {
                let lines = driver::measure(workload, rows, request.rounds);
                table::publish(workload, &lines, request.write);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::from(2)
        }
    }
}

fn workload(name: &str) -> Option<&'static Workload> {
    WORKLOADS
        .iter()
        .find(|workload| workload.name == name)
        .copied()
}

/// What is to be measured.
struct Request {
    rows: Vec<(&'static Workload, Vec<&'static Row>)>,
    rounds: usize,
    write: bool,
}

fn request(words: &[String]) -> Result<Request, String> {
    let mut request = Request {
        rows: Vec::new(),
        rounds: ROUNDS,
        write: true,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--print" => request.write = false,
            "--rounds" => {
                let number = words.next().and_then(|number| number.parse().ok());
                request.rounds = number
                    .filter(|number| *number > 0)
                    .ok_or("`--rounds` takes a number from 1")?;
            }
            word => {
                let (workload, row) = named(word)?;
                let at = request
                    .rows
                    .iter()
                    .position(|(it, _)| it.name == workload.name);
                let at = at.unwrap_or_else(|| {
                    request.rows.push((workload, Vec::new()));
                    request.rows.len() - 1
                });
                match row {
                    Some(row) => request.rows[at].1.push(row),
                    None => request.rows[at].1.extend(workload.rows),
                }
            }
        }
    }
    if request.rows.is_empty() {
        let all = WORKLOADS.iter();
        request.rows = all.map(|it| (*it, it.rows.iter().collect())).collect();
    }
    Ok(request)
}

/// `WORKLOAD` or `WORKLOAD/ROW`.
fn named(word: &str) -> Result<(&'static Workload, Option<&'static Row>), String> {
    let (name, row) = match word.split_once('/') {
        Some((name, row)) => (name, Some(row)),
        None => (word, None),
    };
    let listed = |names: Vec<&str>| names.join(", ");
    let workload = workload(name).ok_or_else(|| {
        let known = listed(WORKLOADS.iter().map(|workload| workload.name).collect());
        format!("there is no workload `{name}`; there are {known}")
    })?;
    let row = row.map(|key| {
        workload
            .rows
            .iter()
            .find(|row| row.key == key)
            .ok_or_else(|| {
                let known = listed(workload.rows.iter().map(|row| row.key).collect());
                format!("{name} has no row `{key}`; it has {known}")
            })
    });
    Ok((workload, row.transpose()?))
}
