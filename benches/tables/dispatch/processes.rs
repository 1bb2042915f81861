//! Processes that share the cores: with `threadctl share`, with static parts, and with nothing between them; and how soon the
//! tokens of one that is killed are another's.
//!
//! This program starts itself again: as a group (below `threadctl share`, or not), which starts the processes and adds up what
//! they did, and as each of them.

use super::workload::{Mode, Workload, all};
use super::{LIBRARIES, SETTLE, against, direct, footnote, median, path, shared};
use crate::common::{CASES, Case, shown, spread, without_settings};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use threadctl::diagnose::{QueueTime, QueueTimes};

/// Set for a group and for a process: what they are.
pub const ROLE: &str = "THREADCTL_BENCH_SHARE";

/// Work before the count begins, and for how long is counted.
const WARM: Duration = Duration::from_millis(300);
const SPAN: Duration = Duration::from_secs(6);
const ROUNDS: usize = 3;

/// Work, then rest, of the process that alternates.
const HALF: Duration = Duration::from_secs(1);

/// Targets: throughput over that of static halves; over the bound; wait in per cent.
const HALVES: f64 = 1.2;
const BOUND: f64 = 1.05;
const WAIT: f64 = 3.0;

/// Processes that are killed, the cores of their budget (simulated, since their tiles sleep), a tile, and the target in ms.
const KILLS: usize = 100;
const KILL_CORES: usize = 4;
const KILL_TILE: Duration = Duration::from_micros(300);
const SOON: f64 = 100.0;

/// How processes come to their cores.
struct Arrangement {
    name: &'static str,
    /// Below `threadctl share`.
    shares: bool,
    /// The calls go to the library, with its own threads.
    direct: bool,
    /// So many cores for each, by `THREADCTL_NUM_THREADS` and `RAYON_NUM_THREADS`.
    each: Option<usize>,
}

const fn arrangement(name: &'static str) -> Arrangement {
    Arrangement {
        name,
        shares: false,
        direct: false,
        each: None,
    }
}

/// What processes did together: products (or programs) a second, and their threads' times.
#[derive(Clone, Copy, Default)]
struct Done {
    rate: f64,
    time: QueueTime,
}

/// All tables.
pub fn table() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let one = |name| Arrangement {
        each: Some(1),
        ..arrangement(name)
    };
    let bound = one("the bound: a process for each core, always busy");
    let shares = Arrangement {
        shares: true,
        ..arrangement("threadctl share")
    };
    let own = Arrangement {
        direct: true,
        ..arrangement("uncoordinated, the library's own threads")
    };
    let rests = compare(
        "rests",
        &["busy", "rests"],
        &vec!["busy"; cores],
        &[
            &bound,
            &one("static halves"),
            &own,
            &arrangement("uncoordinated, through dispatch"),
            &shares,
        ],
    );
    let nested = compare(
        "nested",
        &["nested"; 4],
        &vec!["alone"; cores],
        &[
            &bound,
            &one("static: one core each"),
            &own,
            &arrangement("uncoordinated, through dispatch"),
            &shares,
        ],
    );
    let mut text = String::from(
        "| processes | arrangement | work done | of the bound | over static parts | run-queue wait |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    text += &rows("one busy, one that alternates", &rests, Some(HALVES), None);
    text += &rows("four of nested work", &nested, None, Some(BOUND));
    text += &footnote(&format!(
        "Work a second of all processes together (products of 512 above; below, a parallel loop over 16 products of 256 and a \
         pass of sin over 524,288 elements), medians of {ROUNDS} rounds in turn of {} s each, quartiles in brackets. One process \
         is busy all the time, the other one works for 1 s and rests for 1 s. Wait: time on a run queue as a share of thread \
         time. Targets: `threadctl share` does at least {HALVES} times the work of static halves, with at most {WAIT} % wait, in the \
         first; the bound is at most {BOUND} times its work in the second.",
        SPAN.as_secs(),
    ));
    text + "\n" + &kills()
}

