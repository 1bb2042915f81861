//! The report on watched processes: what it says, and how it is put together from what was seen and what the agent wrote.

use super::agent::{Made, Written};
use super::machine::Throttling;
use super::observe::{Seen, ThreadUse};
use super::process::is_runtime;
use super::schedstat::QueueTime;
use super::timeline::Point;
use super::who::{Group, GroupKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The part of the CPU time that must be accounted for thread by thread for a sum to pass for exact. What a thread uses to
/// end, after its last word, cannot be: of threads that live for a millisecond that is some per cent.
const EXACT: f64 = 0.95;

/// CPU time below which nothing can be said about parts of it, in seconds.
const LITTLE: f64 = 0.02;

/// What the kernel counted of the processes that have ended: only their parent can ask it.
///
/// ```
/// use threadctl::diagnose::Totals;
/// assert!(Totals::default().cpu.is_none());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// CPU time, user and system.
    pub cpu: Option<Duration>,
    /// How often a thread gave its CPU away by itself.
    pub voluntary_switches: Option<u64>,
    /// How often a CPU was taken from a thread.
    pub involuntary_switches: Option<u64>,
}

/// What was found about a program and its children.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals};
/// let report = Observer::of_children(None).report(Totals::default());
/// println!("{:.1} of {} cores used", report.cores_used, report.cores.count);
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// How long it was watched.
    pub wall_seconds: f64,
    /// CPU time, user and system, of all its processes.
    pub cpu_seconds: f64,
    /// The cores that it may use, and why.
    pub cores: CoresAllowed,
    /// How many it used on average.
    pub cores_used: f64,
    /// Its threads that ran or wanted to.
    pub runnable: Runnable,
    /// What they waited for a CPU.
    pub wait: Wait,
    /// How often threads changed on the CPUs.
    pub switches: Switches,
    /// The share of the time in which some thread of the machine waited for a CPU; `None` where the kernel does not tell.
    pub cpu_pressure: Option<f64>,
    /// `None` where no control group counts it.
    pub throttling: Option<Throttling>,
    /// CPU time of everything else on the machine meanwhile.
    pub others_cpu_seconds: Option<f64>,
    /// Whose threads, those with the most CPU time first.
    pub who: Vec<GroupReport>,
    /// The processes, by number.
    pub processes: Vec<ProcessSummary>,
    /// What happened when.
    pub timeline: Vec<Point>,
    /// How many looks were taken.
    pub looks: u32,
    /// What limits the figures, in words.
    pub notes: Vec<String>,
}

/// The cores that may be used.
///
/// ```
/// let cores = threadctl::diagnose::CoresAllowed::default();
/// assert_eq!(cores.count, 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CoresAllowed {
    /// How many.
    pub count: u32,
    /// The constraint that says so: `affinity`, `cgroup quota` ...
    pub kind: String,
    /// The same in words.
    pub because: String,
    /// How many the machine has.
    pub online: u32,
}

/// Threads that ran or wanted to.
///
/// ```
/// assert_eq!(threadctl::diagnose::Runnable::default().peak, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Runnable {
    /// The most that a look found.
    pub peak: u32,
    /// On average over the whole time, from the threads' own times.
    pub mean: f64,
}

/// What threads waited for a CPU while they could have run.
///
/// ```
/// assert_eq!(threadctl::diagnose::Wait::default().seconds, 0.0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Wait {
    /// Of all threads together.
    pub seconds: f64,
    /// As a share of their time on CPUs and waiting for them, from 0 to 1.
    pub share: f64,
    /// Whether threads with next to all of the CPU time are in it. If not, the seconds are a lower bound, and the share is that
    /// of the threads that are known.
    pub exact: bool,
    /// The share of the CPU time whose threads are known, from 0 to 1.
    pub covered: f64,
}

/// How often threads changed on the CPUs.
///
/// ```
/// assert!(threadctl::diagnose::Switches::default().involuntary.is_none());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Switches {
    /// A thread had to leave its CPU.
    pub involuntary: Option<u64>,
    /// A thread went to sleep.
    pub voluntary: Option<u64>,
    /// How many looks found a thread on another CPU than before: at least so often threads moved.
    pub moves_seen: u64,
}

