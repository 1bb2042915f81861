//! What the allowed CPUs are: cores and their SMT siblings, NUMA nodes, efficiency cores; from sysfs.
//!
//! Invariants: at least 1 core and at most one per CPU; what sysfs does not tell is counted as if every CPU were a core
//! of its own, and said.

use super::cpus::CpuSet;
use super::system::System;
use std::collections::BTreeSet;

const CPU: &str = "/sys/devices/system/cpu";
const NODE: &str = "/sys/devices/system/node";

/// What the CPUs are that a process may run on.
///
/// ```
/// let cores = threadctl::cores();
/// let topology = cores.topology();
/// assert!(topology.physical <= topology.logical);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Topology {
    /// The allowed CPUs, as ranges.
    pub cpus: String,
    /// How many CPUs are allowed, SMT siblings counted.
    pub logical: u32,
    /// How many cores these are: siblings counted once.
    pub physical: u32,
    /// NUMA nodes that have an allowed CPU. 1 where the machine does not tell.
    pub numa_nodes: u32,
    /// How many of the physical cores are efficiency cores: of three kinds, the smallest. `None` where all cores are alike.
    pub efficiency: Option<u32>,
}

/// Looks at the CPUs `allowed`, and returns what is not known in words.
pub(super) fn of(system: &System, allowed: &CpuSet) -> (Topology, Vec<String>) {
    let mut notes = Vec::new();
    let firsts = cores(system, allowed, &mut notes);
    let physical = u32::try_from(firsts.len()).unwrap_or(u32::MAX).max(1);
    let efficiency = efficiency(system, &firsts);
    let numa_nodes = numa_nodes(system, allowed);
    let topology = Topology {
        cpus: allowed.to_string(),
        logical: allowed.count().max(1),
        physical,
        numa_nodes,
        efficiency,
    };
    (topology, notes)
}

/// The first allowed CPU of every core.
fn cores(system: &System, allowed: &CpuSet, notes: &mut Vec<String>) -> BTreeSet<u32> {
    // No siblings are awake: every CPU is a core, without a file read for each.
    if system.line(&format!("{CPU}/smt/active")).as_deref() == Some("0") {
        return allowed.iter().collect();
    }
    let mut firsts = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut untold = 0_u32;
    for cpu in allowed.iter() {
        if !seen.insert(cpu) {
            continue;
        }
        firsts.insert(cpu);
        let folder = format!("{CPU}/cpu{cpu}/topology");
        let siblings = ["core_cpus_list", "thread_siblings_list"]
            .iter()
            .find_map(|name| {
                system
                    .line(&format!("{folder}/{name}"))?
                    .parse::<CpuSet>()
                    .ok()
            })
            .filter(|siblings| siblings.contains(cpu));
        match siblings {
            Some(siblings) => seen.extend(siblings.and(allowed).iter()),
            None => untold += 1,
        }
    }
    if untold > 0 {
        notes.push(format!(
            "{CPU}: the siblings of {untold} CPUs are not told; each is counted as a core"
        ));
    }
    firsts
}

/// How many of these are efficiency cores, if there are several kinds: those of the smallest kind. What lies between (the
/// middle cores of phones) is made for computing and is not counted.
fn efficiency(system: &System, firsts: &BTreeSet<u32>) -> Option<u32> {
    let count = |matches: &dyn Fn(u32) -> bool| {
        let count = firsts.iter().filter(|cpu| matches(**cpu)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    // Intel's hybrids name each kind of performance counters; the second are small cores off the main ring.
    let kinds: Vec<String> = ["cpu_atom", "cpu_lowpower"]
        .iter()
        .filter_map(|kind| system.line(&format!("/sys/devices/{kind}/cpus")))
        .collect();
    if !kinds.is_empty() {
        let atoms: CpuSet = kinds.join(",").parse().ok()?;
        return Some(count(&|cpu| atoms.contains(cpu)));
    }
    // Arm tells the capacity of each; the first CPU's file shows whether it does.
    let capacity = |cpu: u32| -> Option<u64> {
        system
            .line(&format!("{CPU}/cpu{cpu}/cpu_capacity"))?
            .parse()
            .ok()
    };
    capacity(*firsts.first()?)?;
    let capacities: Vec<u64> = firsts.iter().filter_map(|&cpu| capacity(cpu)).collect();
    let (least, most) = (capacities.iter().min()?, capacities.iter().max()?);
    // Capacities of one kind differ too, with the largest frequency of each core; those of two kinds differ by a third
    // and more.
    let is_less = |one: u64, other: u64| one.saturating_mul(4) < other.saturating_mul(3);
    is_less(*least, *most).then(|| {
        let small = capacities.iter().filter(|own| !is_less(*least, **own));
        u32::try_from(small.count()).unwrap_or(u32::MAX)
    })
}

/// The nodes that have one of these CPUs.
fn numa_nodes(system: &System, allowed: &CpuSet) -> u32 {
    let nodes: CpuSet = system
        .line(&format!("{NODE}/online"))
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    if nodes.count() <= 1 {
        return 1;
    }
    let with_allowed = nodes.iter().filter(|node| {
        system
            .line(&format!("{NODE}/node{node}/cpulist"))
            .and_then(|text| text.parse::<CpuSet>().ok())
            .is_some_and(|cpus| !cpus.and(allowed).is_empty())
    });
    u32::try_from(with_allowed.count())
        .unwrap_or(u32::MAX)
        .max(1)
}
