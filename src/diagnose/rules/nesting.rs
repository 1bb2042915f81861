//! Pools in pools: who calls into whose threads, within a process and in processes that compute at once. Pure, as the other
//! conditions are.

use super::super::report::{ProcessGroup, ProcessSummary};
use super::checks::{busy, busy_processes, limit_of, most_at_once, name, pools};
use super::{Confidence, Context, Found};

/// The pool in which threads of another group are nested, if so: the process, the outer side, how many threads of it
/// computed, and the inner side.
pub(super) fn nested<'a>(
    context: &Context<'a>,
) -> Option<(&'a ProcessSummary, &'a ProcessGroup, u32, &'a ProcessGroup)> {
    let cores = context.report.cores.count;
    busy_processes(context).find_map(|process| {
        pools(process)
            // A team that one of several callers made is theirs, however little it came to run.
            .filter(|inner| inner.busy > 0 && (inner.makers > 1 || worked(process, inner)))
            .find_map(|inner| {
                let groups = process.groups.iter();
                let (outer, callers) = groups
                    .filter(|outer| outer.kind < inner.kind)
                    .map(|outer| (outer, callers(process, outer)))
                    .filter(|(outer, callers)| *callers >= 2 && at_once(context, outer, inner))
                    .max_by_key(|(_, callers)| *callers)?;
                (callers + inner.busy > cores).then_some((process, outer, callers, inner))
            })
    })
}

/// How many threads of a group computed, which may all call a library: in a pool, the thread that it works for is one of them.
fn callers(process: &ProcessSummary, outer: &ProcessGroup) -> u32 {
    outer.busy + u32::from(outer.kind.is_pool() && process.first_busy)
}

/// By what part of the cores more threads than cores must want one while two pools compute at once. A pool that has nothing to do
/// spins for some hundredths of a second.
const TOO_MANY: f64 = 1.1;

/// Whether the two sides can have computed at the same time. Threads of a program that call a library wait for its pool; but two
/// pools may as well be used in turns by the first thread, and then there are never more runnable threads than one of them has.
fn at_once(context: &Context<'_>, outer: &ProcessGroup, inner: &ProcessGroup) -> bool {
    let (mut seconds, mut threads) = (0.0, 0.0);
    for point in &context.report.timeline {
        if point
            .groups_mean
            .get(&inner.name)
            .is_some_and(|mean| *mean > 0.0)
        {
            seconds += point.seconds;
            threads += point.seconds * point.groups_mean.values().sum::<f64>();
        }
    }
    !outer.kind.is_pool() || threads > seconds * f64::from(context.report.cores.count) * TOO_MANY
}

/// The part of the time of its callers, on a CPU or waiting for one, that a pool's thread has which works for them: one that
/// was made and then not used spins for some hundredths of a second, which in a short process is more than nothing.
const WORKS: f64 = 0.25;

/// Whether the pool worked for those who could call it.
fn worked(process: &ProcessSummary, pool: &ProcessGroup) -> bool {
    let each = |group: &ProcessGroup| {
        (group.cpu_seconds + group.wait_seconds) / f64::from(group.busy.max(1))
    };
    let callers = process.groups.iter();
    let callers = callers.filter(|group| group.kind < pool.kind).map(each);
    pool.busy > 0 && each(pool) >= callers.fold(0.0, f64::max) * WORKS
}

/// Processes that compute at once, each with a pool: how many, the largest pool of one of them, and the threads of all. No
/// process has too many by itself.
fn nested_in_processes<'a>(
    context: &Context<'a>,
) -> Option<(u32, &'a ProcessSummary, &'a ProcessGroup, u32)> {
    let cores = context.report.cores.count;
    let jobs: Vec<&ProcessSummary> = busy_processes(context)
        .filter(|process| pools(process).any(|pool| worked(process, pool)))
        .collect();
    let many = most_at_once(jobs.iter().map(|process| (*process, 1)));
    let threads = most_at_once(jobs.iter().map(|process| (*process, busy(process))));
    let alone = jobs.iter().all(|process| busy(process) <= cores);
    let largest = jobs
        .iter()
        .flat_map(|process| pools(process).map(move |pool| (*process, pool)))
        .max_by_key(|(_, pool)| pool.busy)?;
    (alone && many >= 2 && threads > cores).then_some((many, largest.0, largest.1, threads))
}

pub(super) fn nested_pools(context: &Context<'_>) -> Option<Found> {
    let Some((process, outer, busy, inner)) = nested(context) else {
        let (many, process, pool, threads) = nested_in_processes(context)?;
        return Some(Found {
            evidence: format!(
                "{many} processes of the command computed at once, each with threads of {} ({} in {}): \
                 {threads} threads on {} cores",
                pool.name,
                pool.busy,
                name(process),
                context.report.cores.count
            ),
            cost: context.waiting(),
            confidence: Confidence::Certain,
            remedies: vec![
                context.run_with(&limit_of(pool, 1)),
                format!(
                    "eval \"$(threadctl env --jobs {many})\"    # in the script that starts them"
                ),
            ],
        });
    };
    let made = if inner.makers > 1 {
        format!(", made by {} different threads", inner.makers)
    } else {
        String::new()
    };
    Some(Found {
        evidence: format!(
            "in {} {busy} threads of {} computed, and beside them {} of {}{made}, on {} cores",
            name(process),
            outer.name,
            inner.busy,
            inner.name,
            context.report.cores.count
        ),
        cost: context.waiting(),
        confidence: if inner.makers > 1 {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        remedies: vec![context.run_with(&limit_of(inner, 1))],
    })
}
