//! From facts to the answer: every constraint, and the smallest of those that bind the process.
//!
//! Invariants: the answer is at least 1 and at most the number of CPUs that are online (where that is known); nothing
//! here reads a file but through [`System`].

use super::cpus::CpuSet;
use super::launcher::{self, Launched};
use super::system::System;
use super::workers::{GRAMMAR, Workers};
use super::{Constraint, Cores, Inner, Kind, cgroup, pinning, ranks, topology, variables};
use crate::budget;
use std::sync::Arc;

const ONLINE: &str = "/sys/devices/system/cpu/online";
const OWN_VARIABLE: &str = "THREADCTL_NUM_THREADS";

/// Asks everything about a process: `self`, or a number.
pub(super) fn collect(system: &System, process: &str) -> Cores {
    let mut problems = Vec::new();
    let mut notes = Vec::new();

    let mut constraints = Vec::new();
    let allowed = allowed(system, process, &mut constraints, &mut notes, &mut problems);
    let (topology, untold) = topology::of(system, &allowed);
    notes.extend(untold);

    let mut launched = launcher::find(system);
    // Of other processes and machines nothing is known of that.
    let budget = if system.is_this() && process == "self" {
        budget::status()
    } else {
        budget::Status::default()
    };
    let own = own_variable(system, &mut problems);
    let machine = least(&constraints);
    let overridden = own.as_ref().is_some_and(Own::overrides);
    constraints.push(physical(&topology, overridden));
    let sharers = if budget.source == Some(ranks::SOURCE) {
        // Nor among its tasks: a rank may use what another one lends.
        launched.task = None;
        notes.push(
            "the node is not divided among its ranks: they share a budget, whose tokens say who computes".to_owned(),
        );
        1
    } else {
        sharers(system, process, &allowed, &launched, &mut notes)
    };

    // What the process may use with every sibling counted, beside the width for compute-bound work.
    let logical = narrow(
        machine.min(topology.logical),
        &launched,
        sharers,
        &budget,
        own.as_ref(),
    )
    .0;
    let width = if overridden {
        machine.min(topology.logical)
    } else {
        machine.min(topology.physical)
    };
    let (count, made) = narrow(width, &launched, sharers, &budget, own.as_ref());
    constraints.extend(made);

    let (hints, wrong) = variables::find(system);
    constraints.extend(hints.into_iter().map(|hint| Constraint {
        kind: Kind::RuntimeVariable,
        limit: hint.limit,
        exact: None,
        source: hint.variable.to_owned(),
        detail: format!(
            "{}={}, for {} alone",
            hint.variable, hint.value, hint.runtime
        ),
        runtime: Some(hint.runtime.to_owned()),
        in_force: own.is_none(),
    }));
    problems.extend(wrong);
    notes.extend(launched.notes);
    notes.extend(told(&budget));
    problems.extend(launched.problems);
    problems.extend(budget.problems);
    let binding = constraints
        .iter()
        .position(|known| known.in_force && known.runtime.is_none() && known.limit <= count)
        .unwrap_or(0);
    Cores {
        inner: Arc::new(Inner {
            count,
            logical,
            binding,
            constraints,
            topology,
            notes,
            problems,
        }),
    }
}

/// The budget, in words.
fn told(budget: &budget::Status) -> Option<String> {
    let source = budget.source?;
    Some(match &budget.auth {
        None => format!("{source}: no budget is shared with other processes"),
        Some(auth) => format!(
            "{source}: in the budget {auth}; cores beyond the first are used as its tokens allow ({} now, {} at most so far)",
            budget.held, budget.peak
        ),
    })
}

fn least(constraints: &[Constraint]) -> u32 {
    constraints
        .iter()
        .map(|known| known.limit)
        .min()
        .unwrap_or(1)
        .max(1)
}

fn of_set(kind: Kind, cpus: &CpuSet, source: &str, what: &str) -> Constraint {
    Constraint::new(kind, cpus.count(), source, format!("{what}: CPUs {cpus}"))
}

