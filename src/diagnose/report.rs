//! The report on watched processes: what it says. How it is put together is in `join`.

use super::machine::Throttling;
use super::timeline::Point;
use super::who::GroupKind;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// How often threads moved from one CPU to another.
    pub migrations: u64,
    /// Whether the kernel counted that for every thread. If not, some threads' moves are only those that looks found, and the number
    /// is a lower bound.
    pub migrations_exact: bool,
    /// How many looks found a thread on another CPU than before.
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
    /// a tenth of the time of the one of the group that did so most, if the group matters in the process at all. Of a pool of which
    /// there are several copies, in the copy that has the most: who calls one waits, and does not call the other.
    pub busy: u32,
    /// How many different threads made them.
    pub makers: u32,
    /// The files that their start routines are in, as far as the agent told: of one library there may be several copies.
    pub files: Vec<String>,
    /// On CPUs.
    pub cpu_seconds: f64,
    /// Waiting for a CPU.
    pub wait_seconds: f64,
    /// Of a pool: who was runnable while it was; `None` if no look found it so.
    pub beside: Option<Beside>,
    /// How many of its threads' stacks were read, first ones not: where a pool was runnable, of some threads of other groups.
    pub stacks: u32,
    /// Of those, how many had called each pool, by its name.
    pub calls: BTreeMap<String, u32>,
    /// Of the looks at sleeping threads of it while a pool was runnable, by the pool's name: how many there were.
    pub asleep: BTreeMap<String, Asleep>,
}

/// Looks at threads of one group that slept while a pool was runnable.
///
/// ```
/// assert_eq!(threadctl::diagnose::Asleep::default().looks, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Asleep {
    /// All of them.
    pub looks: u32,
    /// Those that found the thread inside the pool's library, where it waits for another caller, or for the pool.
    pub inside: u32,
}

/// Who was runnable while a pool was, by the looks that found one of its threads so, on average.
///
/// ```
/// assert_eq!(threadctl::diagnose::Beside::default().looks, 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Beside {
    /// What these looks stand for, each for the time since the one before it.
    pub seconds: f64,
    /// How many there were.
    pub looks: u32,
    /// How often the first thread of the process was, from 0 to 1.
    pub first: f64,
    /// Runnable threads by group, the pool's own among them, first threads not.
    pub groups: BTreeMap<String, f64>,
    /// How often at least one thread of each group was, from 0 to 1; first threads do not count.
    pub present: BTreeMap<String, f64>,
    /// Runnable threads of the other processes of which a pool was runnable.
    pub other_processes: f64,
}

impl Beside {
    /// All threads of the process.
    ///
    /// ```
    /// assert_eq!(threadctl::diagnose::Beside::default().threads(), 0.0);
    /// ```
    pub fn threads(&self) -> f64 {
        self.first + self.groups.values().sum::<f64>()
    }

    /// Those of one group, but for a first thread.
    ///
    /// ```
    /// assert_eq!(threadctl::diagnose::Beside::default().of("libgomp"), 0.0);
    /// ```
    pub fn of(&self, group: &str) -> f64 {
        self.groups.get(group).copied().unwrap_or(0.0)
    }

    /// How often one of them was, from 0 to 1.
    ///
    /// ```
    /// assert_eq!(threadctl::diagnose::Beside::default().presence("libgomp"), 0.0);
    /// ```
    pub fn presence(&self, group: &str) -> f64 {
        self.present.get(group).copied().unwrap_or(0.0)
    }
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
