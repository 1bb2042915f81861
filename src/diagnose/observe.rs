//! Watching a tree of processes: look after look, until it has ended.
//!
//! Invariants: nothing that is watched is stopped, signalled or written to. A thread's times count from its beginning if
//! everything below this process is watched, and from the first look if a running process is; so their sum never has in it what
//! was before. Processes, threads and files that vanish between two reads are normal and skipped.

use super::agent::{AgentFile, Made};
use super::beside::{self, Found};
use super::join;
use super::machine::{Counters, Throttling};
use super::process::{Process, ProcessUse};
use super::report::{Report, Totals};
use super::schedstat::QueueTime;
use super::tasks::{self, Look};
use super::timeline::{Point, Timeline};
use super::tree::Tree;
use super::who::Group;
use crate::cores::Cores;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// In so many looks records of the agent are read again that are not complete.
const AGAIN: u32 = 64;

/// What a thread had used when it was last seen.
#[derive(Debug, Clone)]
pub(super) struct ThreadUse {
    pub pid: u32,
    pub tid: u32,
    pub name: String,
    /// What the agent says of it, if it does.
    pub made: Option<Made>,
    pub group: Group,
    /// Whether its stack told where it began.
    pub told_by_stack: bool,
    pub time: QueueTime,
    /// When it was first and last seen, on the monotonic clock.
    pub first_seen: u64,
    pub last_seen: u64,
    /// How many looks found it on another CPU than the look before.
    pub moves: u32,
    /// How often it moved to another CPU while it was watched, if it is still there and the kernel tells.
    pub migrations: Option<u64>,
    cpu: u32,
    /// What it had used before it was first seen, if that does not count.
    before: QueueTime,
    migrations_before: Option<u64>,
}

#[cfg(test)]
impl ThreadUse {
    /// One that was seen once, when it had run so long.
    pub fn for_tests(pid: u32, tid: u32, seen: u64, ran: u64) -> Self {
        ThreadUse {
            pid,
            tid,
            name: String::new(),
            made: None,
            group: Group::unknown(),
            told_by_stack: false,
            time: QueueTime { ran, waited: 0 },
            first_seen: seen,
            last_seen: seen,
            moves: 0,
            migrations: None,
            cpu: 0,
            before: QueueTime::default(),
            migrations_before: None,
        }
    }
}

/// All that was seen, for the report.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub threads: Vec<ThreadUse>,
    pub processes: Vec<ProcessUse>,
    /// CPU time that a group used while threads of another waited for a CPU, in nanoseconds.
    pub overlap: BTreeMap<Group, u64>,
    pub points: Vec<Point>,
    /// When watching began, on the monotonic clock, and for how long, in nanoseconds.
    pub began: u64,
    pub duration: u64,
    pub looks: u32,
    pub pressure: Option<f64>,
    pub throttling: Option<Throttling>,
    /// CPU time of everything on the machine, in seconds.
    pub busy: Option<f64>,
    /// The cores that a process may use that was running already; those of this one count otherwise.
    pub cores: Option<Cores>,
}

/// Watches processes.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals};
/// let mut child = std::process::Command::new("true").spawn().unwrap();
/// let mut observer = Observer::of_children(None);
/// observer.look();
/// child.wait().unwrap();
/// let report = observer.report(Totals::default());
/// assert!(report.wall_seconds >= 0.0);
/// ```
#[derive(Debug)]
pub struct Observer {
    tree: Tree,
    from_zero: bool,
    agent: Option<AgentFile>,
    /// Which threads the agent has told of, and how many of its records were read.
    made: HashMap<(u32, u32), Made>,
    read: u32,
    /// How many looks in a row found incomplete records.
    again: u32,
    living: BTreeMap<u32, Process>,
    ended: Vec<ProcessUse>,
    threads: Vec<ThreadUse>,
    /// Where the living ones are among the threads.
    at: HashMap<(u32, u32), usize>,
    overlap: BTreeMap<Group, u64>,
    timeline: Timeline<Point>,
    began: u64,
    last: u64,
    looks: u32,
    counters: Counters,
    /// The process that was running already, with the cores that it may use.
    running: Option<(u32, Option<Cores>)>,
}

