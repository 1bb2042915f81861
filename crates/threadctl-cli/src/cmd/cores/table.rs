//! The explanation as text: the answer, a row per constraint with an arrow at the one that binds, and what was not
//! counted.
//!
//! Invariant: names of groups and values of variables pass through `shown`, so that none of them commands the terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use threadctl::Cores;
use threadctl::cores::{Constraint, CpuSet, Place};

use crate::out::shown;

/// All of it; with the places of workers, where the process is this one.
pub(crate) fn of(cores: &Cores, places: Option<&Places>) -> String {
    let topology = cores.topology();
    let mut text = format!(
        "{} {} for compute-bound work, {} with SMT siblings\n",
        cores.count(),
        if cores.count() == 1 { "core" } else { "cores" },
        cores.logical()
    );
    let _ = writeln!(
        text,
        "allowed CPUs {}: {} on {} cores, NUMA nodes: {}\n",
        topology.cpus, topology.logical, topology.physical, topology.numa_nodes
    );
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        // Paths and variables are there to be copied, so nothing is wrapped.
        .set_content_arrangement(ContentArrangement::Disabled);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    let titles = ["", "limit", "constraint", "source", "why"];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    let binding = cores.binding();
    for constraint in cores.constraints() {
        let mark = if std::ptr::eq(constraint, binding) {
            "->"
        } else {
            ""
        };
        table.add_row(vec![
            Cell::new(mark),
            Cell::new(limit(constraint)).set_alignment(CellAlignment::Right),
            Cell::new(constraint.kind),
            Cell::new(shown(&constraint.source)),
            Cell::new(shown(&constraint.detail)),
        ]);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    let places = places.map(placement).unwrap_or_default();
    text + &places + &list("Notes", cores.notes()) + &list("Not counted", cores.problems())
}

/// Where workers of pools run.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) places: Vec<Place>,
    /// What `THREADCTL_PIN` says.
    pub(crate) pinned: bool,
}

/// A line for each NUMA node, in the order in which workers get their cores.
fn placement(places: &Places) -> String {
    let (word, consequence) = if places.pinned {
        (
            "on",
            "each worker of a pool is bound to one core, in this order",
        )
    } else {
        (
            "off",
            "workers run on any of these; with it on, each has one core, in this order",
        )
    };
    let mut text = format!("\nPlacement (THREADCTL_PIN is {word}: {consequence}):\n");
    let mut first = 0;
    for node in places.places.chunk_by(|one, other| one.node == other.node) {
        let cpus: CpuSet = node.iter().flat_map(|place| place.cpus.iter()).collect();
        let next = first + node.len();
        let workers = match node.len() {
            1 => format!("worker {first}"),
            _ => format!("workers {first} to {}", next - 1),
        };
        let _ = writeln!(text, "  node {}: {workers}, CPUs {cpus}", node[0].node);
        first = next;
    }
    text
}

/// The number, or that it does not count for the process.
fn limit(constraint: &Constraint) -> String {
    if constraint.in_force && constraint.runtime.is_none() {
        constraint.limit.to_string()
    } else {
        format!("({})", constraint.limit)
    }
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}:\n");
    for line in lines {
        let _ = writeln!(text, "  {}", shown(line));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use threadctl::cores::System;

    #[test]
    fn placement_is_told_node_by_node_in_the_order_of_workers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("sys/devices/system/cpu/online", "0-7\n");
        write("sys/devices/system/cpu/smt/active", "0\n");
        write("proc/self/status", "Cpus_allowed_list:\t3-7\n");
        write("sys/devices/system/node/online", "0-1\n");
        write("sys/devices/system/node/node0/cpulist", "0-3\n");
        write("sys/devices/system/node/node1/cpulist", "4-7\n");
        let places = System::recorded(folder.path(), [("", "")]).places();
        let text = placement(&Places {
            places,
            pinned: true,
        });
        let lines: Vec<&str> = text.trim_start().lines().collect();
        assert!(
            lines[0].starts_with("Placement (THREADCTL_PIN is on: each worker"),
            "{text}"
        );
        assert_eq!(lines[1], "  node 1: workers 0 to 3, CPUs 4-7");
        assert_eq!(lines[2], "  node 0: worker 4, CPUs 3");
        assert_eq!(lines.len(), 3);
    }
}
