//! Single calls: shared on rayon, against the same library's own threads.

use super::cases::{Buffers, Call, Group, all};
use super::{
    SETTLE, against, children, direct, footnote, geometric_mean, libraries, median, path, shared,
};
use crate::common::{Case, spread};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use threadctl::Limits;
use threadctl::dispatch::Blas;

/// Rounds in turn, and how long one side runs in each.
const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_millis(40);

/// The heads of the two tables.
const SUMMARY: &str = "| library | calls | how many | geometric mean | lowest | below the target |\n\
                       | --- | --- | --- | --- | --- | --- |\n";
const CALLS: &str = "| library | call | one thread, us | own threads | shared | shared / own |\n\
                     | --- | --- | --- | --- | --- | --- |\n";

/// The table: for each library and group the geometric mean, which [`finish`] puts there, and every call.
pub fn table() -> String {
    let rows: String = libraries()
        .map(|library| children("dispatch-calls", library, &[]))
        .collect();
    let note = footnote(&format!(
        "Speed-ups over the library at one thread, medians of {ROUNDS} rounds in turn of {} ms each; shared / own is the \
         median of the rounds' ratios, quartiles in brackets. Own threads: as many as cores.",
        SPAN.as_millis()
    ));
    format!("{SUMMARY}\n{CALLS}{rows}{note}")
}

/// The table with the summary of the rows that it has, however many runs they are from.
pub fn finish(table: &str) -> String {
    let (_, rest) = table.split_once(CALLS).expect("the table of calls");
    let calls = all();
    let rows: Vec<(&str, Group, f64)> = rest
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let call = calls.iter().find(|call| call.name == cells[2]);
            let ratio = cells[6].split(' ').next().expect("a figure");
            let ratio = ratio.parse().expect("a figure");
            (cells[1], call.expect("a call").group, ratio)
        })
        .collect();
    let summary: String = rows
        .chunk_by(|one, next| one.0 == next.0)
        .flat_map(|of_library| {
            Group::ALL
                .iter()
                .filter_map(|&group| summary(of_library, group))
        })
        .collect();
    format!("{SUMMARY}{summary}\n{CALLS}{rest}")
}

/// The summary's row of one library and group, if there are such calls.
fn summary(of_library: &[(&str, Group, f64)], group: Group) -> Option<String> {
    let of: Vec<f64> = of_library
        .iter()
        .filter(|row| row.1 == group)
        .map(|row| row.2)
        .collect();
    let lowest = of.iter().copied().reduce(f64::min)?;
    let (least, wanted) = group.targets();
    let mean = geometric_mean(of.iter().copied());
    Some(format!(
        "| {} | {} | {} | {mean:.3}{} | {lowest:.3} | {} below {least} |\n",
        of_library[0].0,
        group.name(),
        of.len(),
        wanted.map_or("", |wanted| against(mean, wanted, true)),
        of.iter().filter(|ratio| **ratio < least).count(),
    ))
}

/// What a child prints: a row for each call.
pub fn rows(case: &Case) -> String {
    path(case);
    let mut buffers = Buffers::new();
    let calls: Vec<_> = all().into_iter().filter(wanted).collect();
    let cores = u32::try_from(rayon::current_num_threads()).expect("few");
    let mut text = String::new();
    for call in &calls {
        let mut times = [(); 3].map(|()| Vec::new());
        for _ in 0..ROUNDS {
            let own = {
                let blas = direct(case);
                let _all = Limits::new()
                    .user_api("blas", cores)
                    .limit_process()
                    .expect("it can be set");
                time(&blas, call, &mut buffers)
            };
            std::thread::sleep(SETTLE);
            let ours = time(&shared(case), call, &mut buffers);
            let one = {
                let blas = direct(case);
                let _one = Limits::new()
                    .user_api("blas", 1)
                    .limit_process()
                    .expect("it can be set");
                time(&blas, call, &mut buffers)
            };
            for (times, time) in times.iter_mut().zip([own, ours, one]) {
                times.push(time);
            }
        }
        let ratio = spread(
            times[0]
                .iter()
                .zip(&times[1])
                .map(|(own, ours)| own / ours)
                .collect(),
        );
        let [own, ours, one] = times.map(|times| median(&times));
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.2} | {:.2} | {:.3} [{:.3} to {:.3}]{} |",
            case.label,
            call.name,
            one * 1e6,
            one / own,
            one / ours,
            ratio.median,
            ratio.low,
            ratio.high,
            against(ratio.median, call.group.targets().0, true)
        );
        eprintln!("{} {}: {:.3}", case.key, call.name, ratio.median);
    }
    text
}

/// Which calls are asked for, names with commas between them, for a second look.
const ASKED: &str = "THREADCTL_BENCH_CALLS";

/// Whether [`ASKED`] has it, or there is no such variable.
fn wanted(call: &Call) -> bool {
    std::env::var(ASKED).map_or(true, |names| names.split(',').any(|name| name == call.name))
}

/// Seconds for one call: the median of calls made for a while, after one that warms up.
fn time(blas: &Blas, call: &Call, buffers: &mut Buffers) -> f64 {
    (call.run)(blas, buffers);
    let mut sample = Vec::new();
    let begin = Instant::now();
    while sample.len() < 3 || begin.elapsed() < SPAN && sample.len() < 400 {
        let start = Instant::now();
        (call.run)(blas, buffers);
        sample.push(start.elapsed().as_secs_f64());
    }
    median(&sample)
}
