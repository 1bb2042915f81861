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

mod arrays;
mod batched;
mod contaminants;
mod cookbook;
mod driver;
mod input;
mod jobs;
mod loops;
mod neighbours;
#[allow(dead_code, reason = "the other benches use the rest")]
#[path = "../common/report.rs"]
mod report;
mod rows;
mod serve;
mod side;
mod table;
mod workers;

use std::process::ExitCode;
use std::time::Instant;

use rows::{Row, Workload};

/// In the order of BENCHMARKS.md. Each has a module here, a script of the same name beside it, and marks in BENCHMARKS.md.
const WORKLOADS: &[&Workload] = &[
    &cookbook::WORKLOAD,
    &arrays::WORKLOAD,
    &loops::WORKLOAD,
    &workers::WORKLOAD,
    &contaminants::WORKLOAD,
    &neighbours::WORKLOAD,
    &batched::WORKLOAD,
    &jobs::WORKLOAD,
];

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
    if let [option, first, end] = &words[..]
        && option == "--part"
    {
        let number = |word: &str| word.parse().expect("the first process writes numbers");
        cookbook::part(number(first)..number(end));
        return ExitCode::SUCCESS;
    }
    match request(&words) {
        Ok(request) => {
            let mut all_agree = true;
            for (workload, rows) in &request.rows {
                all_agree &= measure(workload, rows, &request);
            }
            if all_agree {
                ExitCode::SUCCESS
            } else {
                eprintln!("peers: results differ; see the last column");
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::from(2)
        }
    }
}

/// Makes the lines of a workload, and tells whether all results agree. What is measured is kept if a later row fails.
fn measure(workload: &Workload, rows: &[&'static Row], request: &Request) -> bool {
    let mut pair = driver::Pair::start(workload);
    let versions = pair.versions();
    let mut lines = Vec::new();
    let mut text = String::new();
    for row in rows {
        let begun = Instant::now();
        lines.extend(pair.measure(row, request.rounds));
        text = table::made(workload, &lines, &versions, request.write);
        let seconds = begun.elapsed().as_secs_f64();
        eprintln!("peers: {}/{} in {seconds:.0} s", workload.name, row.key);
    }
    println!("{text}");
    lines.iter().all(|line| line.agreed.is_ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Result<Request, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        request(&words)
    }

    #[test]
    fn workloads_and_rows_are_asked_for_by_name() {
        let all = asked("").unwrap();
        assert_eq!(
            (all.rows.len(), all.rounds, all.write),
            (WORKLOADS.len(), ROUNDS, true)
        );
        let some = asked("loops/add --print loops/kmeans --rounds 3").unwrap();
        let keys: Vec<&str> = some.rows[0].1.iter().map(|row| row.key).collect();
        assert_eq!(
            (keys, some.rounds, some.write),
            (vec!["add", "kmeans"], 3, false)
        );
        for (wrong, told) in [
            ("lops", "cookbook, arrays"),
            ("loops/ad", "it has add, multiply"),
            ("--rounds 0", "from 1"),
        ] {
            let error = asked(wrong).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn keys_and_first_cells_are_unique_and_each_row_has_a_peer() {
        for workload in WORKLOADS {
            for (at, row) in workload.rows.iter().enumerate() {
                assert!(!row.peers.is_empty(), "{}", row.key);
                let others = &workload.rows[..at];
                assert!(
                    others
                        .iter()
                        .all(|other| other.key != row.key && other.what != row.what)
                );
            }
        }
    }
}
