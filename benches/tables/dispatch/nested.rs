//! Nested parallelism: what each arrangement takes, against the bound, and how long its threads waited for a core.

use super::waited::Waited;
use super::workload::{Mode, Workload, all};
use super::{
    LIBRARIES, SETTLE, against, children, direct, footnote, libraries, median, path, shared,
};
pub(crate) use crate::asked;
use crate::common::{Case, shown, spread};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use threadctl::dispatch::Pool;
use threadctl::{Limits, Workers};

/// Rounds in turn, and how long one arrangement runs in each, after a warm-up; those of which only the time counts run for
/// the shorter span.
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(700);
const WARM: Duration = Duration::from_millis(200);
const BUSY_ROUNDS: usize = 25;

/// Set for a child whose main thread is one of the pool's workers.
const HERE: &str = "THREADCTL_BENCH_HERE";

/// Of the bound; of the best static setting; of thread time.
const TARGETS: (f64, f64, f64) = (1.05, 1.02, 3.0);

/// What every table of nested programs begins with.
pub const HEAD: &str = "| library | program | default | BLAS at 1 | best static | region | dispatch | bound, ms | dispatch / bound | \
     dispatch / best static | BLAS at 1 / dispatch | wait: default | BLAS at 1 | region | dispatch |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// And the table under it.
const BUSY_HEAD: &str = "| library | what | figure |\n| --- | --- | --- |\n";

/// What is under such a table.
pub fn legend((bound, best, wait): (f64, f64, f64), what: &str) -> String {
    footnote(&format!(
        "Times over the bound (sequential work / cores), medians of {ROUNDS} rounds in turn of {} s each ({} ms for the bound \
         and the static settings with one worker) after {} ms of warm-up; {what} Best static: the best of all pairs of 1 or 2 \
         rayon workers and 1 or 2 BLAS threads. Wait: time on a run queue as a share of thread time. Targets: dispatch at \
         most {bound} of the bound and {best} of the best static setting, region and dispatch wait at most {wait} %.",
        SPAN.as_secs(),
        SHORT.as_millis(),
        WARM.as_millis(),
    ))
}

/// The table, rows from each child.
pub fn table() -> String {
    let mut table = String::from(HEAD);
    let mut busy = String::from(BUSY_HEAD);
    for library in libraries() {
        let kinds: &[&[(&str, &str)]] = match library.key {
            "mkl-rt" => &[&[], &[("MKL_THREADING_LAYER", "TBB")]],
            key if key == LIBRARIES[0] => &[&[], &[(HERE, "1")]],
            _ => &[&[]],
        };
        for environment in kinds {
            let text = children("dispatch-nested", library, environment);
            // No rows, where the programs asked for are not for this.
            let (rows, row) = text.split_once("\n\n").unwrap_or(("", text.trim_start()));
            table.extend(rows.lines().flat_map(|line| [line, "\n"]));
            busy += row;
        }
    }
    table
        + "\n"
        + &busy
        + &legend(
            TARGETS,
            "each program ends with a pass of sin over 524,288 elements.",
        )
}

/// One arrangement: its name, rayon's workers, BLAS's own threads (0: through dispatch), how the work runs.
pub struct Column {
    pub workers: usize,
    pub blas: u32,
    pub mode: Mode,
    span: Duration,
}

impl Column {
    /// What they are compared in: the bound, four static settings, regions, dispatch.
    pub fn all(cores: usize) -> [Column; 7] {
        let most = u32::try_from(cores).expect("few");
        let column = |workers, blas, mode, span| Column {
            workers,
            blas,
            mode,
            span,
        };
        [
            column(1, 1, Mode::Sequential, SHORT),
            column(cores, most, Mode::Loop, SPAN),
            column(cores, 1, Mode::Loop, SPAN),
            column(1, most, Mode::Loop, SHORT),
            column(1, 1, Mode::Loop, SHORT),
            column(cores, most, Mode::Region, SPAN),
            column(cores, 0, Mode::Loop, SPAN),
        ]
    }
}

/// What was measured of one program: seconds for a run and the share of thread time that was waiting, for each column.
/// A column that was left out is infinite.
#[derive(Default)]
pub struct Measured([Vec<(f64, f64)>; 7]);

impl Measured {
    /// All columns in turn, round after round.
    pub fn new(cores: usize, mut measure: impl FnMut(&Column) -> (f64, f64)) -> Self {
        let mut measured = Measured::default();
        for _ in 0..ROUNDS {
            for (column, results) in Column::all(cores).iter().zip(&mut measured.0) {
                std::thread::sleep(SETTLE);
                results.push(measure(column));
            }
        }
        measured
    }

