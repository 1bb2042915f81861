//! CPU time and run-queue wait of a run against others that look at the same run: `time`, and `perf sched`.
//!
//! The scheduler's events are added up here: a thread waits from its wake-up, or from being taken off its CPU while it could
//! have gone on, until it gets a CPU.

use super::programs::{self, Place, Ready};
use super::{diagnosed, number, place};
use crate::common::manifest;
use crate::{asked, machine};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Which programs, and how much of their many turns.
const RUNS: &[(&str, bool, u32)] = &[
    ("numpy", true, 2),
    ("numpy", false, 1),
    ("joblib", true, 2),
    ("rust", true, 2),
    ("openmp-c", true, 2),
    ("octave", true, 1),
];

/// What `perf` has room for on each CPU until it has written it: with its own choice, events were lost where threads switch tens
/// of thousands of times a second.
const BUFFER: &str = "64M";

/// The table.
pub fn table() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path());
    let mut table = String::from(
        "| program | CPU time, s | `time` | difference | run-queue wait, s | `perf sched` | difference | CPU time, `perf sched` | events that it lost |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, is_sick, part) in RUNS {
        if !asked(name) {
            continue;
        }
        let program = programs::program(name);
        let settings = if *is_sick {
            &program.sick
        } else {
            &program.healthy
        };
        let ready = place.ready(program, settings, program.many / part);
        let (report, beside) = one(&place, &ready, folder.path());
        let of_groups: f64 = report["who"]
            .as_array()
            .expect("groups")
            .iter()
            .map(|group| number(&group["cpu_seconds"]))
            .sum();
        let cpu = number(&report["cpu_seconds"]);
        let wait = number(&report["wait"]["seconds"]);
        let off = |ours: f64, theirs: f64| format!("{:+.2} %", 100.0 * (ours / theirs - 1.0));
        let _ = writeln!(
            table,
            "| {}, {} | {cpu:.3} ({of_groups:.3}) | {:.2} | {} | {wait:.3}{} | {:.3} | {} | {:.3} | {} |",
            program.what,
            if *is_sick { "sick" } else { "healthy" },
            beside.time,
            off(cpu, beside.time),
            if report["wait"]["exact"] == true {
                ""
            } else {
                " (at least)"
            },
            beside.waited,
            off(wait, beside.waited),
            beside.ran,
            beside.lost,
        );
    }
    format!(
        "{table}\nOne run each, which all three looked at: `perf sched record` started `threadctl run`, which started `time`, which \
         started the program. In brackets, the sum over the report's groups of threads; what `time` itself uses is in the \
         report's figures and in those of `perf sched`. {}\n",
        machine()
    )
}

/// What others say of a run.
struct Beside {
    time: f64,
    ran: f64,
    waited: f64,
    /// Events that `perf` could not write in time.
    lost: u64,
}

/// How many events the trace says that it lacks.
fn lost(events: &str) -> u64 {
    let lines = events
        .lines()
        .filter(|line| line.contains("PERF_RECORD_LOST"));
    let counts = lines.map(|line| {
        let count = line.split_whitespace().last();
        count
            .and_then(|count| count.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{line}"))
    });
    counts.sum()
}

fn one(place: &Place, ready: &Ready, folder: &Path) -> (Value, Beside) {
    let [report, times, trace] = ["report.json", "time", "perf.data"].map(|name| folder.join(name));
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let mut words = vec![
        path(&(place.library)("time")),
        "--format=%U %S".to_owned(),
        "--output".to_owned(),
        path(&times),
    ];
    words.extend(ready.words.iter().cloned());
    let timed = Ready {
        words,
        environment: ready.environment.clone(),
    };
    let perf = manifest("perf", "path");
    // It records when a wake-up begins; the queue is entered with the wake-up itself.
    let before = format!(
        "{perf} sched record -m {BUFFER} -e sched:sched_wakeup -o {} --",
        path(&trace)
    );
    let before: Vec<String> = before.split(' ').map(str::to_owned).collect();
    let report = diagnosed(&before, &timed, &report);
    let text = std::fs::read_to_string(&times).expect("the file of time");
    let time = text
        .split_whitespace()
        .map(|number| number.parse::<f64>().expect("seconds"))
        .sum();
    let output = Command::new(&perf)
        .args([
            "script",
            "--ns",
            "--show-lost-events",
            "-F",
            "time,event,trace",
            "-i",
            &path(&trace),
        ])
        .output()
        .expect("perf script");
    assert!(output.status.success(), "{output:?}");
    let pids = report["processes"].as_array().expect("processes").iter();
    let pids = pids.map(|process| process["pid"].as_u64().expect("a number"));
    let events = String::from_utf8_lossy(&output.stdout);
    let (ran, waited) = scheduled(&events, pids.collect());
    let beside = Beside {
        time,
        ran,
        waited,
        lost: lost(&events),
    };
    (report, beside)
}

/// What a thread is doing, and since when.
#[derive(Clone, Copy)]
enum Now {
    Waits(f64),
    Runs(f64),
}

/// How long these threads, and those that they make, ran and waited to run, in seconds.
fn scheduled(events: &str, mut ours: BTreeSet<u64>) -> (f64, f64) {
    let mut now: BTreeMap<u64, Now> = BTreeMap::new();
    let (mut ran, mut waited) = (0.0, 0.0);
    for line in events.lines() {
        let Some((time, rest)) = line.trim().split_once(char::is_whitespace) else {
            continue;
        };
        let Some((event, rest)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        // So that every field has a space before it.
        let rest = &format!(" {rest}");
        let time: f64 = time.trim_end_matches(':').parse().expect("seconds");
        let field = |name: &str| {
            let (_, value) = rest.split_once(name)?;
            value.split(' ').next()?.parse::<u64>().ok()
        };
        match event.trim_end_matches(':') {
            "sched:sched_process_fork" => {
                let (Some(parent), Some(child)) = (field(" pid="), field("child_pid=")) else {
                    panic!("{line}");
                };
                if ours.contains(&parent) {
                    ours.insert(child);
                }
            }
            "sched:sched_wakeup" | "sched:sched_wakeup_new" => {
                let tid = field(" pid=").unwrap_or_else(|| panic!("{line}"));
                if ours.contains(&tid) {
                    now.entry(tid).or_insert(Now::Waits(time));
                }
            }
            "sched:sched_switch" => {
                let (previous, next) = (field("prev_pid="), field("next_pid="));
                let (Some(previous), Some(next)) = (previous, next) else {
                    panic!("{line}");
                };
                if ours.contains(&previous) {
                    if let Some(Now::Runs(since)) = now.remove(&previous) {
                        ran += time - since;
                    }
                    // R, or R+ where it was taken off.
                    if rest.contains("prev_state=R") {
                        now.insert(previous, Now::Waits(time));
                    }
                }
                if ours.contains(&next)
                    && let Some(Now::Waits(since)) = now.insert(next, Now::Runs(time))
                {
                    waited += time - since;
                }
            }
            _ => {}
        }
    }
    (ran, waited)
}
