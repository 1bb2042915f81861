//! Each sick program, and the same after the remedy that its report printed: faster, and clean?

use super::programs;
use super::{chosen, clean, diagnosed, ended_well, number, place};
use crate::common::spread;
use crate::{machine, shown};
use std::fmt::Write as _;

const ROUNDS: usize = 5;

/// The table.
pub fn table() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, report) = (place(folder.path()), folder.path().join("report.json"));
    let mut table = String::from(
        "| program | found | remedy | before, s | after, s | speed-up | run-queue wait | found after it |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for program in chosen() {
        let ready = place.ready(program, &program.sick, program.many);
        let (mut before, mut after, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        let mut waits = [Vec::new(), Vec::new()];
        let mut said = String::new();
        let mut left: Vec<String> = Vec::new();
        let mut missed = 0;
        for _ in 0..ROUNDS {
            let sick = diagnosed(&[], &ready, &report);
            if !programs::rules(&sick)
                .iter()
                .any(|rule| rule == program.rule)
            {
                missed += 1;
                continue;
            }
            let remedy = programs::remedy(&sick, program.rule).to_owned();
            let mut shell = place.shell(&remedy, Some(&report));
            clean(&mut shell).envs(ready.environment.iter().cloned());
            let cured = ended_well(&mut shell, &report);
            left.extend(programs::rules(&cured));
            let [slow, fast] = [&sick, &cured].map(|document| number(&document["wall_seconds"]));
            before.push(slow);
            after.push(fast);
            ratio.push(slow / fast);
            for (waits, document) in waits.iter_mut().zip([&sick, &cured]) {
                waits.push(100.0 * number(&document["wait"]["share"]));
            }
            said = shortened(&remedy, &ready.words[0]);
        }
        left.sort();
        left.dedup();
        if ratio.is_empty() {
            let _ = writeln!(
                table,
                "| {} | {}: missed in all | | | | | | |",
                program.what, program.rule
            );
            continue;
        }
        let [wait_before, wait_after] = waits.map(|waits| spread(waits).median);
        let _ = writeln!(
            table,
            "| {} | {} | `{said}` | {} | {} | {} | {wait_before:.0} % to {wait_after:.0} % | {} |",
            program.what,
            if missed == 0 {
                program.rule.to_owned()
            } else {
                format!("{}: missed in {missed} of {ROUNDS}", program.rule)
            },
            shown(spread(before), 2),
            shown(spread(after), 2),
            shown(spread(ratio), 2),
            if left.is_empty() {
                "nothing".to_owned()
            } else {
                left.join(", ")
            }
        );
    }
    format!(
        "{table}\nMedian of {ROUNDS} rounds, before and after in turn, quartiles in brackets. The remedies are taken from the \
         JSON reports and given to a shell; the program's own words are left out here. {}\n",
        machine()
    )
}

/// Without the program's path and what follows it.
fn shortened(remedy: &str, program: &str) -> String {
    match remedy.split_once(program) {
        Some((before, _)) => format!("{before}..."),
        None => remedy.to_owned(),
    }
}
