//! Pools in pools: who calls into whose threads, within a process and in processes that compute at once. Pure, as the other
//! conditions are.

use super::super::report::{Beside, ProcessGroup, ProcessSummary};
use super::super::who::GroupKind;
use super::checks::{busy, busy_processes, limit_of, most_at_once, name, pools};
use super::{Confidence, Context, Found};

/// Two groups of threads of one process, of which the one may call into the other.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub process: &'a ProcessSummary,
    pub outer: &'a ProcessGroup,
    /// How many of its threads computed.
    pub callers: u32,
    pub inner: &'a ProcessGroup,
    /// Who was runnable while the inner pool was.
    beside: &'a Beside,
}

/// All pools with those that may call them, where both together are more than the cores.
fn pairs<'a>(context: &Context<'a>) -> impl Iterator<Item = Pair<'a>> {
    let cores = context.report.cores.count;
    busy_processes(context).flat_map(move |process| {
        pools(process)
            .filter(|inner| inner.busy > 0)
            .flat_map(move |inner| {
                let works = worked(process, inner);
                let outer = process
                    .groups
                    .iter()
                    .filter(|outer| outer.kind < inner.kind);
                outer.filter_map(move |outer| {
                    let callers = callers(process, outer);
                    // A team that one of several callers made is theirs, and a pool that they call, however little it came to run.
                    let is_theirs = inner.makers > 1 || outer.calls.contains_key(&inner.name);
                    let is_pair = callers >= 2 && callers + inner.busy > cores;
                    let is_pair = is_pair && (is_theirs || works);
                    is_pair.then_some(Pair {
                        process,
                        outer,
                        callers,
                        inner,
                        // What no look found was too short to matter.
                        beside: inner.beside.as_ref()?,
                    })
                })
            })
    })
}

/// The pool in which threads of another group are nested, if so.
pub(super) fn nested<'a>(context: &Context<'a>) -> Option<Pair<'a>> {
    let pairs = pairs(context).filter(|pair| pair.is_nested(context.report.cores.count));
    pairs.max_by_key(|pair| pair.callers)
}

/// How many threads of a group computed, which may all call a library: in a pool, the thread that it works for is one of them.
fn callers(process: &ProcessSummary, outer: &ProcessGroup) -> u32 {
    outer.busy + u32::from(outer.kind.is_pool() && process.first_busy)
}

/// By what part of the cores more threads than cores must want one while two pools compute at once. A pool that has nothing to do
/// spins for some hundredths of a second.
const TOO_MANY: f64 = 1.1;

/// How many threads of the program must be runnable when any of them and the pool that they call are, on average. Threads that take
/// turns, by a lock of their own, are one and a little more: 1.2 on a machine with a load of 12.
const SEVERAL: f64 = 1.5;

/// How often at least one of them must be while the pool is: nobody else calls it. The rest is what it spins when it is made.
const THEIRS: f64 = 0.5;

/// Those that call as they like wait for the library's own lock, inside it, in more than this part of the looks that found them asleep
/// (nearly all, when this was measured); those that take turns by another lock, in none.
const INSIDE: f64 = 0.1;

/// Of a pool whose threads' stacks cannot be read: how often each of them must be runnable while the inner pool is, as a part of how
/// often their first one is. All of them do the same.
const ALIKE: f64 = 0.88;

/// And of one that is known to call the inner pool.
const CALLS: f64 = 0.2;

