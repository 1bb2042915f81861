//! The tables: lines from measured rows, merged with those that BENCHMARKS.md has.
//!
//! Invariant: a row's lines are known by their first cell, so that a run of some rows leaves the others as they are; lines
//! whose row is no more are dropped.

use std::path::Path;

use crate::driver::Line;
use crate::report::{against, between, geometric_mean, machine, rewrite, shown};
use crate::rows::Workload;

const HEAD: &str = "| what | ours, ms | beside | theirs, ms | theirs / ours | target | our run-queue wait | results | rounds |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
/// The most that our threads may wait for a core, of their time.
const MOST_WAIT: f64 = 0.03;
/// What a table says that has lines of earlier runs, as `benches/tables/merge.rs` does.
const SEVERAL: &str = "Rows were taken in more than one run.";
/// The first cell of the line that has the geometric mean.
const MEAN: &str = "geometric mean";

/// The table of a workload with these lines; written to BENCHMARKS.md if asked.
pub fn made(workload: &Workload, lines: &[Line], versions: &str, write: bool) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let name = format!("peers-{}", workload.name);
    let text = std::fs::read_to_string(root.join("BENCHMARKS.md")).expect("BENCHMARKS.md");
    let (_, old, _) = between(&text, &name);
    let new: Vec<String> = lines.iter().map(cells).collect();
    let table = merged(workload, old, &new, versions);
    if write {
        rewrite(&root, &name, |_| table.clone());
    }
    table
}

fn merged(workload: &Workload, old: &str, new: &[String], versions: &str) -> String {
    let mut text = HEAD.to_owned();
    let mut ratios = Vec::new();
    let mut several = "";
    let of = |lines: &[&str], what: &str| -> Vec<String> {
        let begins = format!("| {what} |");
        let of = lines.iter().filter(|line| line.starts_with(&begins));
        of.map(|line| (*line).to_owned()).collect()
    };
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    for row in workload.rows {
        let mut lines = of(&new, row.what);
        if lines.is_empty() {
            lines = of(&old, row.what);
            if !lines.is_empty() {
                several = SEVERAL;
            }
        }
        // Those with a target count; the first of a row's peers has it.
        ratios.extend(
            lines
                .first()
                .filter(|_| row.peers[0].target.is_some())
                .map(|it| ratio(it)),
        );
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if let Some(wanted) = workload.mean.filter(|_| !ratios.is_empty()) {
        let mean = geometric_mean(ratios.iter().copied());
        text.push_str(&format!(
            "| {MEAN} | | | | {mean:.2}{} | {wanted} | | | |\n",
            against(mean, wanted, true)
        ));
    }
    let note = format!(
        "Median, quartiles in brackets. {} {versions} {} {several}",
        workload.note.trim(),
        machine().trim()
    );
    format!("{text}\n{}\n", note.trim())
}

/// The ratio in a line.
fn ratio(line: &str) -> f64 {
    let cell = line.split('|').nth(5).unwrap_or_default();
    let number = cell.trim().split([' ', 'x']).next();
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no ratio in `{line}`"))
}

fn cells(line: &Line) -> String {
    let peer = &line.row.peers[line.peer];
    let missed = peer
        .target
        .map_or("", |target| against(line.ratio.median, target, true));
    // Times of very different sizes stand in one column.
    let digits = |median: f64| if median < 10.0 { 3 } else { 1 };
    format!(
        "| {} | {} | {} | {} | {}{missed} | {} | {:.1} %{} | {} | {} |",
        line.row.what,
        shown(line.ours, digits(line.ours.median)),
        peer.name,
        shown(line.theirs, digits(line.theirs.median)),
        shown(line.ratio, 2),
        peer.target
            .map_or("-".to_owned(), |target| target.to_string()),
        100.0 * line.waited,
        against(line.waited, MOST_WAIT, false),
        match &line.agreed {
            Ok(agreed) => agreed.clone(),
            Err(differ) => format!("**{differ}**"),
        },
        line.rounds,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_some_rows_leaves_the_others_and_drops_what_is_no_more() {
        let workload = &crate::cookbook::WORKLOAD;
        let [first, second] = [workload.rows[0].what, workload.rows[1].what];
        let line = |what: &str, ratio: &str| {
            format!(
                "| {what} | 9.1 [9 to 9] | it | 9.9 [9 to 10] | {ratio} [1 to 2] | - | 0.1 % | equal |"
            )
        };
        let old = [line("gone", "1.0"), line(second, "1.1"), line(first, "1.2")].join("\n");
        let text = merged(workload, &old, &[line(second, "1.3")], "Versions.");
        let rows: Vec<&str> = text.lines().skip(2).take(3).collect();
        assert_eq!(
            rows,
            [
                line(first, "1.2").as_str(),
                line(second, "1.3").as_str(),
                ""
            ]
        );
        assert!(text.contains("Versions.") && text.ends_with(&format!(" {SEVERAL}\n")));
        let all = [line(first, "1.2"), line(second, "1.3")];
        let whole = merged(workload, &text, &all, "Versions.");
        assert!(!whole.contains(SEVERAL), "{whole}");
    }

    #[test]
    fn the_ratio_of_a_line_is_read_back() {
        let line = "| add | 9.1 [9 to 9] | Numba | 9.9 [9 to 10] | 1.08 [1.05 to 1.10] (missed) | 1.2 | 0.1 % | equal |";
        assert!((ratio(line) - 1.08).abs() < 1e-12);
    }
}