    pub fn row(&self, cores: usize, label: &str, name: &str, targets: (f64, f64, f64)) -> String {
        let part = |of: fn(&(f64, f64)) -> f64| {
            (self.0.each_ref()).map(|results| median(&results.iter().map(of).collect::<Vec<_>>()))
        };
        let time = part(|result| result.0);
        let wait = part(|result| 100.0 * result.1);
        let bound = time[0] / cores as f64;
        let best = time[1..5].iter().copied().fold(f64::INFINITY, f64::min);
        let (region, dispatch) = (time[5], time[6]);
        format!(
            "| {label} | {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3}{} | {:.3}{} | {:.2} | {:.1} % | {:.1} % | {:.1} %{} | {:.1} %{} |\n",
            time[1] / bound,
            time[2] / bound,
            best / bound,
            region / bound,
            dispatch / bound,
            bound * 1e3,
            dispatch / bound,
            against(dispatch / bound, targets.0, false),
            dispatch / best,
            against(dispatch / best, targets.1, false),
            time[2] / dispatch,
            wait[1],
            wait[2],
            wait[5],
            against(wait[5], targets.2, false),
            wait[6],
            against(wait[6], targets.2, false),
        )
    }
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
    let narrow = pool(1);
    let label = match (tbb, here) {
        (true, _) => ", TBB layer",
        (_, true) => ", main thread in the pool",
        _ => "",
    };
    let mut text = String::new();
    let programs = all()
        .into_iter()
        .filter(|program| asked(program.name) && !(here && program.is_outside()));
    for mut workload in programs {
        let measured = Measured::new(cores, |column| {
            measure(case, column, &narrow, &mut workload)
        });
        let label = format!("{}{label}", case.label);
        text += &measured.row(cores, &label, workload.name, TARGETS);
    }
    text + "\n" + &busy(case, label) + &uncoordinated(case, label, &narrow)
}

/// What the bound leaves out: how much longer one thread takes where the other cores are as busy as its own. Products of 512 and
/// a pass, a copy for each core, over the same on one core alone.
fn busy(case: &Case, label: &str) -> String {
    const COPIES: &str = "8 of 512";
    let cores = rayon::current_num_threads();
    let copies: Vec<Mutex<Workload>> = (0..cores).map(|_| Mutex::new(named(COPIES))).collect();
    let blas = direct(case);
    let _one = Column::all(cores)[0].limit();
    let (alone, together) = (pool(1), pool(cores));
    let time = |pool: &rayon::ThreadPool| {
        let start = Instant::now();
        pool.broadcast(|worker| {
            let _of_thread = tbb().then(one_here);
            let mut copy = copies[worker.index()].lock().expect("nobody panics");
            copy.run(&blas, Mode::Sequential);
        });
        start.elapsed().as_secs_f64()
    };
    time(&together);
    let ratios = (0..BUSY_ROUNDS)
        .map(|_| time(&together) / time(&alone))
        .collect();
    format!(
        "| {}{label} | {COPIES} on each core at once, over on one alone | {} |\n",
        case.label,
        shown(spread(ratios), 3)
    )
}

/// What nobody coordinates: run-queue wait where each worker's calls have more and more threads of the library's own.
fn uncoordinated(case: &Case, label: &str, narrow: &rayon::ThreadPool) -> String {
    const PROGRAM: &str = "16 of 256";
    let cores = rayon::current_num_threads();
    let mut program = named(PROGRAM);
    let mut text = String::new();
    for blas in [2, 4, 8] {
        let column = Column {
            workers: cores,
            blas,
            mode: Mode::Loop,
            span: SPAN,
        };
        std::thread::sleep(SETTLE);
        let (_, wait) = measure(case, &column, narrow, &mut program);
        text += &format!(
            "| {}{label} | wait of {PROGRAM} at {cores} x {blas} threads | {:.1} % |\n",
            case.label,
            100.0 * wait
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

pub fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool")
}

/// Whether this is MKL over TBB, where a number for the process says nothing and one for a thread does.
fn tbb() -> bool {
    std::env::var("MKL_THREADING_LAYER").is_ok()
}

/// The calling thread's own number, where one for the process says nothing.
fn one_here() -> threadctl::ThreadGuard {
    Limits::new()
        .user_api("blas", 1)
        .limit_thread()
        .expect("MKL has a number for each thread")
}

/// The program of that name.
fn named(name: &str) -> Workload {
    let mut programs = all().into_iter();
    let found = programs.find(|program| program.name == name);
    found.expect("it is one of them")
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
    let _limit = column.limit();
    let one = column.workers == 1 && column.blas == 1;
    column.time(narrow, &mut || {
        let _of_thread = (one && tbb()).then(one_here);
        workload.run(&blas, column.mode);
    })
}

impl Column {
    /// The library held at the column's threads, if it has its own.
    pub fn limit(&self) -> Option<threadctl::ProcessGuard> {
        (self.blas > 0).then(|| {
            Limits::new()
                .user_api("blas", self.blas)
                .limit_process()
                .expect("it can be set")
        })
    }

    /// Runs the program again and again: seconds for one run, and the share of thread time that was waiting.
    pub fn time(&self, narrow: &rayon::ThreadPool, run: &mut (dyn FnMut() + Send)) -> (f64, f64) {
        let span = quick(self.span);
        let mut body = || {
            let until = Instant::now() + WARM;
            while Instant::now() < until {
                run();
            }
            let before = Waited::now();
            let start = Instant::now();
            let mut runs = 0;
            while runs == 0 || start.elapsed() < span {
                run();
                runs += 1;
            }
            let time = start.elapsed().as_secs_f64() / f64::from(runs);
            (time, Waited::now().share_since(&before))
        };
        // The caller is no worker, as in most programs, unless it is `here`.
        if self.workers == 1 {
            narrow.install(body)
        } else {
            body()
        }
    }
}
