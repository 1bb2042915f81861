//! The report as text, made for 80 columns: a table with a numbered row per runtime, then under the same numbers what
//! does not fit beside the others (files) or needs words (what is not known, and why).

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use threadctl::{ConcurrentCallers, Integers, RuntimeInfo, SetterScope};

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
pub(crate) fn render(runtimes: &[RuntimeInfo], conflicts: &[String]) -> String {
    let mut text = String::new();
    if runtimes.is_empty() {
        text.push_str(
            "No BLAS or OpenMP library is loaded in this process; --load LIB opens one first.\n",
        );
        return text;
    }
    text.push_str(&overview(runtimes));
    text.push_str(&files(runtimes));
    text.push_str(&warnings(runtimes, conflicts));
    text.push_str(&unknown(runtimes));
    text
}

/// One row per runtime.
pub(crate) fn overview(runtimes: &[RuntimeInfo]) -> String {
    let mut table = plain_table();
    let titles = [
        "#", "runtime", "threads", "scope", "layer", "version", "kernels", "integers",
    ];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (index, info) in runtimes.iter().enumerate() {
        table.add_row(vec![
            number(index),
            Cell::new(&info.internal_api),
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
pub(crate) fn files(runtimes: &[RuntimeInfo]) -> String {
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
            info.filepath.display()
        );
    }
    text
}

/// What can go wrong with these.
pub(crate) fn warnings(runtimes: &[RuntimeInfo], conflicts: &[String]) -> String {
    let mut lines: Vec<String> = conflicts.to_vec();
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

/// The reasons of the question marks, each once per runtime.
pub(crate) fn unknown(runtimes: &[RuntimeInfo]) -> String {
    let mut table = plain_table();
    for (index, info) in runtimes.iter().enumerate() {
        let mut fields_by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
        let shown = SHOWN.iter().filter(|field| applies(info, field));
        for (field, why) in shown.filter_map(|field| Some((*field, info.unknown.get(*field)?))) {
            match fields_by_reason.iter_mut().find(|(known, _)| known == why) {
                Some((_, fields)) => fields.push(field),
                None => fields_by_reason.push((why, vec![field])),
            }
        }
        for (why, fields) in fields_by_reason {
            table.add_row(vec![
                number(index),
                Cell::new(format!("{}: {why}", fields.join(", "))),
            ]);
        }
    }
    if table.row_count() == 0 {
        return String::new();
    }
    format!("\nNot known:\n{}\n", trimmed(&table))
}

/// A titled list; empty for no lines.
pub(crate) fn list(title: &str, lines: Vec<String>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut table = plain_table();
    for line in lines {
        table.add_row(vec![Cell::new("-"), Cell::new(line)]);
    }
    format!("\n{title}:\n{}\n", trimmed(&table))
}

/// Whether a field says anything of this kind of runtime: the OpenMP standard knows neither versions of
/// implementations nor layers nor kernels.
fn applies(info: &RuntimeInfo, field: &str) -> bool {
    info.user_api == "blas" || !matches!(field, "version" | "threading_layer" | "architecture")
}

fn or_unknown<'a>(info: &RuntimeInfo, field: &str, value: Option<&'a str>) -> &'a str {
    value.unwrap_or(if applies(info, field) { UNKNOWN } else { "-" })
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
