//! Nested parallelism: what each arrangement takes, against the bound, and how long its threads waited for a core.

use super::waited::Waited;
use super::workload::{Mode, Workload, all};
use super::{
    LIBRARIES, SETTLE, against, children, direct, footnote, libraries, median, path, shared,
};
use crate::common::Case;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use threadctl::dispatch::Pool;
use threadctl::{Limits, Workers};

/// Rounds in turn, and how long one arrangement runs in each, after a warm-up; those of which only the time counts run for
/// the shorter span.
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(700);
const WARM: Duration = Duration::from_millis(200);

/// Set for a child whose main thread is one of the pool's workers.
const HERE: &str = "THREADCTL_BENCH_HERE";

/// Of the bound; of the best static setting; of thread time.
const TARGETS: (f64, f64, f64) = (1.05, 1.02, 3.0);

/// The table, rows from each child.
pub fn table() -> String {
    let mut table = String::from(
        "| library | program | default | BLAS at 1 | best static | region | dispatch | bound, ms | dispatch / bound | \
         dispatch / best static | BLAS at 1 / dispatch | wait: default | BLAS at 1 | region | dispatch |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for library in libraries() {
        table += &children("dispatch-nested", library, &[]);
        if library.key == LIBRARIES[0] {
            table += &children("dispatch-nested", library, &[(HERE, "1")]);
        }
        if library.key == "mkl-rt" {
            table += &children(
                "dispatch-nested",
                library,
                &[("MKL_THREADING_LAYER", "TBB")],
            );
        }
    }
    table
        + &footnote(&format!(
            "Times over the bound (sequential work / cores), medians of {ROUNDS} rounds in turn of {} s each ({} ms for the bound \
             and the static settings with one worker) after {} ms of warm-up; each program ends with a pass of sin over 524,288 elements. Best static: the best of all pairs of 1 or 2 \
             rayon workers and 1 or 2 BLAS threads. Wait: time on a run queue as a share of thread time. Targets: dispatch at \
             most {} of the bound and {} of the best static setting, region and dispatch wait at most {} %.",
            SPAN.as_secs(),
            SHORT.as_millis(),
            WARM.as_millis(),
            TARGETS.0,
            TARGETS.1,
            TARGETS.2
        ))
}

/// One arrangement: its name, rayon's workers, BLAS's own threads (0: through dispatch), how the work runs.
struct Column {
    workers: usize,
    blas: u32,
    mode: Mode,
    span: Duration,
}

/// What a child prints.
pub fn rows(case: &Case) -> String {
    path(case);
    let tbb = tbb();
    let here = std::env::var(HERE).is_ok();
    if here {
        Pool::build_global_here(Workers::ALL).expect("nobody has used it yet");
    }
    let cores = rayon::current_num_threads();
    let most = u32::try_from(cores).expect("few");
    let mut columns = vec![Column {
        workers: 1,
        blas: 1,
        mode: Mode::Sequential,
        span: SHORT,
    }];
    let statics = [
        (cores, most, SPAN),
        (cores, 1, SPAN),
        (1, most, SHORT),
        (1, 1, SHORT),
    ];
    columns.extend(statics.map(|(workers, blas, span)| Column {
        workers,
        blas,
        mode: Mode::Loop,
        span,
    }));
    columns.push(Column {
        workers: cores,
        blas: most,
        mode: Mode::Region,
        span: SPAN,
    });
    columns.push(Column {
        workers: cores,
        blas: 0,
        mode: Mode::Loop,
        span: SPAN,
    });
    let narrow = pool(1);
    let mut text = String::new();
    let only = std::env::var("THREADCTL_BENCH_PROGRAM").unwrap_or_default();
    let programs = all()
        .into_iter()
        .filter(|program| program.name.contains(&only) && !(here && program.is_outside()));
    for mut workload in programs {
        let mut times = vec![Vec::new(); columns.len()];
        let mut waits = vec![Vec::new(); columns.len()];
        for _ in 0..ROUNDS {
            for (at, column) in columns.iter().enumerate() {
                std::thread::sleep(SETTLE);
                let (time, wait) = measure(case, column, &narrow, &mut workload);
                times[at].push(time);
                waits[at].push(wait);
            }
        }
        let time: Vec<f64> = times.iter().map(|times| median(times)).collect();
        let wait: Vec<f64> = waits.iter().map(|waits| 100.0 * median(waits)).collect();
        let bound = time[0] / cores as f64;
        let best = time[1..5].iter().copied().fold(f64::INFINITY, f64::min);
        let (region, dispatch) = (time[5], time[6]);
        let _ = writeln!(
            text,
            "| {}{} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3}{} | {:.3}{} | {:.2} | {:.1} % | {:.1} % | {:.1} %{} | {:.1} %{} |",
            case.label,
            match (tbb, here) {
                (true, _) => ", TBB layer",
                (_, true) => ", main thread in the pool",
                _ => "",
            },
            workload.name,
            time[1] / bound,
            time[2] / bound,
            best / bound,
            region / bound,
            dispatch / bound,
            bound * 1e3,
            dispatch / bound,
            against(dispatch / bound, TARGETS.0, false),
            dispatch / best,
            against(dispatch / best, TARGETS.1, false),
            time[2] / dispatch,
            wait[1],
            wait[2],
            wait[5],
            against(wait[5], TARGETS.2, false),
            wait[6],
            against(wait[6], TARGETS.2, false),
        );
    }
    text
}

/// That span, or what `THREADCTL_BENCH_MS` says, for a quick look while tuning.
fn quick(span: Duration) -> Duration {
    std::env::var("THREADCTL_BENCH_MS").map_or(span, |text| {
        Duration::from_millis(text.parse().expect("a number of milliseconds"))
    })
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool")
}

/// Whether this is MKL over TBB, where a number for the process says nothing and one for a thread does.
fn tbb() -> bool {
    std::env::var("MKL_THREADING_LAYER").is_ok()
}

/// Seconds for one run, and the share of thread time that was waiting.
fn measure(
    case: &Case,
    column: &Column,
    narrow: &rayon::ThreadPool,
    workload: &mut Workload,
) -> (f64, f64) {
    let blas = if column.blas == 0 {
        shared(case)
    } else {
        direct(case)
    };
    let _limit = (column.blas > 0).then(|| {
        Limits::new()
            .user_api("blas", column.blas)
            .limit_process()
            .expect("it can be set")
    });
    let span = quick(column.span);
    let one = column.workers == 1 && column.blas == 1;
    let mut body = || {
        let _of_thread = (one && tbb()).then(|| {
            Limits::new()
                .user_api("blas", 1)
                .limit_thread()
                .expect("MKL has a number for each thread")
        });
        let until = Instant::now() + WARM;
        while Instant::now() < until {
            workload.run(&blas, column.mode);
        }
        let before = Waited::now();
        let start = Instant::now();
        let mut runs = 0;
        while runs == 0 || start.elapsed() < span {
            workload.run(&blas, column.mode);
            runs += 1;
        }
        let time = start.elapsed().as_secs_f64() / f64::from(runs);
        (time, Waited::now().share_since(&before))
    };
    // The caller is no worker, as in most programs, unless `here`.
    if column.workers == 1 {
        narrow.install(body)
    } else {
        body()
    }
}
