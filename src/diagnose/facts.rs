//! The parts of a report that are sums over threads. Pure, but for the cores.

use super::agent::Written;
use super::beside::Sum;
use super::calls::Calls;
use super::join::{Used, peak};
use super::library;
use super::observe::Seen;
use super::process::ProcessUse;
use super::report::{Asleep, CoresAllowed, GroupReport, ProcessGroup, ProcessSummary};
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
                groups: groups_of(&own, known),
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
                    let life = life(&own);
                    own.iter()
                        .any(|thread| thread.is_first && is_busy(thread, most, life))
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

/// In a process that ends soon this part of its life is enough: what spins when nobody calls it is told by who was runnable beside it.
const OF_SHORT: u64 = 5;

/// In one that lives long a BLAS thread must have wanted to run for this part of its life.
const OF_LONG: u64 = 100;

/// From how much time on, in nanoseconds, a thread of a BLAS pool was called, in a process that lived so long.
fn called_from(life: u64) -> u64 {
    SPINS.min(life / OF_SHORT).max(life / OF_LONG)
}

/// How long a process was there, as far as its threads tell.
fn life(own: &[&Used]) -> u64 {
    let began = own.iter().map(|thread| thread.alive.0).min();
    let ended = own.iter().map(|thread| thread.alive.1).max();
    ended.unwrap_or(0).saturating_sub(began.unwrap_or(0))
}

/// Whether a thread computed, compared with the time of the one that wanted most; its process lived so long.
fn is_busy(thread: &Used, most: u64, life: u64) -> bool {
    let least = match thread.group.kind {
        GroupKind::Blas => called_from(life),
        _ => 0,
    };
    thread.time.ran >= SETTING_UP && wanted(thread) >= least.max(most / 10)
}

/// The threads of a process by group; `seen` is what looks say of it.
fn groups_of(own: &[&Used], seen: Option<&ProcessUse>) -> Vec<ProcessGroup> {
    let ran: fn(&Used) -> u64 = |thread| thread.time.ran;
    let pools = own.iter().filter(|thread| thread.group.kind.is_pool());
    let pools_ran: u64 = pools.map(|thread| ran(thread)).sum();
    let pools_compute = pools_ran >= own.iter().map(|thread| ran(thread)).sum::<u64>() / COMPUTES;
    let names: BTreeSet<&Group> = own.iter().map(|thread| &thread.group).collect();
    let life = life(own);
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
        let busy = others().filter(|thread| matters && is_busy(thread, most, life));
        let mut copies: BTreeMap<Option<&String>, Vec<&Used>> = BTreeMap::new();
        for thread in busy {
            let file = thread.file.as_ref().filter(|_| group.kind.is_pool());
            copies.entry(file).or_default().push(thread);
        }
        // The pools that each thread has called whose stack was read.
        let stacks = || {
            let known = seen.map(|seen| &seen.calls.threads);
            others().filter_map(move |thread| known?.get(&thread.tid))
        };
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
            beside: seen.and_then(|seen| seen.beside.get(group)).map(Sum::means),
            stacks: count(stacks().count()),
            calls: calls(group, stacks()),
            asleep: seen.map_or_else(BTreeMap::new, |seen| asleep(group, &seen.calls)),
        }
    };
    names.into_iter().map(group).collect()
}

/// By pool, how many of these threads of a group have called it.
fn calls<'a>(
    own: &Group,
    stacks: impl Iterator<Item = &'a BTreeSet<Group>>,
) -> BTreeMap<String, u32> {
    let mut calls = BTreeMap::new();
    for pool in stacks.flatten().filter(|pool| *pool != own) {
        *calls.entry(pool.name.clone()).or_default() += 1;
    }
    calls
}

/// By pool, what was seen of sleeping threads of a group.
fn asleep(own: &Group, calls: &Calls) -> BTreeMap<String, Asleep> {
    let seen = calls.sleeping.iter().filter(|((group, _), _)| group == own);
    seen.map(|((_, pool), &(looks, inside))| (pool.name.clone(), Asleep { looks, inside }))
        .collect()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    /// A thread of a process of two seconds, with so many milliseconds of CPU time.
    fn used(pid: u32, kind: GroupKind, file: &str, ran: u64) -> Used {
        Used {
            pid,
            tid: 0,
            group: Group {
                kind,
                name: file.to_owned(),
            },
            file: Some(format!("/lib/{file}.so")),
            time: QueueTime {
                ran: ran * MILLISECOND,
                waited: 0,
            },
            migrations: 0,
            migrations_exact: true,
            creator: 1,
            is_first: false,
            is_guess: false,
            alive: (0, 2000 * MILLISECOND),
        }
    }

    fn busy(all: &[Used]) -> Vec<u32> {
        let summaries = processes(all, &Seen::default(), None);
        let groups = summaries.iter().flat_map(|process| &process.groups);
        let blas = groups.filter(|group| group.kind == GroupKind::Blas);
        blas.map(|group| group.busy).collect()
    }

    #[test]
    fn of_copies_in_one_process_the_largest_counts_and_of_copies_in_several_each() {
        let blas = |pid, folder: &str| Used {
            file: Some(format!("/{folder}/libopenblas.so")),
            ..used(pid, GroupKind::Blas, "libopenblas", 500)
        };
        // Two of numpy's and three of scipy's.
        let mut all: Vec<Used> = ["numpy", "numpy", "scipy", "scipy", "scipy"]
            .map(|folder| blas(7, folder))
            .into();
        assert_eq!(busy(&all), [3]);
        // Two processes with the same file.
        all.extend([blas(8, "numpy"), blas(8, "numpy")]);
        assert_eq!(busy(&all), [3, 2]);
    }

    #[test]
    fn a_blas_thread_is_called_from_some_of_its_process_on_however_long_that_is() {
        let of = |life: u64, ran: u64| {
            let mut all = [
                used(7, GroupKind::Blas, "libopenblas", ran),
                used(7, GroupKind::Program, "job", life),
            ];
            for thread in &mut all {
                thread.alive.1 = life * MILLISECOND;
            }
            busy(&all) == [1]
        };
        assert!(of(300, 100) && !of(300, 50));
        // What it spins when it is made is no more in a longer one.
        assert!(of(3000, 300) && !of(3000, 190));
        assert!(!of(100_000, 900), "it does not matter");
        assert!(of(100_000, 6000));
    }
}