/// How soon a process has the tokens of another one that was killed in a call.
fn kills() -> String {
    let this = std::env::current_exe().expect("this program");
    let cores = KILL_CORES.to_string();
    let mut command = Command::new(crate::program());
    command.args(["share", "--cores", &cores, "--"]).arg(this);
    without_settings(&mut command);
    for name in ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS", "MAKELEVEL"] {
        command.env_remove(name);
    }
    let times: Vec<f64> = run(command.env(ROLE, "kills"))
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let worst = times.iter().copied().fold(0.0, f64::max);
    format!(
        "| killed in a call | tokens back after, ms | at most, ms |\n| --- | --- | --- |\n| {KILLS} | {} | {worst:.1}{} |\n",
        shown(spread(times), 1),
        against(worst, SOON, false),
    ) + &footnote(&format!(
        "A process that is always in calls shares {KILL_CORES} cores with another one that is killed in the middle of one; from then \
         until it has all {KILL_CORES} again, its own tiles ({} us) to be ended included. Median, quartiles in brackets. Target: at most \
         {SOON} ms each time.",
        KILL_TILE.as_micros(),
    ))
}

/// All arrangements in turn, round after round; the first is the bound, whose processes are others.
fn compare(
    what: &str,
    processes: &[&str],
    bound: &[&str],
    arrangements: &[&Arrangement],
) -> Vec<(&'static str, Vec<Done>)> {
    let mut measured: Vec<_> = arrangements
        .iter()
        .map(|of| (of.name, Vec::new()))
        .collect();
    for round in 0..ROUNDS {
        for (at, (arrangement, (_, results))) in arrangements.iter().zip(&mut measured).enumerate()
        {
            std::thread::sleep(SETTLE);
            let processes = if at == 0 { bound } else { processes };
            let done = group(arrangement, processes);
            eprintln!(
                "{what} {round} {}: {:.1}, {:.1} %",
                arrangement.name,
                done.rate,
                100.0 * done.time.share()
            );
            results.push(done);
        }
    }
    measured
}

