//! What a guard costs, beside the library's bare calls and threadpoolctl, per library.
//!
//! Each library is measured in a process of its own, together with a Python process that runs threadpoolctl on the same
//! library.

use super::{CASE, machine, per_turn, shown};
use crate::common::{self, CASES, Case, manifest, spread};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use threadctl::{Limits, runtimes};

const ROUNDS: usize = 101;
const TURNS: u32 = 2000;

/// The table, a row from each child.
pub fn table() -> String {
    let mut table = String::from(
        "| library | version | bare get, set, set | guard | guard over bare | threadpoolctl | threadpoolctl / guard | query |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for case in CASES {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .env(CASE, case.key)
            .env("LD_LIBRARY_PATH", manifest("mkl-libs", "path"))
            .stderr(Stdio::inherit())
            .output()
            .expect("a child starts");
        assert!(output.status.success(), "{}: {}", case.key, output.status);
        table += &String::from_utf8(output.stdout).expect("text");
    }
    let _ = writeln!(
        table,
        "\nNanoseconds: median of {ROUNDS} rounds of {TURNS} turns, quartiles in brackets; every round runs all columns one \
         after the other. threadpoolctl {} on Python {}. {}",
        manifest("threadpoolctl", "version"),
        manifest("python", "version"),
        machine()
    );
    table
}

/// What a child prints: the row of its library.
pub fn row(case: &Case) -> String {
    let library = common::open(case.key);
    let (get, set) = common::functions(library, case);
    let mut peer = Peer::start(case);
    // SAFETY: the library is open for good.
    unsafe { set(2) };
    let found = runtimes();
    let plan = Limits::new().user_api("blas", 1).plan(&found).unwrap();
    let mut columns = [(); 5].map(|()| Vec::with_capacity(ROUNDS));
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        let bare = per_turn(TURNS, || {
            // SAFETY: the library is open for good.
            let before = unsafe { get() };
            // SAFETY: as above.
            unsafe { set(1) };
            // SAFETY: as above.
            unsafe { set(before) };
        });
        let guard = if case.thread {
            per_turn(TURNS, || drop(plan.limit_thread().unwrap()))
        } else {
            per_turn(TURNS, || drop(plan.limit_process().unwrap()))
        };
        let query = per_turn(TURNS, || drop(runtimes()));
        let theirs = peer.round();
        if round > 0 {
            for (column, value) in
                columns
                    .iter_mut()
                    .zip([bare, guard, guard - bare, theirs, query])
            {
                column.push(value);
            }
        }
    }
    // SAFETY: as above.
    assert_eq!(unsafe { get() }, 2, "the guards left nothing behind");
    let ratio = spread(
        columns[3]
            .iter()
            .zip(&columns[1])
            .map(|(theirs, guard)| theirs / guard)
            .collect(),
    );
    let [bare, guard, over, theirs, query] = columns.map(|column| shown(spread(column), 0));
    let version = found
        .iter()
        .find(|runtime| runtime.user_api() == "blas")
        .and_then(|runtime| runtime.info().version)
        .unwrap_or_default();
    format!(
        "| {} | {version} | {bare} | {guard} | {over} | {theirs} | {:.0}x [{:.0} to {:.0}] | {query} |",
        case.label, ratio.median, ratio.low, ratio.high
    )
}

/// threadpoolctl, waiting for its turns.
struct Peer {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start(case: &Case) -> Self {
        let mut child = Command::new(manifest("python", "path"))
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/benches/peers/threadpoolctl_limit.py"
            ))
            .args([&manifest(case.key, "path"), "1"])
            .env("PYTHONPATH", manifest("python-packages", "path"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Peer { child, answers };
        peer.line();
        peer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("threadpoolctl answers");
        assert!(!line.is_empty(), "threadpoolctl ended early");
        line
    }

    fn round(&mut self) -> f64 {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{}", TURNS / 10).expect("threadpoolctl listens");
        self.line().trim().parse().expect("a number")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