/// The CPUs that the process may run on, with the constraints of the machine: sets of CPUs and quotas.
fn allowed(
    system: &System,
    process: &str,
    constraints: &mut Vec<Constraint>,
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> CpuSet {
    let mut allowed = None;
    match parsed(system, ONLINE, |text| Some(text)) {
        Ok(cpus) => {
            constraints.push(of_set(Kind::Online, &cpus, ONLINE, "online"));
            allowed = Some(cpus);
        }
        Err(problem) => problems.push(problem),
    }
    let groups = cgroup::find(system, process);
    notes.extend(groups.notes);
    problems.extend(groups.problems);
    for (source, cpus) in &groups.cpusets {
        constrain(
            &mut allowed,
            cpus,
            Kind::Cpuset,
            source,
            "the group's",
            constraints,
            problems,
        );
    }
    let affinity = |file: &str| {
        parsed(system, file, |text| {
            launcher::field(text, "Cpus_allowed_list:")
        })
    };
    let file = format!("/proc/{process}/status");
    let of_process = affinity(&file);
    match &of_process {
        Ok(cpus) => constrain(
            &mut allowed,
            cpus,
            Kind::Affinity,
            &file,
            "the process's",
            constraints,
            problems,
        ),
        Err(problem) => {
            problems.push(problem.clone());
            if system.is_this() && process == "self" {
                constraints.push(asked_directly());
            }
        }
    }
    let file = "/proc/thread-self/status";
    // A recorded tree may have none; then there is no calling thread to speak of. What this library has bound the thread to
    // is a part of the cores, not their number.
    let is_bound = system.is_this() && pinning::is_bound();
    if process == "self"
        && !is_bound
        && let Ok(cpus) = affinity(file)
        && of_process.as_ref() != Ok(&cpus)
    {
        constrain(
            &mut allowed,
            &cpus,
            Kind::ThreadAffinity,
            file,
            "the calling thread's",
            constraints,
            problems,
        );
    }
    if constraints.is_empty() {
        constraints.push(Constraint::new(
            Kind::Online,
            1,
            "none",
            "nothing could be read".to_owned(),
        ));
    }
    if allowed.is_none() {
        // Which they are is not known, but how many.
        allowed = format!("0-{}", least(constraints) - 1).parse().ok();
    }
    for quota in &groups.quotas {
        let exact = quota.exact();
        let mut constraint = Constraint::new(
            Kind::Quota,
            quota.whole(),
            &quota.source,
            format!(
                "{} of {} microseconds: {:.2} cores",
                quota.quota,
                quota.period,
                // Not rounded up: 1.999 cores are not 2.00.
                (exact * 100.0).floor() / 100.0
            ),
        );
        constraint.exact = Some(exact);
        constraints.push(constraint);
    }
    allowed.unwrap_or_default()
}

/// How many CPUs the process may run on, without a file: for sandboxes that hide `/proc`.
fn asked_directly() -> Constraint {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Constraint::new(
        Kind::Affinity,
        u32::try_from(count).unwrap_or(u32::MAX),
        "available_parallelism",
        "the standard library's answer, since the file cannot be read".to_owned(),
    )
}

/// Reads a set of CPUs out of a file.
fn parsed(
    system: &System,
    file: &str,
    part: impl Fn(&str) -> Option<&str>,
) -> Result<CpuSet, String> {
    let text = system
        .read(file)
        .map_err(|error| format!("{file}: {error}; not counted"))?;
    let list = part(&text).ok_or_else(|| format!("{file}: no list of CPUs in it; not counted"))?;
    match list.parse::<CpuSet>() {
        Ok(cpus) if cpus.is_empty() => {
            Err(format!("{file}: the list of CPUs is empty; not counted"))
        }
        Ok(cpus) => Ok(cpus),
        Err(error) => Err(format!("{file}: {error}; not counted")),
    }
}

/// Narrows `allowed` to `cpus` as well. Only CPUs that are left count: affinity lists name CPUs that do not exist, too.
fn constrain(
    allowed: &mut Option<CpuSet>,
    cpus: &CpuSet,
    kind: Kind,
    source: &str,
    whose: &str,
    constraints: &mut Vec<Constraint>,
    problems: &mut Vec<String>,
) {
    let both = match allowed {
        Some(before) => before.and(cpus),
        None => cpus.clone(),
    };
    if both.is_empty() {
        problems.push(format!(
            "{source}: none of the CPUs {cpus} is left by the other constraints; not counted"
        ));
        return;
    }
    constraints.push(of_set(kind, &both, source, whose));
    *allowed = Some(both);
}

/// The default for compute-bound work.
fn physical(topology: &topology::Topology, overridden: bool) -> Constraint {
    let mut detail = if topology.physical < topology.logical {
        format!(
            "{} CPUs are SMT siblings on {} cores; compute-bound work gains nothing from siblings",
            topology.logical, topology.physical
        )
    } else {
        "each allowed CPU is a core of its own".to_owned()
    };
    if let Some(efficiency) = topology.efficiency {
        detail.push_str(&format!("; {efficiency} are efficiency cores, counted"));
    }
    if topology.numa_nodes > 1 {
        detail.push_str(&format!("; {} NUMA nodes", topology.numa_nodes));
    }
    if overridden {
        detail.push_str(&format!("; set aside by {OWN_VARIABLE}"));
    }
    let mut constraint = Constraint::new(
        Kind::PhysicalCores,
        topology.physical,
        "/sys/devices/system/cpu",
        detail,
    );
    constraint.in_force = !overridden;
    constraint
}

/// Among how many ranks the allowed CPUs are divided; 1 if not at all.
fn sharers(
    system: &System,
    process: &str,
    allowed: &CpuSet,
    launched: &Launched,
    notes: &mut Vec<String>,
) -> u32 {
    let Some(ranks) = &launched.ranks else {
        return 1;
    };
    let size = ranks.size.count;
    // Where the launcher itself may run; Slurm's daemon is not confined to the job.
    let launcher = (ranks.size.launcher != "Slurm")
        .then(|| launcher::launcher_cpus(system, process, ranks.size.variable))
        .flatten()
        .map(|cpus| online_part(system, cpus).count());
    let job = launched.node.iter().map(|told| told.count).min();
    // What all ranks share is no more than either.
    let online = || parsed(system, ONLINE, |text| Some(text)).map_or(0, |cpus| cpus.count());
    let whole = launcher.into_iter().chain(job).min().unwrap_or_else(online);
    let sharers = launcher::sharers(size, allowed.count(), whole);
    if sharers < size {
        notes.push(format!(
            "{}={size}: affinity has divided the node already ({} of {whole} CPUs), so {sharers} of the ranks share them",
            ranks.size.variable,
            allowed.count()
        ));
    }
    sharers
}

fn online_part(system: &System, cpus: CpuSet) -> CpuSet {
    match parsed(system, ONLINE, |text| Some(text)) {
        Ok(online) => online.and(&cpus),
        Err(_) => cpus,
    }
}

/// Applies the launcher's share and the user's own number to a width; the constraints that this makes come with it.
fn narrow(
    width: u32,
    launched: &Launched,
    sharers: u32,
    budget: &budget::Status,
    own: Option<&Own>,
) -> (u32, Vec<Constraint>) {
    let mut made = Vec::new();
    let mut count = width.max(1);
    for told in &launched.node {
        count = count.min(told.count);
        made.push(Constraint::new(
            Kind::Launcher,
            told.count,
            told.variable,
            format!("{}: the job's CPUs on this node", told.launcher),
        ));
    }
    if let Some(ranks) = &launched.ranks
        && sharers > 1
    {
        // Which ranks share a part of the node is not told, so the remainder is given out for a whole one only.
        let rank = ranks.rank.filter(|_| sharers == ranks.size.count);
        let share = launcher::part(count, sharers, rank);
        let whom = rank.map_or_else(String::new, |rank| format!(" (this is rank {rank})"));
        made.push(Constraint::new(
            Kind::Launcher,
            share,
            ranks.size.variable,
            format!(
                "{}: {count} cores for {sharers} ranks{whom}",
                ranks.size.launcher
            ),
        ));
        count = share;
    }
    if let Some(task) = &launched.task {
        count = count.min(task.count);
        made.push(Constraint::new(
            Kind::Launcher,
            task.count,
            task.variable,
            match launched.tasks {
                Some(tasks) if tasks > 1 => {
                    format!(
                        "{}: the CPUs of the {tasks} tasks on this node",
                        task.launcher
                    )
                }
                _ => format!("{}: the CPUs of this task", task.launcher),
            },
        ));
    }
    if let Some(cores) = budget.cores {
        count = count.min(cores);
        let (source, by) = match budget.source {
            Some(ranks::SOURCE) => (ranks::SOURCE, ranks::SOURCE),
            _ => ("THREADCTL_JOBSERVER", "threadctl share"),
        };
        made.push(Constraint::new(
            Kind::Budget,
            cores,
            source,
            format!("{by}: the cores that all processes of the budget have together"),
        ));
    }
    if let Some(own) = own {
        let limit = match own.number {
            Number::AtMost(limit) => limit,
            Number::AllBut(spared) => count.saturating_sub(spared).max(1),
        };
        count = count.min(limit);
        made.push(Constraint::new(
            Kind::Threadctl,
            limit,
            OWN_VARIABLE,
            format!("{OWN_VARIABLE}={}", own.value),
        ));
    }
    (count, made)
}

/// The user's own number.
struct Own {
    number: Number,
    value: String,
}

enum Number {
    AtMost(u32),
    /// -1 is all, -2 all but one, as joblib and SciPy have it.
    AllBut(u32),
}

impl Own {
    /// Whether it stands in the place of the default width: a number that was written down does, a part of the default
    /// does not.
    fn overrides(&self) -> bool {
        matches!(self.number, Number::AtMost(_))
    }
}

fn own_variable(system: &System, problems: &mut Vec<String>) -> Option<Own> {
    let value = system.variable(OWN_VARIABLE)?.trim().to_owned();
    if value.is_empty() {
        return None;
    }
    // One grammar with `Workers::from_env`, which the text goes through.
    let number = value
        .parse::<Workers<'static>>()
        .ok()
        .and_then(|workers| workers.to_string().parse::<i64>().ok())
        .map(|number| {
            let size = u32::try_from(number.unsigned_abs()).unwrap_or(u32::MAX);
            if number > 0 {
                Number::AtMost(size)
            } else {
                Number::AllBut(size.saturating_sub(1))
            }
        });
    if number.is_none() {
        problems.push(format!(
            "{OWN_VARIABLE}={value:?} is not used; accepted is {GRAMMAR}"
        ));
    }
    number.map(|number| Own { number, value })
}