fn rows(
    what: &str,
    measured: &[(&'static str, Vec<Done>)],
    over: Option<f64>,
    of_bound: Option<f64>,
) -> String {
    let rate = |at: usize| {
        let results: &[Done] = &measured[at].1;
        median(&results.iter().map(|done| done.rate).collect::<Vec<_>>())
    };
    let (bound, halves) = (rate(0), rate(1));
    let mut text = String::new();
    for (at, (name, results)) in measured.iter().enumerate() {
        let is_ours = at + 1 == measured.len();
        let wait: Vec<f64> = results
            .iter()
            .map(|done| 100.0 * done.time.share())
            .collect();
        let wait = median(&wait);
        let gain = rate(at) / halves;
        let mark = |target: Option<f64>, value: f64, higher: bool| {
            target
                .filter(|_| is_ours)
                .map_or("", |target| against(value, target, higher))
        };
        text += &format!(
            "| {what} | {name} | {} | {:.3}{} | {gain:.2}{} | {wait:.1} %{} |\n",
            shown(spread(results.iter().map(|done| done.rate).collect()), 1),
            rate(at) / bound,
            mark(of_bound.map(|target| 1.0 / target), rate(at) / bound, true),
            mark(over, gain, true),
            mark(over.map(|_| WAIT), wait, false),
        );
    }
    text
}

/// Starts a group, and reads what it prints.
fn group(arrangement: &Arrangement, processes: &[&str]) -> Done {
    let this = std::env::current_exe().expect("this program");
    let mut command = if arrangement.shares {
        let mut share = Command::new(crate::program());
        share.arg("share").arg("--").arg(this);
        share
    } else {
        Command::new(this)
    };
    let libraries = std::env::var_os("THREADCTL_TEST_LIBS").expect("a manifest");
    without_settings(&mut command);
    for name in ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS", "MAKELEVEL"] {
        command.env_remove(name);
    }
    if let Some(each) = arrangement.each {
        command.env("THREADCTL_NUM_THREADS", each.to_string());
        command.env("RAYON_NUM_THREADS", each.to_string());
    }
    let kind = if arrangement.direct {
        "direct"
    } else {
        "dispatch"
    };
    command
        .env("THREADCTL_TEST_LIBS", libraries)
        .env(ROLE, format!("group {kind} {}", processes.join(" ")))
        .stderr(Stdio::inherit());
    parsed(&run(&mut command))
}

fn run(command: &mut Command) -> String {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

fn parsed(text: &str) -> Done {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [rate, ran, waited] = numbers[..] else {
        panic!("{text:?}")
    };
    Done {
        rate,
        time: QueueTime {
            ran: ran as u64,
            waited: waited as u64,
        },
    }
}

/// The side of the children.
pub fn child(role: &str) {
    match role {
        "kills" => return survive(),
        "victim" => return endless(),
        _ => {}
    }
    let words: Vec<&str> = role.split(' ').collect();
    let done = match words[..] {
        ["group", kind, ref processes @ ..] => together(kind, processes),
        [kind, process] => process_of(kind, process),
        _ => panic!("{role:?}"),
    };
    println!("{} {} {}", done.rate, done.time.ran, done.time.waited);
}

/// Is in a call until it is killed.
fn endless() {
    threadctl::dispatch::simulate_cores(NonZeroUsize::new(KILL_CORES));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(KILL_CORES);
    pool.build_global().expect("a pool");
    threadctl::dispatch::share(usize::MAX / 4, |_| std::thread::sleep(KILL_TILE));
}

/// Kills one process after another beside a call of its own; prints how soon it had their tokens, in ms.
fn survive() {
    let this = std::env::current_exe().expect("this program");
    std::thread::spawn(endless);
    let until = |happened: &dyn Fn(usize) -> bool| {
        let since = Instant::now();
        while !happened(threadctl::budget::status().held as usize) {
            assert!(
                since.elapsed() < Duration::from_secs(30),
                "it does not come"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        1000.0 * since.elapsed().as_secs_f64()
    };
    until(&|held| held == KILL_CORES);
    for _ in 0..KILLS {
        let mut victim = Command::new(&this)
            .env(ROLE, "victim")
            .spawn()
            .expect("it starts");
        until(&|held| held <= KILL_CORES / 2);
        // What was given back has come to the other one.
        std::thread::sleep(Duration::from_millis(5));
        victim.kill().expect("it runs");
        println!("{}", until(&|held| held == KILL_CORES));
        victim.wait().expect("it ends");
    }
}

/// Starts the processes, and adds up.
fn together(kind: &str, processes: &[&str]) -> Done {
    let this = std::env::current_exe().expect("this program");
    let children: Vec<_> = processes
        .iter()
        .map(|process| {
            Command::new(&this)
                .env(ROLE, format!("{kind} {process}"))
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts")
        })
        .collect();
    children
        .into_iter()
        .fold(Done::default(), |mut sum, child| {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", output.status);
            let done = parsed(&String::from_utf8(output.stdout).expect("text"));
            sum.rate += done.rate;
            sum.time += done.time;
            sum
        })
}

/// One of the processes.
fn process_of(kind: &str, process: &str) -> Done {
    let case: &Case = CASES
        .iter()
        .find(|case| case.key == LIBRARIES[0])
        .expect("a case");
    path(case);
    let blas = if kind == "direct" {
        direct(case)
    } else {
        shared(case)
    };
    let limit = (kind == "direct").then(|| {
        // What the library would take by itself; a limit that another process's variables set holds.
        threadctl::Limits::new()
            .user_api("blas", threadctl::Workers::ALL)
            .limit_process()
            .expect("it can be set")
    });
    let (name, mode) = match process {
        "busy" | "rests" => ("8 of 512", Mode::Sequential),
        "nested" => ("16 of 256", Mode::Loop),
        "alone" => ("16 of 256", Mode::Sequential),
        _ => panic!("{process:?}"),
    };
    let mut work = Work::new(name, mode);
    let warm = Instant::now();
    while warm.elapsed() < WARM {
        work.once(&blas);
    }
    let (before, began, mut count) = (QueueTimes::now(), Instant::now(), 0.0);
    while began.elapsed() < SPAN {
        if process == "rests" && (began.elapsed().as_millis() / HALF.as_millis()) % 2 == 1 {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        count += work.once(&blas);
    }
    drop(limit);
    Done {
        rate: count / began.elapsed().as_secs_f64(),
        time: QueueTimes::now().since(&before).unwrap_or_default(),
    }
}

/// What a process does again and again.
struct Work {
    workload: Workload,
    mode: Mode,
}

impl Work {
    fn new(name: &str, mode: Mode) -> Self {
        let workload = all().into_iter().find(|program| program.name == name);
        Work {
            workload: workload.expect("it is one of them"),
            mode,
        }
    }

    /// One time; how much of it that was.
    fn once(&mut self, blas: &threadctl::dispatch::Blas) -> f64 {
        if self.workload.name == "8 of 512" {
            self.workload.product(blas);
        } else {
            self.workload.run(blas, self.mode);
        }
        1.0
    }
}
