//! The tables of BENCHMARKS.md: limits, start-up and the demo, each from rounds taken in turn in one run.
//!
//! `cargo xtask bench` builds what it needs, sets THREADCTL_TEST_LIBS and THREADCTL_BIN, and runs this. Without
//! `--write` the tables are printed; with it, they take the place of those in BENCHMARKS.md. Each library is measured in
//! a process of its own, together with a Python process that runs threadpoolctl on the same library.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints its result and fails by panicking"
)]

mod common;

use common::{CASES, Case, Spread, manifest, spread};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use threadctl::{Limits, runtimes};

const ROUNDS: usize = 101;
const TURNS: u32 = 2000;
/// Names the one library that a child measures.
const CASE: &str = "THREADCTL_BENCH_CASE";

fn main() {
    if let Ok(key) = std::env::var(CASE) {
        let case = CASES
            .iter()
            .find(|case| case.key == key)
            .expect("a known case");
        println!("{}", limits_row(case));
        return;
    }
    // `cargo test --benches` runs it too, to see that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let limits = limits_table();
    let start = start_table();
    let demo = demo_table();
    println!("{limits}\n{start}\n{demo}");
    if std::env::args().any(|argument| argument == "--write") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/BENCHMARKS.md");
        let text = std::fs::read_to_string(file).expect("BENCHMARKS.md");
        let text = replace(&text, "limits", &limits);
        let text = replace(&text, "start", &start);
        let text = replace(&text, "demo", &demo);
        std::fs::write(file, text).expect("BENCHMARKS.md is written");
    }
}

/// Puts `table` between the marks that bear its name.
fn replace(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let (head, rest) = text.split_once(&begin).expect("BENCHMARKS.md has the mark");
    let (_, tail) = rest.split_once(&end).expect("BENCHMARKS.md has the mark");
    format!("{head}{begin}{table}{end}{tail}")
}

fn limits_table() -> String {
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

/// What one turn of `body` takes, in nanoseconds.
fn per_turn(mut body: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..TURNS {
        body();
    }
    start.elapsed().as_nanos() as f64 / f64::from(TURNS)
}

fn limits_row(case: &Case) -> String {
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
        let bare = per_turn(|| {
            // SAFETY: the library is open for good.
            let before = unsafe { get() };
            // SAFETY: as above.
            unsafe { set(1) };
            // SAFETY: as above.
            unsafe { set(before) };
        });
        let guard = if case.thread {
            per_turn(|| drop(plan.limit_thread().unwrap()))
        } else {
            per_turn(|| drop(plan.limit_process().unwrap()))
        };
        let query = per_turn(|| drop(runtimes()));
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
    let [bare, guard, over, theirs, query] = columns.map(|column| nanoseconds(spread(column)));
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

fn nanoseconds(spread: Spread) -> String {
    format!(
        "{:.0} [{:.0} to {:.0}]",
        spread.median, spread.low, spread.high
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

fn start_table() -> String {
    let threadctl = program();
    let whole = |command: &mut Command| {
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).status().expect("it starts");
        assert!(status.success(), "{command:?}: {status}");
        start.elapsed()
    };
    let ours = || {
        whole(Command::new(&threadctl).args([
            "info",
            "--load",
            &manifest("openblas-pthread", "path"),
        ]))
    };
    let bare = || whole(Command::new(&threadctl).arg("--version"));
    let theirs = || {
        whole(
            Command::new(manifest("python", "path"))
                .args(["-m", "threadpoolctl", "-i", "numpy"])
                .env("PYTHONPATH", manifest("python-packages", "path")),
        )
    };
    let mut columns = [(); 4].map(|()| Vec::new());
    for round in 0..=40 {
        let [bare, ours, theirs] =
            [bare(), ours(), theirs()].map(|time: Duration| time.as_secs_f64() * 1e3);
        if round > 0 {
            for (column, value) in columns.iter_mut().zip([bare, ours, theirs, theirs / ours]) {
                column.push(value);
            }
        }
    }
    let [bare, ours, theirs, ratio] = columns.map(spread);
    let show = |spread: Spread| {
        format!(
            "{:.1} [{:.1} to {:.1}]",
            spread.median, spread.low, spread.high
        )
    };
    format!(
        "| whole process | milliseconds |\n| --- | --- |\n\
         | `threadctl --version` (no library opened) | {} |\n\
         | `threadctl info --load libopenblas.so.0` | {} |\n\
         | `python -m threadpoolctl -i numpy` | {} |\n\
         | ratio of the last two | {:.1}x [{:.1} to {:.1}] |\n\n\
         Median of 40 rounds in turn, quartiles in brackets. numpy {}. {}\n",
        show(bare),
        show(ours),
        show(theirs),
        ratio.median,
        ratio.low,
        ratio.high,
        manifest("numpy", "version"),
        machine()
    )
}

/// The libraries that the demo runs on, with their names.
const DEMO: &[(&str, &str)] = &[
    ("scipy-openblas32", "OpenBLAS on pthreads (wheel)"),
    ("openblas-pthread", "OpenBLAS on pthreads (Debian)"),
    ("openblas-openmp", "OpenBLAS on OpenMP (Debian)"),
    ("mkl-rt", "MKL"),
];

/// The demo's own document for each library: its children run the three ways in turn.
fn demo_table() -> String {
    let mut table = String::from(
        "| library | version | BLAS runs | time, s | ratio | cores used | peak runnable | run-queue wait |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut shape = String::new();
    for (key, label) in DEMO {
        let output = Command::new(program())
            .args([
                "demo",
                "--json",
                "--rounds",
                "5",
                "--blas",
                &manifest(key, "path"),
            ])
            .env("LD_LIBRARY_PATH", manifest("mkl-libs", "path"))
            .stderr(Stdio::inherit())
            .output()
            .expect("the demo starts");
        assert!(output.status.success(), "{key}: {}", output.status);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let number = |value: &serde_json::Value| value.as_f64().expect("a number");
        for mode in json["modes"].as_array().expect("the three ways") {
            let seconds = &mode["seconds"];
            let _ = writeln!(
                table,
                "| {label} | {} | {} | {:.2} [{:.2} to {:.2}] | {:.2} | {:.2} | {} | {:.1} % |",
                json["blas"][0]["version"].as_str().unwrap_or("unknown"),
                mode["mode"].as_str().expect("a name").replace('_', " "),
                number(&seconds["median"]),
                number(&seconds["min"]),
                number(&seconds["max"]),
                number(&mode["ratio"]),
                number(&mode["cores_used"]["median"]),
                mode["peak_runnable_threads"],
                100.0 * number(&mode["run_queue_wait_share"]["median"]),
            );
        }
        shape = format!(
            "{} rows, {} candidates, {} workers",
            json["rows"], json["candidates"], json["workers"]
        );
    }
    format!(
        "{table}\nMedian of 5 rounds, the three ways in turn, smallest and largest in brackets; {shape}. The same \
         hyper-parameters were chosen in all three. {}\n",
        machine()
    )
}

fn program() -> String {
    std::env::var("THREADCTL_BIN").expect("run `cargo xtask bench`, which sets THREADCTL_BIN")
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("model name").map(str::to_owned))
        })
        .map_or_else(
            || "an unnamed CPU".to_owned(),
            |name| name.trim_start_matches([' ', '\t', ':']).to_owned(),
        );
    format!("{cores} cores of {model}, shared.")
}
