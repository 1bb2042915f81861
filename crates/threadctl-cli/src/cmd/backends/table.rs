//! The answer as text: what programs get, and a row for each backend that has a name.
//!
//! Invariant: paths and messages pass through `shown`, so that none of them commands the terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use threadctl::Integers;
use threadctl::backend::{Available, Backend};

use super::json::complex_return;
use crate::out::shown;

/// All of it.
pub(crate) fn of(current: &threadctl::Result<Backend>, available: &[Available]) -> String {
    let mut text = match current {
        Ok(backend) => opened(*backend),
        Err(error) => {
            let message = error.to_string();
            let lines: Vec<String> = message.lines().map(shown).collect();
            format!("No backend can be opened: {}\n", lines.join("\n  "))
        }
    };
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        // Paths are there to be copied, so nothing is wrapped.
        .set_content_arrangement(ContentArrangement::Disabled);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    let titles = ["name", "libraries"];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for backend in available {
        let found: Vec<String> = backend
            .libraries()
            .iter()
            .flatten()
            .map(|path| shown(&path.display().to_string()))
            .collect();
        let what = if backend.is_installed() {
            found.join(", ")
        } else {
            format!("not installed; it is in {}", backend.install())
        };
        table.add_row(vec![Cell::new(backend.name()), Cell::new(what)]);
    }
    let _ = writeln!(text, "\n{}", table.trim_fmt());
    text
}

fn opened(backend: Backend) -> String {
    let mut text = format!("Programs get {}:\n", shown(&backend.name()));
    for layer in backend.layers() {
        let integers = match layer.integers() {
            Integers::Ilp64 => "64-bit integers",
            _ => "32-bit integers",
        };
        let complex = complex_return(layer.complex_return()).map_or_else(String::new, |how| {
            format!(
                ", complex results in {}",
                if how == "place" {
                    "a place of the caller's"
                } else {
                    how
                }
            )
        });
        let _ = writeln!(
            text,
            "  {} ({integers}, dgemm is {}{complex})",
            shown(&layer.path().display().to_string()),
            shown(&layer.names()[0])
        );
    }
    text
}