/// The threads that one library, or the program, has made.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals};
/// for group in Observer::of_children(None).report(Totals::default()).who {
///     println!("{}: {} threads", group.name, group.threads);
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GroupReport {
    /// `libopenblas`, `libgomp`, `python`, the name of the program ...
    pub name: String,
    /// What it is.
    pub kind: GroupKind,
    /// How many threads in all, the first ones of processes included.
    pub threads: u32,
    /// The most that were alive at once.
    pub peak: u32,
    /// On CPUs.
    pub cpu_seconds: f64,
    /// Waiting for a CPU.
    pub wait_seconds: f64,
    /// CPU time while threads of other groups waited for a CPU: what idle threads that spin take from others is in
    /// it, but useful work too. From the looks, so an estimate.
    pub overlap_seconds: f64,
    /// How many of the threads were only guessed to belong here.
    pub guessed: u32,
}

/// A process.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals};
/// let report = Observer::of_children(None).report(Totals::default());
/// assert!(report.processes.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ProcessSummary {
    /// Its number.
    pub pid: u32,
    /// Its program; empty if it was gone before it could be asked.
    pub executable: String,
    /// How many threads in all.
    pub threads: u32,
    /// Its threads by group.
    pub groups: Vec<ProcessGroup>,
    /// The BLAS and OpenMP runtimes that it had loaded.
    pub runtimes: Vec<RuntimeFile>,
    /// Variables that settle numbers of threads, from the environment that its program was started with.
    pub environment: BTreeMap<String, String>,
    /// How many CPUs its threads were allowed to use, all together; 0 if it was gone before it could be asked.
    pub cpus: u32,
    /// Whether the agent was in it.
    pub agent: bool,
    /// From when to when it was there, in seconds from the start.
    pub began: f64,
    /// See `began`.
    pub ended: f64,
    /// Whether it computed: ran, or waited to run, at least a tenth of the time of the process that did so most.
    pub is_busy: bool,
    /// Whether its first thread computed: the same, among the threads of the process.
    pub first_busy: bool,
}

/// The threads of one group in one process.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals};
/// for process in Observer::of_children(None).report(Totals::default()).processes {
///     for group in process.groups {
///         println!("{} {}: {} threads", process.pid, group.name, group.threads);
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ProcessGroup {
    /// As in [`GroupReport::name`].
    pub name: String,
    /// What it is.
    pub kind: GroupKind,
    /// How many threads in all, the first one of the process included.
    pub threads: u32,
    /// The most that were alive at once.
    pub peak: u32,
    /// The most that computed and were alive at once, without the first thread: threads that ran, or waited to run, at least
    /// a tenth of the time of the one of the group that did so most, if the group matters in the process at all.
    pub busy: u32,
    /// How many different threads made them.
    pub makers: u32,
    /// On CPUs.
    pub cpu_seconds: f64,
    /// Waiting for a CPU.
    pub wait_seconds: f64,
}

/// A runtime's file.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals};
/// for process in Observer::of_children(None).report(Totals::default()).processes {
///     assert!(process.runtimes.iter().all(|runtime| !runtime.path.is_empty()));
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RuntimeFile {
    /// Where it is, as the process saw it.
    pub path: String,
    /// The group that its threads belong to.
    pub name: String,
    /// What it is.
    pub kind: GroupKind,
    /// As in [`RuntimeInfo`](crate::RuntimeInfo), if the file tells it.
    pub threading_layer: Option<String>,
    /// The most threads that the build allows, if the file tells it.
    pub max_threads: Option<u32>,
}

/// One thread, from all sources.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub pid: u32,
    pub group: Group,
    pub time: QueueTime,
    /// The thread that made it; 0 if that is not known.
    pub creator: u32,
    pub is_first: bool,
    pub is_guess: bool,
    /// From when to when it was there, on the monotonic clock.
    pub alive: (u64, u64),
}