impl Observer {
    /// Watches whatever descends from this process from now on. `agent` is the file that an agent in it writes to.
    ///
    /// ```
    /// let observer = threadctl::diagnose::Observer::of_children(None);
    /// ```
    pub fn of_children(agent: Option<AgentFile>) -> Self {
        Self::new(Tree::of_children(), None, agent)
    }

    /// Watches the process `pid` and its descendants, from now on.
    ///
    /// ```
    /// let mut observer = threadctl::diagnose::Observer::of_process(std::process::id());
    /// observer.look();
    /// assert!(observer.alive() >= 1);
    /// ```
    pub fn of_process(pid: u32) -> Self {
        Self::new(Tree::of(pid), Some(pid), None)
    }

    fn new(tree: Tree, running: Option<u32>, agent: Option<AgentFile>) -> Self {
        let now = now();
        Observer {
            tree,
            from_zero: running.is_none(),
            agent,
            made: HashMap::new(),
            read: 0,
            again: 0,
            living: BTreeMap::new(),
            ended: Vec::new(),
            threads: Vec::new(),
            at: HashMap::new(),
            overlap: BTreeMap::new(),
            timeline: Timeline::default(),
            began: now,
            last: now,
            looks: 0,
            counters: Counters::now(&subject(running)),
            running: running.map(|pid| (pid, Cores::for_pid(pid).ok())),
        }
    }

    /// How many processes the last look found, zombies included.
    ///
    /// ```
    /// assert_eq!(threadctl::diagnose::Observer::of_children(None).alive(), 0);
    /// ```
    pub fn alive(&self) -> usize {
        self.living.len()
    }

    /// Looks once; tells what CPU time that took, so that the caller can keep it rare enough.
    ///
    /// ```
    /// let mut observer = threadctl::diagnose::Observer::of_children(None);
    /// let cost = observer.look();
    /// assert!(cost < std::time::Duration::from_secs(60));
    /// ```
    pub fn look(&mut self) -> Duration {
        let began = cpu_time();
        self.looks = self.looks.saturating_add(1);
        self.read_agent();
        let pids = self.tree.look();
        let gone: Vec<u32> = self
            .living
            .keys()
            .copied()
            .filter(|pid| pids.binary_search(pid).is_err())
            .collect();
        for pid in gone {
            self.ended
                .extend(self.living.remove(&pid).map(|process| process.seen));
        }
        let now = now();
        let mut tally = Tally::default();
        let mut at = HashMap::with_capacity(self.at.len());
        let mut found: Vec<(u32, Found)> = Vec::new();
        for pid in pids {
            let mut runnable = Found::default();
            let mut others: Vec<(usize, bool)> = Vec::new();
            let mut process = self
                .living
                .remove(&pid)
                .unwrap_or_else(|| Process::new(pid));
            let looks = process.tasks.look();
            // Later than the beginning of every thread that was found.
            let seen_at = self::now();
            let changed = process.refresh(looks.len());
            // The agent tells more, and sooner.
            let is_silent = !self.made.contains_key(&(pid, pid));
            let is_new = |look: &Look| look.is_new && look.tid != pid;
            if is_silent && looks.len() > 1 && (changed || looks.iter().any(is_new)) {
                let threads = looks.iter().map(|look| look.tid).collect();
                process.seen.read_starts(&threads);
            }
            for look in looks {
                let known = (!look.is_new)
                    .then(|| self.at.get(&(pid, look.tid)).copied())
                    .flatten();
                let index = known.unwrap_or_else(|| {
                    self.threads.push(ThreadUse {
                        pid,
                        tid: look.tid,
                        name: String::new(),
                        made: None,
                        group: Group::unknown(),
                        told_by_stack: false,
                        time: QueueTime::default(),
                        first_seen: seen_at,
                        last_seen: seen_at,
                        moves: 0,
                        migrations: None,
                        cpu: look.cpu,
                        migrations_before: if self.from_zero {
                            Some(0)
                        } else {
                            tasks::migrations(pid, look.tid)
                        },
                        before: if self.from_zero {
                            QueueTime::default()
                        } else {
                            look.time.unwrap_or_default()
                        },
                    });
                    self.threads.len() - 1
                });
                at.insert((pid, look.tid), index);
                let Some(thread) = self.threads.get_mut(index) else {
                    continue;
                };
                if thread.made.is_none() {
                    thread.told_by_stack |= process.seen.starts.contains_key(&thread.tid);
                    thread.made = self.made.get(&(pid, look.tid)).cloned();
                    thread.group = process.seen.group_of(thread.tid, thread.made.as_ref());
                } else if changed {
                    thread.group = process.seen.group_of(thread.tid, thread.made.as_ref());
                }
                let time = look.time.unwrap_or_default().since(thread.before);
                tally.add(&thread.group, look.is_runnable, time.since(thread.time));
                if look.is_runnable {
                    runnable.add(&thread.group, look.tid == pid);
                }
                if look.tid != pid {
                    others.push((index, look.is_runnable));
                }
                thread.time = time;
                thread.last_seen = seen_at;
                thread.name = look.name;
                thread.moves += u32::from(thread.cpu != look.cpu);
                thread.cpu = look.cpu;
            }
            if runnable.has_pool() {
                let known = others.iter().filter_map(|&(index, is_runnable)| {
                    let thread = self.threads.get(index)?;
                    Some((thread.tid, &thread.group, is_runnable))
                });
                process.seen.calls.look(pid, &known.collect::<Vec<_>>());
            }
            self.living.insert(pid, process);
            found.push((pid, runnable));
        }
        self.at = at;
        let time = now.saturating_sub(self.last);
        let all = beside::with_pools(found.iter().map(|(_, found)| found));
        for (pid, found) in &found {
            if let Some(process) = self.living.get_mut(pid) {
                beside::enter(&mut process.seen.beside, found, all, time);
            }
        }
        let point = tally.point(self.last.saturating_sub(self.began), time);
        tally.add_overlap(&mut self.overlap);
        self.timeline.add(point);
        self.last = now;
        cpu_time().saturating_sub(began)
    }

