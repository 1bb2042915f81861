//! What `threadctl tune` tells: a table of old and new numbers, or a document. A change to the document that takes a
//! field away or gives it another meaning needs a new number in [`SCHEMA`]; new fields do not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};
use serde::Serialize;
use threadctl::dispatch::Blas;
use threadctl::dispatch::tuning::{Least, Unit};

use super::measure::{Found, Point};
use crate::out::shown;

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.tune/1";

/// All that was found out.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    library: Library,
    /// How many cores a call can be shared between.
    cores: usize,
    /// Where the numbers belong.
    file: PathBuf,
    /// Whether they were written there.
    pub(crate) written: bool,
    /// Why not.
    pub(crate) reason: Option<String>,
    /// The part of the cores' time that others had, as the median of what was seen.
    pub(crate) taken_by_others: Option<f64>,
    pub(crate) routines: Vec<Routine>,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Library {
    /// Its words in the file.
    internal_api: String,
    version: String,
    architecture: String,
    filepath: PathBuf,
}

/// A family of routines.
#[derive(Debug, Serialize)]
pub(crate) struct Routine {
    routine: &'static str,
    /// `pairs` or `bytes`.
    unit: String,
    /// From how much on a call was and is shared; null: never.
    before: Option<usize>,
    now: Option<usize>,
    points: Vec<Point>,
}

impl Document {
    /// With nothing measured yet.
    pub(crate) fn new(blas: &Blas, cores: usize, file: &Path) -> Self {
        let [internal_api, version, architecture] = blas.name().words().map(str::to_owned);
        let opened = blas
            .runtime()
            .map_or(blas.path(), |runtime| runtime.filepath());
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            library: Library {
                internal_api,
                version,
                architecture,
                filepath: opened.to_owned(),
            },
            cores,
            file: file.to_owned(),
            written: false,
            reason: None,
            taken_by_others: None,
            routines: Vec::new(),
        }
    }

    /// Adds what was found; `before` is what held until now.
    pub(crate) fn add(&mut self, found: Found, before: usize) {
        let known = |least| (least != Least::NEVER).then_some(least);
        self.routines.push(Routine {
            routine: found.family.name(),
            unit: found.family.unit().to_string(),
            before: known(before),
            now: known(found.least),
            points: found.points,
        });
    }

    /// As text.
    pub(crate) fn render(&self) -> String {
        let Library {
            internal_api,
            version,
            architecture,
            filepath,
        } = &self.library;
        let mut text = format!(
            "{}\n{}\n\n",
            shown(&format!(
                "{internal_api} {version} {architecture}, {} cores",
                self.cores
            )),
            shown(&filepath.to_string_lossy())
        );
        if !self.routines.is_empty() {
            let _ = writeln!(text, "{}\n", self.table().trim_fmt());
        }
        let file = shown(&self.file.to_string_lossy());
        match &self.reason {
            None => {
                let _ = writeln!(text, "Written to {file}.");
            }
            Some(reason) => {
                let _ = writeln!(text, "Nothing is written: {reason}.");
            }
        }
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let titles = ["routine", "shared from", "before", "one core", "shared"];
        table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            table.force_no_tty();
        }
        for routine in &self.routines {
            // At the size from which on it is shared, or at the largest if at none.
            let point = match routine.now {
                Some(least) => routine.points.iter().find(|point| point.amount == least),
                None => routine.points.last(),
            };
            let time = |time: fn(&Point) -> f64| {
                point.map_or_else(String::new, |point| duration(time(point)))
            };
            let cells = [
                amount(&routine.unit, routine.now),
                amount(&routine.unit, routine.before),
                time(|point| point.alone),
                time(|point| point.shared),
            ];
            let cells = cells.map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
            table.add_row([Cell::new(routine.routine)].into_iter().chain(cells));
        }
        table
    }
}

/// How much in words: the order of square matrices for pairs.
fn amount(unit: &str, least: Option<usize>) -> String {
    match least {
        None => "never".to_owned(),
        Some(pairs) if unit == Unit::Pairs.to_string() => {
            format!("{:.0}^3 pairs", (pairs as f64).cbrt())
        }
        Some(bytes) => format!("{} KiB", bytes.div_ceil(1024)),
    }
}

fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.1} us", seconds * 1e6)
    } else {
        format!("{:.2} ms", seconds * 1e3)
    }
}