/// For each thread that the agent wrote of, which of those seen it is. A number is given to one thread after another: it is the last
/// one that was made before it was seen. A first thread was there before the agent.
fn pair(seen: &[ThreadUse], written: Option<&Written>) -> Vec<Option<usize>> {
    let made: Vec<&Made> = written
        .iter()
        .flat_map(|written| &written.threads)
        .collect();
    let mut by_number: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
    for (index, made) in made.iter().enumerate() {
        by_number
            .entry((made.pid, made.tid))
            .or_default()
            .push(index);
    }
    let mut pairs = vec![None; made.len()];
    for (index, thread) in seen.iter().enumerate() {
        let candidates = by_number.get(&(thread.pid, thread.tid));
        let best = candidates
            .into_iter()
            .flatten()
            .filter_map(|&at| Some((at, *made.get(at)?)))
            .filter(|(_, made)| made.is_first || made.created <= thread.first_seen)
            .max_by_key(|(_, made)| made.created);
        if let Some(pair) = best.and_then(|(at, _)| pairs.get_mut(at)) {
            pair.get_or_insert(index);
        }
    }
    pairs
}

/// Joins what was seen with what the agent wrote, thread by thread.
pub(super) fn threads(seen: &mut Seen, written: Option<&Written>) -> Vec<Used> {
    let looked_at = pair(&seen.threads, written);
    let mut executables: HashMap<u32, String> = HashMap::new();
    for made in written.iter().flat_map(|written| &written.threads) {
        if let (true, Some(start)) = (made.is_first, &made.start) {
            executables.insert(made.pid, start.clone());
        }
    }
    for process in &mut seen.processes {
        if let Some(known) = executables.get(&process.pid) {
            process.executable.clone_from(known);
        } else {
            executables.insert(process.pid, process.executable.clone());
        }
    }
    let end = seen
        .threads
        .iter()
        .map(|thread| thread.last_seen)
        .max()
        .unwrap_or(0);
    let mut taken = vec![false; seen.threads.len()];
    let mut all = Vec::with_capacity(seen.threads.len());
    let made = written.iter().flat_map(|written| &written.threads);
    for (made, looked_at) in made.zip(looked_at) {
        let thread: Option<&ThreadUse> = looked_at.and_then(|index| seen.threads.get(index));
        if let Some(taken) = looked_at.and_then(|index| taken.get_mut(index)) {
            *taken = true;
        }
        let executable = executables.get(&made.pid).map_or("", String::as_str);
        let group = match (&made.start, thread) {
            (Some(start), _) if made.is_first => Group::of_program(start),
            (Some(start), _) => Group::of_file(start, executable),
            (None, Some(thread)) => thread.group.clone(),
            (None, None) => Group::unknown(),
        };
        let sampled = thread.map_or_else(QueueTime::default, |thread| thread.time);
        let time = match made.ended {
            // The last look may have been later, at a first thread that went on after its process's destructors.
            Some((_, time)) if time.ran >= sampled.ran => time,
            _ => sampled,
        };
        let last_seen = thread.map_or(made.created, |thread| thread.last_seen);
        all.push(Used {
            pid: made.pid,
            group,
            time,
            creator: made.creator,
            is_first: made.is_first,
            is_guess: made.start.is_none() && !made.is_first,
            alive: (
                made.created,
                made.ended.map_or(last_seen.max(made.created), |(at, _)| at),
            ),
        });
    }
    for (thread, taken) in seen.threads.iter().zip(taken) {
        if !taken {
            all.push(Used {
                pid: thread.pid,
                group: thread.group.clone(),
                time: thread.time,
                creator: 0,
                is_first: thread.tid == thread.pid,
                is_guess: thread.made.as_ref().is_none_or(|made| made.start.is_none())
                    && thread.tid != thread.pid,
                alive: (
                    thread.first_seen,
                    thread.last_seen.max(thread.first_seen).min(end),
                ),
            });
        }
    }
    for (pid, path) in written.iter().flat_map(|written| &written.loaded) {
        if !is_runtime(path) {
            continue;
        }
        match seen
            .processes
            .iter_mut()
            .find(|process| process.pid == *pid)
        {
            Some(process) => {
                process.runtimes.insert(path.clone());
            }
            None => seen.processes.push(super::process::ProcessUse {
                pid: *pid,
                runtimes: BTreeSet::from([path.clone()]),
                ..Default::default()
            }),
        }
    }
    all
}

/// The most of these that were alive at once. One that ends when another begins makes room for it.
pub(super) fn peak<'a>(threads: impl Iterator<Item = &'a Used>) -> u32 {
    let mut events: Vec<(u64, i32)> = threads
        .flat_map(|thread| {
            [
                (thread.alive.0, 1),
                (thread.alive.1.max(thread.alive.0 + 1), -1),
            ]
        })
        .collect();
    events.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in events {
        now += change;
        most = most.max(now);
    }
    u32::try_from(most).unwrap_or(0)
}

