//! The explanation as text: the answer, a row per constraint with an arrow at the one that binds, and what was not
//! counted.
//!
//! Invariant: names of groups and values of variables pass through `shown`, so that none of them commands the terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use threadctl::Cores;
use threadctl::cores::Constraint;

use crate::out::shown;

/// All of it.
pub(crate) fn of(cores: &Cores) -> String {
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
    text + &list("Notes", cores.notes()) + &list("Not counted", cores.problems())
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
