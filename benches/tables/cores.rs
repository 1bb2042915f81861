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
    let load = load();
    let mut columns = [(); 7].map(|()| Vec::with_capacity(ROUNDS));
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        let nothing = whole(&mut Command::new("/bin/true"));
        let before = processor_time();
        let ours = whole(Command::new(&threadctl).arg("cores"));
        let processor = processor_time() - before;
        let nproc = whole(&mut Command::new("nproc"));
        let kept = per_turn(KEPT_TURNS, || {
            black_box(threadctl::cores().count());
        });
        let fresh = per_turn(FRESH_TURNS, || {
            black_box(system.cores().count());
        });
        if round > 0 {
            let over = ours - nothing;
            let values = [nothing, nproc, ours, over, processor, kept, fresh / 1e3];
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
    let [nothing, nproc, ours, over, processor, kept, fresh] = columns.map(spread);
    format!(
        "| asked | unit | time | target |\n| --- | --- | --- | --- |\n\
         | `/bin/true`, whole process | ms | {} | |\n\
         | `nproc`, whole process | ms | {} | |\n\
         | `threadctl cores`, whole process | ms | {} | {} |\n\
         | `threadctl cores` over `/bin/true` | ms | {} | |\n\
         | `threadctl cores`, processor time alone | ms | {} | |\n\
         | `threadctl::cores()`, kept answer | ns | {} | {} |\n\
         | `System::this().cores()`, read anew | us | {} | |\n\n\
         Median of {ROUNDS} rounds, quartiles in brackets; every round runs all of them one after the other: each command \
         once, the kept answer {KEPT_TURNS} times, the fresh one {FRESH_TURNS} times. {} Load average at the start: {load}.\n",
        shown(nothing, 2),
        shown(nproc, 2),
        shown(ours, 2),
        target(ours, 5),
        shown(over, 2),
        shown(processor, 2),
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

/// What the children that have ended took of the processor, in milliseconds. Unlike the time from start to end it holds
/// no waiting for others.
fn processor_time() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: it may be written.
    let done = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    assert_eq!(done, 0, "getrusage");
    // SAFETY: the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let milliseconds = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime)
}

/// How many wanted to run lately: on a machine with more than its cores, times from start to end are the neighbours'.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").expect("/proc/loadavg");
    text.split(' ').next().expect("a number").to_owned()
}
