//! Twenty sick and twenty healthy runs of each program: does the rule fire, and does none on the healthy ones?

use super::programs::{self, PROGRAMS};
use super::{diagnosed, load, place};
use crate::machine;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const RUNS: usize = 20;

/// Says that others use the machine, which is no fault of the program.
const OF_THE_MACHINE: &str = "jobs-exceed-cores";

/// The table.
pub fn table() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, report) = (place(folder.path()), folder.path().join("report.json"));
    let before = load();
    let mut table = String::from(
        "| program | sick by | rule | found in | healthy by | alarms in |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    let (mut beside, mut alarms, mut busy) = (BTreeMap::new(), BTreeMap::new(), 0);
    for program in PROGRAMS {
        let (mut found, mut wrong) = (0, 0);
        for _ in 0..RUNS {
            let mut rules = |settings| {
                let ready = place.ready(program, settings, program.few);
                let mut rules = programs::rules(&diagnosed(&[], &ready, &report));
                let all = rules.len();
                rules.retain(|rule| rule != OF_THE_MACHINE);
                busy += usize::from(rules.len() < all);
                rules
            };
            let sick = rules(&program.sick);
            let healthy = rules(&program.healthy);
            found += usize::from(sick.iter().any(|rule| rule == program.rule));
            wrong += usize::from(!healthy.is_empty());
            for rule in sick.into_iter().filter(|rule| rule != program.rule) {
                *beside
                    .entry(format!("{rule} of {}", program.name))
                    .or_insert(0) += 1;
            }
            for rule in healthy {
                *alarms
                    .entry(format!("{rule} of {}", program.name))
                    .or_insert(0) += 1;
            }
        }
        let _ = writeln!(
            table,
            "| {} | {} | {} | {found} of {RUNS} | {} | {wrong} of {RUNS} |",
            program.what, program.sick.what, program.rule, program.healthy.what
        );
    }
    let counted = |rules: &BTreeMap<String, i32>| {
        let all: Vec<String> = rules
            .iter()
            .map(|(rule, count)| format!("{rule} ({count})"))
            .collect();
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    format!(
        "{table}\nFound beside it on sick ones: {}. On healthy ones: {}. Left out is {OF_THE_MACHINE}, which said in {busy} \
         of the runs that others used the machine. Load average {before} at the start and {} at the end. {}\n",
        counted(&beside),
        counted(&alarms),
        load(),
        machine()
    )
}
