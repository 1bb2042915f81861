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

/// The table: for each library and group the geometric mean, and every call that misses the group's target.
pub fn table() -> String {
    let mut table = String::from(
        "| library | calls | how many | geometric mean | lowest | below the target |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut whole = String::from(
        "\n| library | call | one thread, us | own threads | shared | shared / own |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for library in libraries() {
        let text = children("dispatch-calls", library, &[]);
        let (summary, calls) = text.split_once("\n\n").expect("two parts");
        for line in summary.lines().filter(|line| !line.is_empty()) {
            table += line;
            table += "\n";
        }
        whole += calls;
    }
    table
        + &whole
        + &footnote(&format!(
            "Speed-ups over the library at one thread, medians of {ROUNDS} rounds in turn of {} ms each; shared / own is the \
             median of the rounds' ratios, quartiles in brackets. Own threads: as many as cores.",
            SPAN.as_millis()
        ))
}

/// What a child prints: the summary's rows (none where only some calls were asked for), an empty line, a row for each call.
pub fn rows(case: &Case) -> String {
    path(case);
    let mut buffers = Buffers::new();
    let calls: Vec<_> = all().into_iter().filter(wanted).collect();
    let mut results = Vec::new();
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
        results.push((call, ratio.median));
    }
    let summary = if some_only() {
        "\n".to_owned()
    } else {
        summary(case, &results)
    };
    summary + "\n" + &text
}

/// Which calls are asked for, names with commas between them, for a second look.
const ASKED: &str = "THREADCTL_BENCH_CALLS";

fn some_only() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Whether [`ASKED`] has it, or there is no such variable.
fn wanted(call: &Call) -> bool {
    std::env::var(ASKED).map_or(true, |names| names.split(',').any(|name| name == call.name))
}

fn summary(case: &Case, results: &[(&Call, f64)]) -> String {
    let mut text = String::new();
    for &group in Group::ALL {
        let of: Vec<_> = results
            .iter()
            .filter(|(call, _)| call.group == group)
            .collect();
        let mean = geometric_mean(of.iter().map(|(_, ratio)| *ratio));
        let lowest = of
            .iter()
            .map(|(_, ratio)| *ratio)
            .fold(f64::INFINITY, f64::min);
        let (least, wanted) = group.targets();
        let below = of.iter().filter(|(_, ratio)| *ratio < least).count();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {mean:.3}{} | {lowest:.3} | {below} below {least} |",
            case.label,
            group.name(),
            of.len(),
            wanted.map_or("", |wanted| against(mean, wanted, true)),
        );
    }
    text
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
