//! CPU time and run-queue wait of a run against others that look at the same run: `time`, the kernel's account of each thread when
//! it ends (`accounts`), and `perf sched`.
//!
//! The scheduler's events are added up here: a thread waits from its wake-up, or from being taken off its CPU while it could
//! have gone on, until it gets a CPU. A turn on a CPU whose beginning is not in the trace is counted: `perf` lacks its time.

use super::accounts::Accounts;
use super::programs::{self, Place, Ready};
use super::{diagnosed, number, place};
use crate::common::manifest;
use crate::{asked, machine};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Which programs, and how many times their many turns: runs of some seconds, of which a hundredth of a second, which is what `time`
/// tells, is little.
const RUNS: &[(&str, bool, u32)] = &[
    ("numpy", true, 3),
    ("numpy", false, 3),
    ("joblib", true, 1),
    ("rust", true, 2),
    ("openmp-c", true, 1),
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
        "| program | CPU time, s | `time` | kernel's accounts | run-queue wait, s | kernel's accounts | `perf sched` | CPU time, `perf sched` | turns that it lacks, events that it lost |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, is_sick, times) in RUNS {
        let variant = if *is_sick { "sick" } else { "healthy" };
        if !asked(&format!("{name} {variant}")) {
            continue;
        }
        let program = programs::program(name);
        let settings = if *is_sick {
            &program.sick
        } else {
            &program.healthy
        };
        let ready = place.ready(program, settings, program.many * times);
        let (report, beside) = one(&place, &ready, folder.path());
        let cpu = number(&report["cpu_seconds"]);
        let wait = number(&report["wait"]["seconds"]);
        let off = |ours: f64, theirs: f64| {
            format!("{theirs:.3}: {:+.2} %", 100.0 * (ours / theirs - 1.0))
        };
        let _ = writeln!(
            table,
            "| {}, {variant} | {cpu:.3} | {} | {} | {wait:.3}{} | {} | {} | {} | {}, {} |",
            program.what,
            off(cpu, beside.time),
            off(cpu, beside.kernel.0),
            if report["wait"]["exact"] == true {
                ""
            } else {
                " (at least)"
            },
            off(wait, beside.kernel.1),
            off(wait, beside.trace.waited),
            off(cpu, beside.trace.ran),
            beside.trace.hidden,
            beside.lost,
        );
    }
    format!(
        "{table}\nOne run each, which all looked at: `perf sched record` started `threadctl run`, which started `time`, which \
         started the program. After each figure of the others, by how much the report's is larger. What `time` itself uses is in all \
         figures but its own. {}\n",
        machine()
    )
}

/// What others say of a run.
struct Beside {
    time: f64,
    /// What the processes of the report ran and waited, by the kernel's accounts.
    kernel: (f64, f64),
    trace: Trace,
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
    let accounts = Accounts::begin();
    let report = diagnosed(&before, &timed, &report);
    let ended = accounts.end();
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
    let pids: BTreeSet<u64> = pids.collect();
    let own = ended
        .iter()
        .filter(|thread| pids.contains(&thread.pid.into()));
    let kernel = own.fold((0.0, 0.0), |(ran, waited), thread| {
        (ran + thread.ran, waited + thread.waited)
    });
    let events = String::from_utf8_lossy(&output.stdout);
    let beside = Beside {
        time,
        kernel,
        trace: scheduled(&events, pids),
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

/// What a trace tells of some threads.
#[derive(Default)]
struct Trace {
    /// How long they ran and waited to run, in seconds.
    ran: f64,
    waited: f64,
    /// How often one of them left a CPU that, by the trace, it had never been given.
    hidden: u64,
}

/// What a trace tells of these threads, and those that they make.
fn scheduled(events: &str, mut ours: BTreeSet<u64>) -> Trace {
    let mut now: BTreeMap<u64, Now> = BTreeMap::new();
    let mut trace = Trace::default();
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
                    match now.remove(&previous) {
                        Some(Now::Runs(since)) => trace.ran += time - since,
                        _ => trace.hidden += 1,
                    }
                    // R, or R+ where it was taken off.
                    if rest.contains("prev_state=R") {
                        now.insert(previous, Now::Waits(time));
                    }
                }
                if ours.contains(&next)
                    && let Some(Now::Waits(since)) = now.insert(next, Now::Runs(time))
                {
                    trace.waited += time - since;
                }
            }
            _ => {}
        }
    }
    trace
}
