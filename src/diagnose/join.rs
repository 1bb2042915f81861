//! How a report is put together: what was seen, and what the agent wrote, joined thread by thread. Pure, but for the cores.
//!
//! Invariant: each thread counts once, with the larger of the figures that are known of it: what it had used when it ended, if
//! the agent was told, or else when it was seen last.

use super::agent::{Made, Written};
use super::facts;
use super::observe::{Seen, ThreadUse};
use super::process::{ProcessUse, is_runtime};
use super::report::{Report, Runnable, Switches, Totals, Wait};
use super::schedstat::QueueTime;
use super::who::Group;
use std::collections::{BTreeSet, HashMap};

/// The part of the CPU time that must be accounted for thread by thread for a sum to pass for exact. What a thread uses to
/// end, after its last word, cannot be: of threads that live for a millisecond that is some per cent.
const EXACT: f64 = 0.95;

/// CPU time below which nothing can be said about parts of it, in seconds.
const LITTLE: f64 = 0.02;

/// One thread, from all sources.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub pid: u32,
    pub tid: u32,
    pub group: Group,
    /// The file that its start routine is in, if the agent told it.
    pub file: Option<String>,
    pub time: QueueTime,
    /// How often it moved to another CPU; of a thread that only looks saw, at least so often.
    pub migrations: u64,
    pub migrations_exact: bool,
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

/// The last moment at which anything is known of each process.
fn last_words(seen: &[ThreadUse], written: Option<&Written>) -> HashMap<u32, u64> {
    let made = written.iter().flat_map(|written| &written.threads);
    let written = made.map(|made| (made.pid, made.ended.map_or(made.created, |(at, _)| at)));
    let mut last: HashMap<u32, u64> = HashMap::new();
    for (pid, at) in seen
        .iter()
        .map(|thread| (thread.pid, thread.last_seen))
        .chain(written)
    {
        let known = last.entry(pid).or_default();
        *known = at.max(*known);
    }
    last
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
    let last_words = last_words(&seen.threads, written);
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
        let migrations = migrations(made.migrations, thread);
        // One whose end nobody told was there as long as its process, which was killed: after its last word.
        let last_seen = thread.map_or(made.created, |thread| thread.last_seen);
        let last_seen = last_seen.max(last_words.get(&made.pid).map_or(0, |at| at + 1));
        all.push(Used {
            pid: made.pid,
            tid: made.tid,
            group,
            file: made.start.clone(),
            time,
            migrations: migrations.0,
            migrations_exact: migrations.1,
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
            let migrations = migrations(None, Some(thread));
            all.push(Used {
                pid: thread.pid,
                tid: thread.tid,
                group: thread.group.clone(),
                file: thread.made.as_ref().and_then(|made| made.start.clone()),
                time: thread.time,
                migrations: migrations.0,
                migrations_exact: migrations.1,
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
            None => seen.processes.push(ProcessUse {
                pid: *pid,
                runtimes: BTreeSet::from([path.clone()]),
                ..Default::default()
            }),
        }
    }
    all
}

/// How often a thread moved to another CPU, and whether that is all: by the kernel's count when it ended, or now, or else by what
/// looks saw.
fn migrations(at_end: Option<u64>, thread: Option<&ThreadUse>) -> (u64, bool) {
    let counted = at_end.or_else(|| thread.and_then(|thread| thread.migrations));
    let seen = thread.map_or(0, |thread| u64::from(thread.moves));
    counted.map_or((seen, false), |count| (count, true))
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
    let cores = facts::cores_allowed(&seen.cores.take().unwrap_or_else(crate::cores));
    let mut notes = Vec::new();
    if let Some(written) = written.as_ref().filter(|written| written.lost > 0) {
        notes.push(format!(
            "the agent had no room left for {} records of threads: those have only the figures that looks found",
            written.lost
        ));
    }
    let guessed = all.iter().filter(|thread| thread.is_guess).count();
    if guessed > 0 {
        let told = seen.threads.iter().filter(|thread| {
            thread.told_by_stack && thread.made.is_none() && thread.tid != thread.pid
        });
        let told = match told.count() {
            0 => String::new(),
            told => format!(", for {told} of them by where their stacks say that they began"),
        };
        notes.push(format!(
            "{guessed} threads were made where the agent was not, or did not see it: whose they are is a guess{told}"
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
            migrations: all.iter().map(|thread| thread.migrations).sum(),
            migrations_exact: covered >= EXACT && all.iter().all(|thread| thread.migrations_exact),
            moves_seen: seen
                .threads
                .iter()
                .map(|thread| u64::from(thread.moves))
                .sum(),
        },
        cpu_pressure: seen.pressure,
        throttling: seen.throttling,
        others_cpu_seconds: seen.busy.map(|busy| (busy - cpu_seconds).max(0.0)),
        who: facts::groups(&all, &seen.overlap),
        processes: facts::processes(&all, &seen, written.as_ref()),
        cores,
        timeline: seen.points,
        looks: seen.looks,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(tid: u32, created: u64, ended: Option<(u64, u64)>) -> Made {
        let time = |ran| QueueTime { ran, waited: 1 };
        Made {
            pid: 7,
            tid,
            created,
            ended: ended.map(|(at, ran)| (at, time(ran))),
            start: Some("/lib/libgomp.so.1".to_owned()),
            creator: 7,
            ..Made::default()
        }
    }

    fn joined(seen: Vec<ThreadUse>, threads: Vec<Made>) -> Vec<u64> {
        let mut seen = Seen {
            threads: seen,
            ..Seen::default()
        };
        let written = Written {
            threads,
            ..Written::default()
        };
        let all = super::threads(&mut seen, Some(&written));
        let mut times: Vec<u64> = all.iter().map(|thread| thread.time.ran).collect();
        times.sort_unstable();
        times
    }

    #[test]
    fn final_times_count_and_where_there_are_none_the_last_ones_seen() {
        let seen = |tid, at, ran| ThreadUse::for_tests(7, tid, at, ran);
        let times = joined(
            vec![seen(8, 15, 40), seen(9, 15, 60)],
            vec![
                made(8, 10, Some((20, 50))),
                made(9, 10, None),
                made(10, 10, Some((11, 5))),
            ],
        );
        assert_eq!(times, [5, 50, 60]);
    }

    #[test]
    fn a_number_that_was_given_again_is_two_threads() {
        let seen = |at, ran| ThreadUse::for_tests(7, 8, at, ran);
        let again = vec![made(8, 10, Some((20, 100))), made(8, 30, None)];
        assert_eq!(
            joined(vec![seen(15, 90), seen(35, 3)], again.clone()),
            [3, 100]
        );
        assert_eq!(joined(vec![seen(35, 3)], again), [3, 100]);
    }

    #[test]
    fn a_thread_without_a_record_counts_too() {
        assert_eq!(
            joined(
                vec![ThreadUse::for_tests(7, 8, 5, 12)],
                vec![made(8, 10, Some((20, 1)))]
            ),
            [1, 12]
        );
    }

    #[test]
    fn the_peak_is_of_threads_alive_at_once() {
        let used = |from, to| Used {
            pid: 7,
            tid: 8,
            group: Group::unknown(),
            file: None,
            time: QueueTime::default(),
            migrations: 0,
            migrations_exact: true,
            creator: 0,
            is_first: false,
            is_guess: false,
            alive: (from, to),
        };
        let threads = [used(0, 10), used(10, 20), used(5, 12), used(30, 30)];
        assert_eq!(peak(threads.iter()), 2);
        assert_eq!(peak([].iter()), 0);
    }
}