    /// Reads what the agent has written since the last look, and again what was not complete then.
    fn read_agent(&mut self) {
        let Some(agent) = &self.agent else {
            return;
        };
        let (count, _) = agent.count();
        if count == self.read {
            return;
        }
        let written = agent.written(self.read);
        let pending = written.pending;
        for made in written.threads {
            self.made.insert((made.pid, made.tid), made);
        }
        // A thread has a place before its record is complete, and writes its number down when it begins: on a busy machine that may be
        // a while later. A thread that could not be made leaves its place empty.
        let unnumbered = self.made.keys().any(|(_, tid)| *tid == 0);
        self.made.retain(|(_, tid), _| *tid != 0);
        let incomplete = u32::from(unnumbered) + pending;
        self.again = if incomplete == 0 { 0 } else { self.again + 1 };
        if incomplete == 0 || self.again > AGAIN {
            (self.read, self.again) = (count, 0);
        }
    }

    /// Puts together what was seen so far. `totals` is what the kernel counted of the processes that have ended, if the caller
    /// knows it.
    ///
    /// ```
    /// use threadctl::diagnose::{Observer, Totals};
    /// let report = Observer::of_children(None).report(Totals::default());
    /// assert_eq!(report.runnable.peak, 0);
    /// ```
    pub fn report(&self, totals: Totals) -> Report {
        let written = self.agent.as_ref().map(|agent| agent.written(0));
        let running = self.running.as_ref().map(|(pid, _)| *pid);
        let counters = Counters::now(&subject(running));
        let duration = now().saturating_sub(self.began);
        // It may have been bound to other CPUs meanwhile, or have ended.
        let cores = self
            .running
            .as_ref()
            .and_then(|(pid, before)| Cores::for_pid(*pid).ok().or_else(|| before.clone()));
        let living = self.living.values().map(|process| &process.seen);
        let mut threads = self.threads.clone();
        for (&(pid, tid), &index) in &self.at {
            if let Some(thread) = threads.get_mut(index) {
                let now = tasks::migrations(pid, tid);
                thread.migrations = now
                    .zip(thread.migrations_before)
                    .map(|(now, before)| now.saturating_sub(before));
            }
        }
        let seen = Seen {
            threads,
            processes: self.ended.iter().chain(living).cloned().collect(),
            overlap: self.overlap.clone(),
            points: self.timeline.points().to_vec(),
            began: self.began,
            duration,
            looks: self.looks,
            pressure: counters.pressure_since(&self.counters, duration as f64 * 1e-9),
            throttling: counters.throttling_since(&self.counters),
            busy: counters.busy_since(&self.counters),
            cores,
        };
        let left = self.living.keys().copied().collect();
        join::put_together(seen, written, totals, left)
    }
}