impl Pair<'_> {
    /// Runnable threads of the outer side while the inner pool is, on average, without the thread that its process began with.
    fn outside(&self) -> f64 {
        self.beside.of(&self.outer.name)
    }

    /// The same for each of them.
    fn each(&self) -> f64 {
        self.outside() / f64::from(self.outer.busy.max(1))
    }

    /// How many threads of the outer side have called the inner pool, of those whose stacks were read, if there are enough.
    fn calls(&self) -> Option<u32> {
        let calls = self.outer.calls.get(&self.inner.name).copied();
        (self.outer.stacks >= self.outer.busy.min(2)).then_some(calls.unwrap_or(0))
    }

    /// Whether threads of the outer side are found asleep inside the inner pool's library; `None` if none was found asleep.
    fn waits_inside(&self) -> Option<bool> {
        let asleep = self.outer.asleep.get(&self.inner.name)?;
        let part = f64::from(asleep.inside) / f64::from(asleep.looks.max(1));
        (asleep.looks > 0).then_some(part >= INSIDE)
    }

    /// Whether the outer side computes while the inner one does, and calls it. Either may as well be used after the other.
    fn is_nested(&self, cores: u32) -> bool {
        let calls = self.calls();
        if self.outer.kind.is_pool() {
            // The first thread works with its pool, and calls what it likes between the loops.
            return match calls {
                Some(0) => false,
                Some(_) => self.each() >= CALLS,
                None => {
                    self.each() >= self.beside.first * ALIKE
                        && self.beside.threads() > f64::from(cores) * TOO_MANY
                }
            };
        }
        let theirs = self.beside.presence(&self.outer.name);
        // Teams that several of them made are theirs, though their stacks lead to the BLAS that asked for these.
        let made = self.inner.makers > 1;
        theirs >= THEIRS
            && (made || calls.is_none_or(|calls| calls >= 2))
            && (self.outside() >= SEVERAL * theirs
                || self.waits_inside().unwrap_or(calls.is_none()))
    }
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
    // While its pool is runnable, so is another process's: a process may as well wait for the other one.
    let at_once = |pool: &ProcessGroup| {
        let beside = pool.beside.as_ref();
        beside.is_some_and(|beside| beside.other_processes >= 1.0)
    };
    let jobs: Vec<&ProcessSummary> = busy_processes(context)
        .filter(|process| pools(process).any(|pool| worked(process, pool) && at_once(pool)))
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

/// The part of the time of all cores, over the life of the process, from which on it matters what idle threads took from others.
const TAKEN: f64 = 0.1;

/// How often the threads of the outer side must be runnable while the pool is, for each of them, to be those that lose it.
const LOSES: f64 = 0.2;

/// Assignments with which threads that have finished sleep at once.
const SLEEP_SOON: &str = "OPENBLAS_THREAD_TIMEOUT=4 GOMP_SPINCOUNT=0 KMP_BLOCKTIME=0";

/// Two pools that are used in turns, of which one goes on spinning while the other one computes.
pub(super) fn idle_pool_spins(context: &Context<'_>) -> Option<Found> {
    if nested(context).is_some() || nested_in_processes(context).is_some() {
        return None;
    }
    let cores = f64::from(context.report.cores.count);
    let taken = |pair: &Pair<'_>| {
        let over = (pair.beside.threads() - cores).max(0.0) * pair.beside.seconds;
        over / (cores * (pair.process.ended - pair.process.began)).max(1e-9)
    };
    let pair = pairs(context).find(|pair| {
        pair.inner.kind == GroupKind::Blas && pair.each() >= LOSES && taken(pair) >= TAKEN
    })?;
    let Pair {
        process,
        outer,
        callers,
        inner,
        ..
    } = pair;
    Some(Found {
        evidence: format!(
            "in {} {callers} threads of {} and {} of {} computed, as it seems in turns; but when the one did, threads of the other \
             still wanted cores: {:.1} threads at the same time on average, on {cores} cores",
            name(process),
            outer.name,
            inner.busy,
            inner.name,
            pair.beside.threads()
        ),
        cost: context.waiting(),
        confidence: Confidence::Likely,
        remedies: vec![
            context.with_variables(SLEEP_SOON),
            context.run_with(&limit_of(inner, 1)),
        ],
    })
}

pub(super) fn nested_pools(context: &Context<'_>) -> Option<Found> {
    let Some(Pair {
        process,
        outer,
        callers,
        inner,
        ..
    }) = nested(context)
    else {
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
            "in {} {callers} threads of {} computed, and beside them {} of {}{made}, on {} cores",
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
        remedies: if outer.kind.is_pool() {
            // What happens as often at the same time may be turns that are short, and loops that are long.
            vec![
                context.run_with(&limit_of(inner, 1)),
                context.with_variables(SLEEP_SOON),
            ]
        } else {
            vec![context.run_with(&limit_of(inner, 1))]
        },
    })
}
