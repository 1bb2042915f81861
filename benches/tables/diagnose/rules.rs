//! Twenty sick and twenty healthy runs of each program: does the rule fire, and does none on the healthy ones?

use super::programs::{self, Program};
use super::{chosen, diagnosed, load, place};
use crate::machine;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const RUNS: usize = 20;

/// How often each rule fired, but for the one that must.
type Fired = BTreeMap<String, usize>;

/// The table.
pub fn table() -> String {
    let mut table = String::from(
        "| program | sick by | rule | found in | beside it | healthy by | alarms in | load |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for program in chosen() {
        row(&mut table, program);
    }
    format!(
        "{table}\nSick and healthy in turn, {RUNS} runs of each. Beside it: rules that also fired on sick runs. Load: the load \
         average at the start and at the end of these runs, and in how many of the {} jobs-exceed-cores said that others used the \
         machine, which is left out elsewhere. {}\n",
        2 * RUNS,
        machine()
    )
}

fn row(table: &mut String, program: &Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, report) = (place(folder.path()), folder.path().join("report.json"));
    let before = load();
    let (mut found, mut wrong, mut busy) = (0, 0, 0);
    let (mut beside, mut alarms) = (Fired::new(), Fired::new());
    for _ in 0..RUNS {
        let mut rules = |settings| {
            let ready = place.ready(program, settings, program.few);
            let document = diagnosed(&[], &ready, &report);
            let rules = programs::own_rules(&document);
            busy += usize::from(rules.len() < programs::rules(&document).len());
            (rules, document)
        };
        let (sick, document) = rules(&program.sick);
        let is_found = sick.iter().any(|rule| rule == program.rule);
        if !is_found {
            eprintln!("missed on {}: {document:#}", program.name);
        }
        found += usize::from(is_found);
        for rule in sick.into_iter().filter(|rule| rule != program.rule) {
            *beside.entry(rule).or_default() += 1;
        }
        let (healthy, document) = rules(&program.healthy);
        if !healthy.is_empty() {
            eprintln!("{healthy:?} on {}: {document:#}", program.name);
        }
        wrong += usize::from(!healthy.is_empty());
        for rule in healthy {
            *alarms.entry(rule).or_default() += 1;
        }
    }
    let _ = writeln!(
        table,
        "| {} | {} | {} | {found} of {RUNS} | {} | {} | {wrong} of {RUNS}{} | {before} to {}, {busy} |",
        program.what,
        program.sick.what,
        program.rule,
        if beside.is_empty() {
            "nothing".to_owned()
        } else {
            counted(&beside)
        },
        program.healthy.what,
        if alarms.is_empty() {
            String::new()
        } else {
            format!(": {}", counted(&alarms))
        },
        load()
    );
}

fn counted(fired: &Fired) -> String {
    let all: Vec<String> = fired
        .iter()
        .map(|(rule, count)| format!("{rule} ({count})"))
        .collect();
    all.join(", ")
}
