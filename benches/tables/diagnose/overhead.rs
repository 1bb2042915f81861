//! What `threadctl run` costs: the time of a run with and without it, its start, and its CPU time beside many threads.

use super::programs::{self, Ready};
use super::{clean, number, place};
use crate::common::{Spread, manifest, spread};
use crate::{asked, machine, program, shown, whole};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUNDS: usize = 15;
const STARTS: usize = 61;
/// How long a run is that is compared, in milliseconds: much longer than the start, which has a row of its own.
const LONG: f64 = 4000.0;

/// So many threads, so long, once all of them are there.
const THREADS: &str = "import sys, threading, time\n\
    go = threading.Event()\n\
    def sleep(): time.sleep(20)\n\
    def compute():\n    \
        go.wait()\n    \
        end = time.monotonic() + 5\n    \
        while time.monotonic() < end: pass\n\
    threads = [threading.Thread(target=globals()[sys.argv[1]]) for _ in range(200)]\n\
    [thread.start() for thread in threads]\n\
    go.set()\n\
    [thread.join() for thread in threads]\n";

/// The table.
pub fn table() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = String::from("| what | measured | target |\n| --- | --- | --- |\n");
    let mut row = |what: &str, measured: String, met: bool, target: &str| {
        let verdict = if met { "met" } else { "missed" };
        let _ = writeln!(table, "| {what} | {measured} | {target}: {verdict} |");
    };

    for name in ["rust", "openmp-c"] {
        if !asked(name) {
            continue;
        }
        let ratio = with_and_without(folder.path(), name);
        let over = Spread {
            low: 100.0 * (ratio.low - 1.0),
            median: 100.0 * (ratio.median - 1.0),
            high: 100.0 * (ratio.high - 1.0),
        };
        row(
            &format!(
                "wall time of a healthy run over the bare command, %: {}",
                programs::program(name).what
            ),
            shown(over, 2),
            over.median <= 1.0,
            "at most 1",
        );
    }
    if asked("start") {
        let start = start();
        row(
            "`threadctl run -- /bin/true` over `/bin/true`, ms",
            shown(start, 2),
            start.median < 10.0,
            "below 10",
        );
    }
    for (name, what) in [
        ("sleep", "sleep"),
        ("compute", "take turns (Python's lock)"),
    ] {
        if !asked(name) {
            continue;
        }
        let (share, looks, seconds) = sampling(folder.path(), name);
        row(
            &format!("own CPU time beside 200 threads that {what}, % of a core"),
            format!("{share:.2} ({looks} looks in {seconds:.1} s)"),
            share < 1.0,
            "below 1",
        );
    }
    format!(
        "{table}\nWall time: runs of about {LONG} ms, median of {ROUNDS} rounds in turn, quartiles in brackets. The start: of {STARTS} rounds. CPU time is \
         the kernel's count for the process of `threadctl run`, its start and its report included. {}\n",
        machine()
    )
}

fn with_and_without(folder: &Path, name: &str) -> Spread {
    let (place, program) = (place(folder), programs::program(name));
    let bare = |ready: &Ready| {
        let mut command = Command::new(&ready.words[0]);
        command.args(&ready.words[1..]);
        whole(clean(&mut command).envs(ready.environment.iter().cloned()))
    };
    let watched = |ready: &Ready| {
        let mut command = Command::new(&place.threadctl);
        command.args(["run", "--quiet", "--"]).args(&ready.words);
        whole(clean(&mut command).envs(ready.environment.iter().cloned()))
    };
    let many = |times: f64| {
        let turns = (f64::from(program.many) * times).ceil();
        place.ready(program, &program.healthy, turns as u32)
    };
    let ready = many(1.0);
    bare(&ready);
    let ready = many(LONG / bare(&ready));
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        // Whoever comes second must not gain by it.
        let ratio = if round % 2 == 0 {
            let bare = bare(&ready);
            watched(&ready) / bare
        } else {
            let watched = watched(&ready);
            watched / bare(&ready)
        };
        if round > 0 {
            ratios.push(ratio);
        }
    }
    spread(ratios)
}

fn start() -> Spread {
    let mut over = Vec::new();
    for round in 0..=STARTS {
        let bare = whole(&mut Command::new("/bin/true"));
        let mut run = Command::new(program());
        run.args(["run", "--", "/bin/true"]).stderr(Stdio::null());
        let watched = whole(&mut run);
        if round > 0 {
            over.push(watched - bare);
        }
    }
    spread(over)
}

/// The share of a core that it took itself, how many looks it took, and in how many seconds.
fn sampling(folder: &Path, what: &str) -> (f64, u64, f64) {
    let report = folder.join("sampling.json");
    let mut run = Command::new(program());
    run.args(["run", "--json", "--report"])
        .arg(&report)
        .arg("--");
    run.args([&manifest("python", "path"), "-c", THREADS, what]);
    let mut child = clean(&mut run).spawn().expect("threadctl");
    // Its last figures are there until it is reaped.
    let has_ended = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("a child");
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    };
    while !has_ended() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let used = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id())).expect("figures");
    let nanoseconds: f64 = used
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!(child.wait().expect("a child").success());
    let document: Value =
        serde_json::from_slice(&std::fs::read(&report).expect("the report")).expect("JSON");
    let seconds = number(&document["wall_seconds"]);
    let looks = document["looks"].as_u64().expect("a number");
    (100.0 * nanoseconds * 1e-9 / seconds, looks, seconds)
}
