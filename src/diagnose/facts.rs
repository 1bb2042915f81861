//! The parts of a report that are sums over threads. Pure, but for the cores.

use super::agent::Written;
use super::join::{Used, peak};
use super::library;
use super::observe::Seen;
use super::report::{CoresAllowed, GroupReport, ProcessGroup, ProcessSummary};
use super::schedstat::QueueTime;
use super::who::{Group, GroupKind};
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
    let made = written.iter().flat_map(|written| &written.threads);
    let agents: BTreeSet<u32> = made.map(|made| made.pid).collect();
    let mut by_process: BTreeMap<u32, Vec<&Used>> = BTreeMap::new();
    for process in &seen.processes {
        by_process.entry(process.pid).or_default();
    }
    for thread in all {
        by_process.entry(thread.pid).or_default().push(thread);
    }
    let used = |threads: &[&Used]| threads.iter().map(|thread| wanted(thread)).sum::<u64>();
    let most = by_process
        .values()
        .map(|threads| used(threads))
        .max()
        .unwrap_or(0);
    let mut facts = library::Facts::default();
    by_process
        .into_iter()
        .map(|(pid, own)| {
            let known = seen.processes.iter().find(|process| process.pid == pid);
            let seconds =
                |at: Option<u64>| at.map_or(0.0, |at| at.saturating_sub(seen.began) as f64 * 1e-9);
            let runtimes = known.into_iter().flat_map(|process| &process.runtimes);
            ProcessSummary {
                pid,
                executable: known.map_or_else(String::new, |process| process.executable.clone()),
                threads: count(own.len()),
                groups: groups_of(&own),
                runtimes: runtimes.map(|path| facts.of(path)).collect(),
                environment: known
                    .map_or_else(BTreeMap::new, |process| process.environment.clone()),
                cpus: known.map_or(0, |process| count(process.cpus.len())),
                agent: agents.contains(&pid),
                began: seconds(own.iter().map(|thread| thread.alive.0).min()),
                ended: seconds(own.iter().map(|thread| thread.alive.1).max()),
                is_busy: used(&own) >= (most / 10).max(SETTING_UP),
                first_busy: {
                    let most = own.iter().map(|thread| wanted(thread)).max().unwrap_or(0);
                    own.iter()
                        .any(|thread| thread.is_first && is_busy(thread, most))
                },
            }
        })
        .collect()
}

/// CPU time below which nobody computed, in nanoseconds: setting up takes some.
const SETTING_UP: u64 = 1_000_000;

/// What a thread ran and wanted to run, in nanoseconds. Where threads fight, some of those that work hardly ever run.
fn wanted(thread: &Used) -> u64 {
    thread.time.ran.saturating_add(thread.time.waited)
}

/// The groups with less than this part of the time of their process did not matter: threads that were made and then not used
/// spin for a while before they sleep. What they wanted counts: callers of which each has a pool starve the pools, and the pools
/// them.
const MATTERS: u64 = 20;

/// The same for the program's own threads where no pool computes: those that hand out work to other processes wake up often, and on a
/// busy machine wait long each time, so their CPU time counts.
const MATTERS_ALONE: u64 = 10;

/// From this part of the CPU time of their process on pools compute: more than they spin before they sleep.
const COMPUTES: u64 = 6;

/// What a thread of a BLAS pool spins at most before it sleeps, also one that nobody calls: OpenBLAS's turn for a tenth of a second
/// when they are made, which a busy CPU stretches but does not add to, and again after the first small call.
const SPINS: u64 = 200_000_000;

/// Whether a thread computed, compared with the time of the one that wanted most.
fn is_busy(thread: &Used, most: u64) -> bool {
    let least = match thread.group.kind {
        GroupKind::Blas => SPINS,
        _ => 0,
    };
    thread.time.ran >= SETTING_UP && wanted(thread) >= least.max(most / 10)
}

/// The threads of a process by group.
fn groups_of(own: &[&Used]) -> Vec<ProcessGroup> {
    let ran: fn(&Used) -> u64 = |thread| thread.time.ran;
    let pools = own.iter().filter(|thread| thread.group.kind.is_pool());
    let pools_ran: u64 = pools.map(|thread| ran(thread)).sum();
    let pools_compute = pools_ran >= own.iter().map(|thread| ran(thread)).sum::<u64>() / COMPUTES;
    let names: BTreeSet<&Group> = own.iter().map(|thread| &thread.group).collect();
    let group = |group: &Group| {
        let threads: Vec<&Used> = own
            .iter()
            .copied()
            .filter(|thread| thread.group == *group)
            .collect();
        let mut time = QueueTime::default();
        threads.iter().for_each(|thread| time += thread.time);
        let makers: BTreeSet<u32> = threads
            .iter()
            .map(|thread| thread.creator)
            .filter(|&tid| tid > 0)
            .collect();
        let others = || threads.iter().copied().filter(|thread| !thread.is_first);
        let files: BTreeSet<&String> = others().filter_map(|thread| thread.file.as_ref()).collect();
        let most = others().map(wanted).max().unwrap_or(0);
        let (time_of, part): (fn(&Used) -> u64, u64) = if group.kind.is_pool() || pools_compute {
            (wanted, MATTERS)
        } else {
            (ran, MATTERS_ALONE)
        };
        let all: u64 = own.iter().map(|thread| time_of(thread)).sum();
        let matters = others().map(time_of).sum::<u64>() >= all / part;
        let busy = others().filter(|thread| matters && is_busy(thread, most));
        let mut copies: BTreeMap<Option<&String>, Vec<&Used>> = BTreeMap::new();
        for thread in busy {
            let file = thread.file.as_ref().filter(|_| group.kind.is_pool());
            copies.entry(file).or_default().push(thread);
        }
        ProcessGroup {
            name: group.name.clone(),
            kind: group.kind,
            threads: count(threads.len()),
            peak: peak(threads.iter().copied()),
            // Threads that came one after another never computed all at once.
            busy: copies
                .into_values()
                .map(|threads| peak(threads.into_iter()))
                .max()
                .unwrap_or(0),
            makers: count(makers.len()),
            files: files.into_iter().cloned().collect(),
            cpu_seconds: time.ran as f64 * 1e-9,
            wait_seconds: time.waited as f64 * 1e-9,
        }
    };
    names.into_iter().map(group).collect()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
