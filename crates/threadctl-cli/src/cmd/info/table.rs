//! The report as text, made for 80 columns: a table with a numbered row per runtime, then under the same numbers what
//! does not fit beside the others (files) or needs words (what is not known, and why).
//!
//! Invariant: text that comes from a process or a file passes through `shown`, so that none of it commands the terminal.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use threadctl::diagnose::ProcessReport;
use threadctl::{ConcurrentCallers, Integers, RuntimeInfo, SetterScope};

use crate::out::shown;

/// Where the width of the terminal is not known, or there is none.
const WIDTH: u16 = 80;

/// What stands in the place of an unknown value.
const UNKNOWN: &str = "?";

/// Fields that the table shows, by the names of the JSON. The reasons of all others are in the JSON only.
const SHOWN: &[&str] = &[
    "num_threads",
    "setter_scope",
    "threading_layer",
    "version",
    "architecture",
    "interface",
];

/// The report on this process.
pub(crate) fn of_self(runtimes: &[RuntimeInfo], conflicts: &[String]) -> String {
    if runtimes.is_empty() {
        return "No BLAS or OpenMP library is loaded in this process; --load LIB opens one first.\n"
            .to_owned();
    }
    details(runtimes, conflicts.to_vec())
}

/// The report on another process.
pub(crate) fn of_other(report: &ProcessReport) -> String {
    let mut text = header(report);
    if report.runtimes.is_empty() {
        text.push_str("\nNo BLAS or OpenMP library is loaded in this process.\n");
        text.push_str(&list("Warnings", report.unreadable.clone()));
    } else {
        text.push('\n');
        let notes = report.conflicts.iter().chain(&report.unreadable);
        text.push_str(&details(&report.runtimes, notes.cloned().collect()));
    }
    text
}

/// What is known of the process itself.
fn header(report: &ProcessReport) -> String {
    let mut table = plain_table();
    let cpus = &report.allowed_cpus;
    let variables: Vec<_> = report
        .environment
        .iter()
        .map(|(name, value)| shown(&format!("{name}={value}")))
        .collect();
    let variables = if variables.is_empty() {
        "none that settles a number of threads".to_owned()
    } else {
        variables.join("\n")
    };
    table
        .add_row(["process".to_owned(), report.pid.to_string()])
        .add_row(["threads".to_owned(), report.threads.to_string()])
        .add_row([
            "may run on".to_owned(),
            format!("{} CPUs ({})", cpus.count, cpus.list),
        ])
        .add_row(["started with".to_owned(), variables]);
    // A path of its own line is never wrapped.
    format!(
        "{}\n program       {}\n",
        trimmed(&table),
        shown_path(&report.executable)
    )
}

/// All that is told of runtimes.
fn details(runtimes: &[RuntimeInfo], notes: Vec<String>) -> String {
    [
        overview(runtimes),
        files(runtimes),
        warnings(runtimes, notes),
        unknown(runtimes),
    ]
    .concat()
}

/// One row per runtime.
fn overview(runtimes: &[RuntimeInfo]) -> String {
    let mut table = plain_table();
    let titles = [
        "#", "runtime", "threads", "scope", "layer", "version", "kernels", "integers",
    ];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (index, info) in runtimes.iter().enumerate() {
        table.add_row(vec![
            number(index),
            Cell::new(shown(&info.internal_api)),
            Cell::new(threads(info)),
            Cell::new(match info.setter_scope {
                SetterScope::Unknown => UNKNOWN.to_owned(),
                known => known.to_string(),
            }),
            Cell::new(or_unknown(
                info,
                "threading_layer",
                info.threading_layer.as_deref(),
            )),
            Cell::new(or_unknown(info, "version", info.version.as_deref())),
            Cell::new(or_unknown(
                info,
                "architecture",
                info.architecture.as_deref(),
            )),
            Cell::new(match info.interface.integers {
                Integers::Lp64 => "LP64",
                Integers::Ilp64 => "ILP64",
                _ if info.user_api == "blas" => UNKNOWN,
                _ => "-",
            }),
        ]);
    }
    format!("{}\n", trimmed(&table))
}

