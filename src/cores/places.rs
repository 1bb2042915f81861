//! Where the allowed cores are: the CPUs of each, and its NUMA node, in an order in which the first ones are on as few nodes as
//! possible.
//!
//! Invariants: every allowed CPU is in exactly one place; places of one node stand together, in the order of their CPUs;
//! nodes with more places come first, those of one size in the order of their numbers; a machine that tells of no nodes has
//! one, number 0.

use super::cpus::CpuSet;
use super::system::System;
use super::topology;
use std::collections::BTreeMap;

/// One core that this process may use.
///
/// ```
/// for place in threadctl::cores::System::this().places() {
///     println!("node {}: CPUs {}", place.node, place.cpus);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The allowed CPUs of the core: one, or several that are SMT siblings.
    pub cpus: CpuSet,
    /// Its NUMA node; 0 where the machine tells none.
    pub node: u32,
}

impl System {
    /// The cores that the asking process and thread may use, one by one: those of a node stand together, nodes with many of them
    /// first. Reads everything anew. Quotas and shares, which are numbers and no places, do not count here.
    ///
    /// ```
    /// let system = threadctl::cores::System::this();
    /// let physical = system.cores().topology().physical;
    /// assert_eq!(u32::try_from(system.places().len()).unwrap(), physical);
    /// ```
    pub fn places(&self) -> Vec<Place> {
        // Made from a set, so it can be read.
        let allowed: CpuSet = self.cores().topology().cpus.parse().unwrap_or_default();
        of(self, &allowed)
    }
}

fn of(system: &System, allowed: &CpuSet) -> Vec<Place> {
    let nodes = topology::nodes(system, allowed);
    let node_of = |cpu: u32| {
        let of_cpu = nodes.iter().find(|(_, cpus)| cpus.contains(cpu));
        of_cpu.map_or(0, |(node, _)| *node)
    };
    // What is told of siblings is among the notes of `Cores` already.
    let cores = topology::cores(system, allowed, &mut Vec::new());
    let mut places: Vec<Place> = cores
        .into_iter()
        .map(|(first, cpus)| Place {
            cpus,
            node: node_of(first),
        })
        .collect();
    let mut sizes = BTreeMap::new();
    for place in &places {
        *sizes.entry(place.node).or_insert(0_usize) += 1;
    }
    // Stable: cores of a node stay in their order.
    places.sort_by_key(|place| (usize::MAX - sizes[&place.node], place.node));
    places
}
