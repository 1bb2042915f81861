//! What it costs to ask for the cores: by a command, and of the library.

use super::{machine, per_turn, program, shown, whole};
use crate::common::{Spread, spread};
use std::hint::black_box;
use std::process::Command;
use threadctl::cores::System;

const ROUNDS: usize = 201;
/// A kept answer takes nanoseconds and a fresh one up to a millisecond; a round of either is to take about as long.
const KEPT_TURNS: u32 = 100_000;
const FRESH_TURNS: u32 = 10;

/// The table.
pub fn table() -> String {
    let threadctl = program();
    let system = System::this();
    let mut columns = [(); 6].map(|()| Vec::with_capacity(ROUNDS));
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        let nothing = whole(&mut Command::new("/bin/true"));
        let ours = whole(Command::new(&threadctl).arg("cores"));
        let nproc = whole(&mut Command::new("nproc"));
        let kept = per_turn(KEPT_TURNS, || {
            black_box(threadctl::cores().count());
        });
        let fresh = per_turn(FRESH_TURNS, || {
            black_box(system.cores().count());
        });
        if round > 0 {
            let values = [nothing, nproc, ours, ours - nothing, kept, fresh / 1e3];
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
    let [nothing, nproc, ours, over, kept, fresh] = columns.map(spread);
    format!(
        "| asked | unit | time | target |\n| --- | --- | --- | --- |\n\
         | `/bin/true`, whole process | ms | {} | |\n\
         | `nproc`, whole process | ms | {} | |\n\
         | `threadctl cores`, whole process | ms | {} | {} |\n\
         | `threadctl cores` over `/bin/true` | ms | {} | |\n\
         | `threadctl::cores()`, kept answer | ns | {} | {} |\n\
         | `System::this().cores()`, read anew | us | {} | |\n\n\
         Median of {ROUNDS} rounds, quartiles in brackets; every round runs all of them one after the other: each command \
         once, the kept answer {KEPT_TURNS} times, the fresh one {FRESH_TURNS} times. {}\n",
        shown(nothing, 2),
        shown(nproc, 2),
        shown(ours, 2),
        target(ours, 5),
        shown(over, 2),
        shown(kept, 1),
        target(kept, 50),
        shown(fresh, 0),
        machine()
    )
}

/// What was promised, and whether the median keeps it.
fn target(measured: Spread, below: u32) -> String {
    let kept = measured.median < f64::from(below);
    format!("below {below}: {}", if kept { "met" } else { "missed" })
}