/// Whose control groups count, as a folder of `/proc`.
fn subject(running: Option<u32>) -> String {
    running.map_or_else(|| "self".to_owned(), |pid| pid.to_string())
}

/// The sums of one look.
#[derive(Debug, Default)]
struct Tally {
    groups: BTreeMap<Group, (u32, QueueTime)>,
}

impl Tally {
    fn add(&mut self, group: &Group, is_runnable: bool, time: QueueTime) {
        let (runnable, sum) = match self.groups.get_mut(group) {
            Some(known) => known,
            None => self.groups.entry(group.clone()).or_default(),
        };
        *runnable += u32::from(is_runnable);
        *sum += time;
    }

    /// What the look says of the time since the one before; all in nanoseconds.
    fn point(&self, at: u64, duration: u64) -> Point {
        let mut sum = QueueTime::default();
        for (_, time) in self.groups.values() {
            sum += *time;
        }
        let per_time = |nanoseconds: u64| nanoseconds as f64 / duration.max(1) as f64;
        // A name may be that of groups of two kinds.
        let mut groups: BTreeMap<String, u32> = BTreeMap::new();
        for (group, (runnable, _)) in &self.groups {
            if *runnable > 0 {
                *groups.entry(group.name.clone()).or_default() += runnable;
            }
        }
        Point {
            at: at as f64 * 1e-9,
            seconds: duration as f64 * 1e-9,
            runnable: self.groups.values().map(|(runnable, _)| runnable).sum(),
            running: per_time(sum.ran),
            waiting: per_time(sum.waited),
            groups_mean: groups
                .iter()
                .map(|(name, count)| (name.clone(), f64::from(*count)))
                .collect(),
            groups,
        }
    }

    fn add_overlap(&self, overlap: &mut BTreeMap<Group, u64>) {
        let all: u64 = self.groups.values().map(|(_, time)| time.waited).sum();
        for (group, (_, time)) in &self.groups {
            let others = time.ran.min(all - time.waited);
            if others > 0 {
                *overlap.entry(group.clone()).or_default() += others;
            }
        }
    }
}

/// CPU time of the calling thread: on a busy machine a look may be interrupted for long.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The monotonic clock, which the agent reads too, in nanoseconds.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::who::GroupKind;
    use super::*;

    fn group(name: &str) -> Group {
        Group {
            kind: GroupKind::Library,
            name: name.to_owned(),
        }
    }

    #[test]
    fn overlap_is_what_ran_while_others_waited() {
        let mut tally = Tally::default();
        let time = |ran, waited| QueueTime { ran, waited };
        tally.add(&group("a"), true, time(100, 5));
        tally.add(&group("b"), true, time(10, 30));
        tally.add(&group("b"), false, time(0, 0));
        let mut overlap = BTreeMap::new();
        tally.add_overlap(&mut overlap);
        assert_eq!(overlap[&group("a")], 30);
        assert_eq!(overlap[&group("b")], 5);
        let point = tally.point(0, 100);
        assert_eq!(
            (point.runnable, point.groups["a"], point.groups["b"]),
            (2, 1, 1)
        );
        assert!((point.running - 1.1).abs() < 1e-9 && (point.waiting - 0.35).abs() < 1e-9);
    }
}