/// Makes the report.
pub(super) fn put_together(
    mut seen: Seen,
    written: Option<Written>,
    totals: Totals,
    left: Vec<u32>,
) -> Report {
    let all = threads(&mut seen, written.as_ref());
    let wall_seconds = seen.duration as f64 * 1e-9;
    let mut known = QueueTime::default();
    let mut of_left = 0;
    for thread in &all {
        known += thread.time;
        of_left += if left.contains(&thread.pid) {
            thread.time.ran
        } else {
            0
        };
    }
    let known_seconds = known.ran as f64 * 1e-9;
    let cpu_seconds = totals.cpu.map_or(known_seconds, |cpu| {
        cpu.as_secs_f64() + of_left as f64 * 1e-9
    });
    let covered = if cpu_seconds > LITTLE {
        (known_seconds / cpu_seconds).min(1.0)
    } else {
        1.0
    };
    let wait_seconds = known.waited as f64 * 1e-9;
    let cores = super::facts::cores_allowed(&crate::cores());
    let mut notes = Vec::new();
    if let Some(written) = written.as_ref().filter(|written| written.lost > 0) {
        notes.push(format!(
            "the agent had no room left for {} records of threads: those have only the figures that looks found",
            written.lost
        ));
    }
    let guessed = all.iter().filter(|thread| thread.is_guess).count();
    if guessed > 0 {
        notes.push(format!(
            "{guessed} threads were made where the agent was not, or did not see it: whose they are is a guess"
        ));
    }
    if covered < EXACT {
        notes.push(format!(
            "threads with {:.0} % of the CPU time ended unseen, so the run-queue wait is a lower bound",
            (1.0 - covered) * 100.0
        ));
    }
    // Without totals nobody has ended whose processes were watched to their end.
    if !left.is_empty() && totals.cpu.is_some() {
        let numbers: Vec<String> = left.iter().map(u32::to_string).collect();
        notes.push(format!(
            "still running, and not waited for: {}",
            numbers.join(", ")
        ));
    }
    Report {
        wall_seconds,
        cpu_seconds,
        cores_used: cpu_seconds / wall_seconds.max(1e-9),
        runnable: Runnable {
            peak: seen
                .points
                .iter()
                .map(|point| point.runnable)
                .max()
                .unwrap_or(0),
            mean: (cpu_seconds + wait_seconds) / wall_seconds.max(1e-9),
        },
        wait: Wait {
            seconds: wait_seconds,
            share: known.share(),
            exact: covered >= EXACT && totals.cpu.is_some(),
            covered,
        },
        switches: Switches {
            involuntary: totals.involuntary_switches,
            voluntary: totals.voluntary_switches,
            moves_seen: seen
                .threads
                .iter()
                .map(|thread| u64::from(thread.moves))
                .sum(),
        },
        cpu_pressure: seen.pressure,
        throttling: seen.throttling,
        others_cpu_seconds: seen.busy.map(|busy| (busy - cpu_seconds).max(0.0)),
        who: super::facts::groups(&all, &seen.overlap),
        processes: super::facts::processes(&all, &seen, written.as_ref()),
        cores,
        timeline: seen.points,
        looks: seen.looks,
        notes,
    }
}

#[cfg(test)]
impl Report {
    /// One of ten seconds, with nothing in it but these.
    pub(super) fn for_tests(cores: CoresAllowed, processes: Vec<ProcessSummary>) -> Self {
        Report {
            wall_seconds: 10.0,
            cpu_seconds: 19.0,
            cores_used: 1.9,
            cores,
            runnable: Runnable { peak: 2, mean: 2.0 },
            wait: Wait {
                seconds: 0.2,
                share: 0.01,
                exact: true,
                covered: 1.0,
            },
            switches: Switches::default(),
            cpu_pressure: None,
            throttling: None,
            others_cpu_seconds: Some(0.1),
            who: Vec::new(),
            processes,
            timeline: Vec::new(),
            looks: 100,
            notes: Vec::new(),
        }
    }
}
