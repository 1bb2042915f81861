//! What the allowed CPUs are: cores and their SMT siblings, NUMA nodes, efficiency cores; from sysfs.
//!
//! Invariants: at least 1 core and at most one per CPU; what sysfs does not tell is counted as if every CPU were a core
//! of its own, and said.

use super::cpus::CpuSet;
use super::system::System;
use std::collections::{BTreeMap, BTreeSet};

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
    let firsts: BTreeSet<u32> = cores(system, allowed, &mut notes).into_keys().collect();
    let physical = u32::try_from(firsts.len()).unwrap_or(u32::MAX).max(1);
    let efficiency = efficiency(system, &firsts);
    let numa_nodes = u32::try_from(nodes(system, allowed).len()).unwrap_or(u32::MAX);
    let topology = Topology {
        cpus: allowed.to_string(),
        logical: allowed.count().max(1),
        physical,
        numa_nodes: numa_nodes.max(1),
        efficiency,
    };
    (topology, notes)
}

/// The allowed CPUs of every core, by the first of them.
pub(super) fn cores(
    system: &System,
    allowed: &CpuSet,
    notes: &mut Vec<String>,
) -> BTreeMap<u32, CpuSet> {
    let alone = |cpu: u32| CpuSet::from_iter([cpu]);
    // No siblings are awake: every CPU is a core, without a file read for each.
    if system.line(&format!("{CPU}/smt/active")).as_deref() == Some("0") {
        return allowed.iter().map(|cpu| (cpu, alone(cpu))).collect();
    }
    let mut cores = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut untold = 0_u32;
    for cpu in allowed.iter() {
        if !seen.insert(cpu) {
            continue;
        }
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
        let own = siblings.map(|siblings| {
            let own = siblings.and(allowed);
            // A CPU that an earlier core has named stays that core's, whatever this file says.
            CpuSet::from_iter(
                own.iter()
                    .filter(|other| *other == cpu || seen.insert(*other)),
            )
        });
        untold += u32::from(own.is_none());
        cores.insert(cpu, own.unwrap_or_else(|| alone(cpu)));
    }
    if untold > 0 {
        notes.push(format!(
            "{CPU}: the siblings of {untold} CPUs are not told; each is counted as a core"
        ));
    }
    cores
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

/// The nodes that have one of these CPUs, each with those that it has; none where the machine has one node, or tells none.
pub(super) fn nodes(system: &System, allowed: &CpuSet) -> Vec<(u32, CpuSet)> {
    let nodes: CpuSet = system
        .line(&format!("{NODE}/online"))
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    if nodes.count() <= 1 {
        return Vec::new();
    }
    let own = |node: u32| {
        let text = system.line(&format!("{NODE}/node{node}/cpulist"))?;
        let cpus = text.parse::<CpuSet>().ok()?.and(allowed);
        (!cpus.is_empty()).then_some((node, cpus))
    };
    nodes.iter().filter_map(own).collect()
}