/// The file of each; never wrapped, so that they can be copied.
fn files(runtimes: &[RuntimeInfo]) -> String {
    let mut text = String::from("\nFiles:\n");
    for (index, info) in runtimes.iter().enumerate() {
        let statically = if info.prefix.is_empty() {
            " (in the program itself)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            " {}  {}{statically}",
            index + 1,
            shown_path(&info.filepath)
        );
    }
    text
}

/// What can go wrong with these.
fn warnings(runtimes: &[RuntimeInfo], mut lines: Vec<String>) -> String {
    for (index, info) in runtimes.iter().enumerate() {
        if info.concurrent_callers == ConcurrentCallers::Unsafe {
            lines.push(format!(
                "{} ({}) gives wrong results when several threads call it at once",
                index + 1,
                info.internal_api
            ));
        }
    }
    list("Warnings", lines)
}

/// The reasons of the question marks: what several runtimes have in common is said once.
fn unknown(runtimes: &[RuntimeInfo]) -> String {
    // In the order of first appearance, each with the numbers of the runtimes.
    let mut notes: Vec<(Reason<'_>, Vec<String>)> = Vec::new();
    for (index, info) in runtimes.iter().enumerate() {
        for reason in reasons(info) {
            let number = (index + 1).to_string();
            match notes.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, numbers)) => numbers.push(number),
                None => notes.push((reason, vec![number])),
            }
        }
    }
    let mut table = plain_table();
    for (reason, numbers) in notes {
        let text = format!("{}: {}", reason.fields.join(", "), shown(reason.why));
        table.add_row([numbers.join(" "), text]);
    }
    if table.row_count() == 0 {
        return String::new();
    }
    format!("\nNot known:\n{}\n", trimmed(&table))
}

/// Fields that are not known for one reason.
#[derive(PartialEq, Eq)]
struct Reason<'a> {
    fields: Vec<&'static str>,
    why: &'a str,
}

/// Which of the shown fields are not known, by reason.
fn reasons(info: &RuntimeInfo) -> Vec<Reason<'_>> {
    let mut reasons: Vec<Reason<'_>> = Vec::new();
    for field in SHOWN.iter().filter(|field| applies(info, field)) {
        if let Some(why) = info.unknown.get(*field) {
            match reasons.iter_mut().find(|known| known.why == why) {
                Some(known) => known.fields.push(field),
                None => reasons.push(Reason {
                    fields: vec![field],
                    why,
                }),
            }
        }
    }
    reasons
}

/// A titled list; empty for no lines.
fn list(title: &str, lines: Vec<String>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut table = plain_table();
    for line in lines {
        table.add_row(vec![Cell::new("-"), Cell::new(shown(&line))]);
    }
    format!("\n{title}:\n{}\n", trimmed(&table))
}

/// Whether a field says anything of this kind of runtime: the OpenMP standard knows neither versions of
/// implementations nor layers nor kernels.
fn applies(info: &RuntimeInfo, field: &str) -> bool {
    info.user_api == "blas" || !matches!(field, "version" | "threading_layer" | "architecture")
}

fn or_unknown(info: &RuntimeInfo, field: &str, value: Option<&str>) -> String {
    shown(value.unwrap_or(if applies(info, field) { UNKNOWN } else { "-" }))
}

fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

fn threads(info: &RuntimeInfo) -> String {
    match (info.num_threads, info.max_threads) {
        (Some(now), Some(most)) if most > 1 => format!("{now} of {most}"),
        (Some(now), _) => now.to_string(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

fn number(index: usize) -> Cell {
    Cell::new(index + 1).set_alignment(CellAlignment::Right)
}

/// Two spaces between the columns and no lines; no wider than the terminal.
fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let width = table.width().unwrap_or(WIDTH);
    table.set_width(width);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table
}

fn trimmed(table: &Table) -> String {
    table.trim_fmt()
}
