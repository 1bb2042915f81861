//! The parts of a report that are sums over threads. Pure, but for the cores.

use super::agent::Written;
use super::observe::Seen;
use super::report::{CoresAllowed, GroupReport, ProcessSummary, Used, peak};
use super::schedstat::QueueTime;
use super::who::Group;
use crate::cores::{Cores, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// The cores, as the report has them.
pub(super) fn cores_allowed(cores: &Cores) -> CoresAllowed {
    let binding = cores.binding();
    let online = cores
        .constraints()
        .iter()
        .find(|known| known.kind == Kind::Online);
    CoresAllowed {
        count: cores.count(),
        kind: binding.kind.to_string(),
        because: binding.detail.clone(),
        online: online.map_or(cores.logical(), |online| online.limit),
    }
}

/// A report for each group, the one with the most CPU time first.
pub(super) fn groups(all: &[Used], overlap: &BTreeMap<Group, u64>) -> Vec<GroupReport> {
    let names: BTreeSet<&Group> = all.iter().map(|thread| &thread.group).collect();
    let mut groups: Vec<GroupReport> = names
        .into_iter()
        .map(|group| {
            let own = || all.iter().filter(|thread| thread.group == *group);
            let mut time = QueueTime::default();
            own().for_each(|thread| time += thread.time);
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            GroupReport {
                name: group.name.clone(),
                kind: group.kind,
                threads: count(own().count()),
                peak: peak(own()),
                cpu_seconds: time.ran as f64 * 1e-9,
                wait_seconds: time.waited as f64 * 1e-9,
                overlap_seconds: overlap.get(group).copied().unwrap_or(0) as f64 * 1e-9,
                guessed: count(own().filter(|thread| thread.is_guess).count()),
            }
        })
        .collect();
    groups.sort_by(|one, other| other.cpu_seconds.total_cmp(&one.cpu_seconds));
    groups
}

/// A summary of each process.
pub(super) fn processes(
    all: &[Used],
    seen: &Seen,
    written: Option<&Written>,
) -> Vec<ProcessSummary> {
    let agents: BTreeSet<u32> = written
        .iter()
        .flat_map(|written| &written.threads)
        .map(|made| made.pid)
        .collect();
    let mut pids: BTreeSet<u32> = all.iter().map(|thread| thread.pid).collect();
    pids.extend(seen.processes.iter().map(|process| process.pid));
    pids.into_iter()
        .map(|pid| {
            let own: Vec<&Used> = all.iter().filter(|thread| thread.pid == pid).collect();
            let names: BTreeSet<&str> = own
                .iter()
                .map(|thread| thread.group.name.as_str())
                .collect();
            let peak_by_group = names.into_iter().map(|name| {
                let of_group = own
                    .iter()
                    .copied()
                    .filter(|thread| thread.group.name == name);
                (name.to_owned(), peak(of_group))
            });
            let process = seen.processes.iter().find(|process| process.pid == pid);
            ProcessSummary {
                pid,
                executable: process.map_or_else(String::new, |process| process.executable.clone()),
                threads: u32::try_from(own.len()).unwrap_or(u32::MAX),
                peak_by_group: peak_by_group.collect(),
                runtimes: process.map_or_else(Vec::new, |process| {
                    process.runtimes.iter().cloned().collect()
                }),
                cpus: process.map_or(0, |process| {
                    u32::try_from(process.cpus.len()).unwrap_or(u32::MAX)
                }),
                agent: agents.contains(&pid),
            }
        })
        .collect()
}
