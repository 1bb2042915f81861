//! LAPACK: factorizations shared on rayon, against the same library's own threads.

use super::drivers::{Kind, Problem, Twins};
use super::{
    LIBRARIES, SETTLE, against, children, direct, footnote, geometric_mean, libraries, median,
    path, shared,
};
use crate::common::{CASES, Case, Spread, spread};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use threadctl::Limits;
use threadctl::dispatch::Blas;

const SIZES: &[usize] = &[256, 512, 1000, 2000, 4000];

/// Rounds in turn, those of calls that take seconds, and how long one side runs in each, at least once.
const ROUNDS: usize = 7;
const FEW: usize = 3;
/// From this order on drivers take up to a minute, and are measured once.
const ONCE: usize = 4000;
const SPAN: Duration = Duration::from_millis(60);

/// The least that any factorization may reach of the library's own threads, and the geometric mean.
const LEAST: f64 = 0.97;
const MEAN: f64 = 1.05;
/// The least for a driver whose calls inside the library come back to dispatch.
const LEAST_DRIVER: f64 = 0.95;

/// Factors the matrix of order n that is in the buffer.
type Run = fn(&Blas, usize, &mut Operands);

/// The routines, and whether they need a matrix that is positive definite.
const ROUTINES: &[(&str, Run, bool)] = &[
    ("dgetrf", getrf, false),
    ("dpotrf", potrf, true),
    ("dgeqrf", geqrf, false),
];

/// The drivers, up to which order they are measured, and from which order on in few rounds and without one thread.
const DRIVERS: &[(&str, Kind, [usize; 2])] = &[
    ("dgesdd", Kind::Gesdd, [4000, 1001]),
    ("dsyevd", Kind::Syevd, [4000, 1001]),
    ("dgeev", Kind::Geev, [4000, 1000]),
];

/// What is factored, and what a call needs besides.
struct Operands {
    a: Vec<f64>,
    pivots: Vec<i32>,
    tau: Vec<f64>,
    work: Vec<f64>,
}

fn getrf(blas: &Blas, n: usize, operands: &mut Operands) {
    let (order, a) = (n as isize, operands.a.as_mut_ptr());
    // SAFETY: a matrix of that order, and its pivots.
    let info = unsafe { blas.getrf(order, order, a, order, operands.pivots.as_mut_ptr()) };
    assert_eq!(info.expect("sizes fit"), 0);
}

fn potrf(blas: &Blas, n: usize, operands: &mut Operands) {
    // SAFETY: a matrix of that order.
    let info = unsafe { blas.potrf(b'L', n as isize, operands.a.as_mut_ptr(), n as isize) };
    assert_eq!(info.expect("sizes fit"), 0);
}

fn geqrf(blas: &Blas, n: usize, operands: &mut Operands) {
    let (order, lwork) = (n as isize, operands.work.len() as isize);
    let (a, tau) = (operands.a.as_mut_ptr(), operands.tau.as_mut_ptr());
    // SAFETY: a matrix of that order, its factors, and the workspace.
    let info = unsafe {
        blas.geqrf(
            order,
            order,
            a,
            order,
            tau,
            operands.work.as_mut_ptr(),
            lwork,
        )
    };
    assert_eq!(info.expect("sizes fit"), 0);
}

/// The table: for each library every call.
pub fn table() -> String {
    let mut table = String::from(
        "| library | call | n | one thread, ms | own threads | shared | shared / own |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for library in libraries() {
        if library.key == "blis-openmp" {
            // It has no LAPACK to compare with.
            continue;
        }
        table += &children("dispatch-lapack", library, &[]);
        if library.key != "mkl-rt" {
            // MKL calls inside itself, which nobody sees.
            table += &children("dispatch-drivers", library, &[]);
        }
    }
    table
        + &footnote(&format!(
            "Speed-ups over the library's own routine at one thread, medians of {ROUNDS} rounds in turn ({FEW} for drivers that \
             take seconds, 1 for those of order {ONCE}); shared / own is \
             the median of the rounds' ratios, quartiles in brackets. Own threads: as many as cores. Matrices are \
             copied anew for each call, which is not timed. Targets: {LEAST} for each factorization, {MEAN} for \
             their geometric mean, {LEAST_DRIVER} for each driver."
        ))
}

/// What a geometric mean is called, where a call's name would be.
const MEANS: &str = "geometric mean of ";

/// The rows in their order, and behind each library's factorizations the geometric mean of those that there are.
pub fn finish(table: &str) -> String {
    let is_row = |line: &str| line.starts_with('|');
    let cells =
        |row: &str| -> Vec<String> { row.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let lines: Vec<&str> = table.lines().collect();
    let (head, lines) = lines.split_at(2);
    let calls = ROUTINES.iter().map(|row| row.0);
    let calls: Vec<&str> = calls.chain(DRIVERS.iter().map(|row| row.0)).collect();
    let mut rows: Vec<([usize; 3], Vec<String>, &str)> = lines
        .iter()
        .filter(|line| is_row(line))
        .map(|row| (cells(row), *row))
        .filter(|(cells, _)| !cells[2].starts_with(MEANS))
        .map(|(cells, row)| {
            let library = LIBRARIES.iter().position(|key| {
                CASES
                    .iter()
                    .any(|case| case.key == *key && case.label == cells[1])
            });
            let call = calls.iter().position(|call| *call == cells[2]);
            let place = [library.expect("a library"), call.expect("a call")];
            let place = [place[0], place[1], cells[3].parse().expect("an order")];
            (place, cells, row)
        })
        .collect();
    rows.sort_by_key(|row| row.0);
    let mut text = head.join("\n") + "\n";
    for of_library in rows.chunk_by(|one, next| one.0[0] == next.0[0]) {
        let factorizations = of_library.partition_point(|row| row.0[1] < ROUTINES.len());
        let (factorizations, drivers) = of_library.split_at(factorizations);
        let mut add = |row: &str| text = std::mem::take(&mut text) + row + "\n";
        factorizations.iter().for_each(|row| add(row.2));
        if !factorizations.is_empty() {
            let ratio = |row: &(_, Vec<String>, _)| -> f64 {
                let median = row.1[7].split(' ').next().expect("a figure");
                median.parse().expect("a figure")
            };
            let mean = geometric_mean(factorizations.iter().map(ratio));
            add(&format!(
                "| {} | {MEANS}{} | | | | | {mean:.3}{} |",
                factorizations[0].1[1],
                factorizations.len(),
                against(mean, MEAN, true)
            ));
        }
        drivers.iter().for_each(|row| add(row.2));
    }
    for line in lines.iter().filter(|line| !is_row(line)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The times of one call in rounds: the library's own threads, shared, the library at one thread.
#[derive(Default)]
struct Times {
    own: Vec<f64>,
    shared: Vec<f64>,
    one: Vec<f64>,
}

impl Times {
    /// Shared over own.
    fn ratio(&self) -> Spread {
        let each = self.own.iter().zip(&self.shared);
        spread(each.map(|(own, shared)| own / shared).collect())
    }

    fn row(&self, case: &Case, name: &str, n: usize, least: f64) -> String {
        let ratio = self.ratio();
        let (own, shared) = (median(&self.own), median(&self.shared));
        eprintln!(
            "{} {name} {n}: own {:.1} ms, {:.3} [{:.3} to {:.3}]",
            case.key,
            own * 1e3,
            ratio.median,
            ratio.low,
            ratio.high
        );
        let ratio = format!(
            "{:.3} [{:.3} to {:.3}]{}",
            ratio.median,
            ratio.low,
            ratio.high,
            against(ratio.median, least, true)
        );
        if self.one.is_empty() {
            format!(
                "| {} | {name} | {n} | | {:.0} ms | {:.0} ms | {ratio} |\n",
                case.label,
                own * 1e3,
                shared * 1e3
            )
        } else {
            let one = median(&self.one);
            format!(
                "| {} | {name} | {n} | {:.2} | {:.2} | {:.2} | {ratio} |\n",
                case.label,
                one * 1e3,
                one / own,
                one / shared
            )
        }
    }
}

/// What a child prints: a row for each factorization.
pub fn rows(case: &Case) -> String {
    path(case);
    let cores = u32::try_from(rayon::current_num_threads()).expect("few");
    let mut text = String::new();
    for &(name, run, dominant) in ROUTINES {
        for &n in SIZES {
            if !wanted(name, n) {
                continue;
            }
            let original = matrix(n, dominant);
            let time = |blas: &Blas| time(blas, n, &original, run);
            let mut times = Times::default();
            for _ in 0..ROUNDS {
                {
                    let blas = direct(case);
                    let _all = limited(cores);
                    times.own.push(time(&blas));
                }
                std::thread::sleep(SETTLE);
                times.shared.push(time(&shared(case)));
                let blas = direct(case);
                let _one = limited(1);
                times.one.push(time(&blas));
            }
            text += &times.row(case, name, n, LEAST);
        }
    }
    text
}

/// What a child prints for the drivers: a row for each call.
pub fn driver_rows(case: &Case) -> String {
    crate::common::open_named("libm.so.6");
    let twins = Twins::open(case);
    let cores = u32::try_from(rayon::current_num_threads()).expect("few");
    let mut text = String::new();
    for &(name, kind, [largest, few]) in DRIVERS {
        for &n in SIZES.iter().filter(|&&n| n <= largest && wanted(name, n)) {
            let original = matrix(n, false);
            let mut a = original.clone();
            let mut problem = Problem::new(kind, n, &twins.bound);
            let mut time = |drivers| {
                let mut sample = Vec::new();
                // Once to warm up, where that does not take long.
                let mut ready = n >= few;
                let mut begin = Instant::now();
                while sample.is_empty() || begin.elapsed() < SPAN {
                    a.copy_from_slice(&original);
                    let start = Instant::now();
                    problem.solve(drivers, &mut a);
                    if ready {
                        sample.push(start.elapsed().as_secs_f64());
                    } else {
                        ready = true;
                        begin = Instant::now();
                    }
                }
                median(&sample)
            };
            let mut times = Times::default();
            let rounds = match n {
                ONCE.. => 1,
                _ if n >= few => FEW,
                _ => ROUNDS,
            };
            for _ in 0..rounds {
                {
                    let _all = limited(cores);
                    times.own.push(time(&twins.own));
                }
                std::thread::sleep(SETTLE);
                times.shared.push(time(&twins.bound));
                if n < few {
                    let _one = limited(1);
                    times.one.push(time(&twins.own));
                }
            }
            text += &times.row(case, name, n, LEAST_DRIVER);
        }
    }
    text
}

/// Whether `THREADCTL_BENCH_CALLS` has it, names with commas between them such as `dgetrf` or `dgetrf:4000`, or there is no such
/// variable: for a second look.
fn wanted(name: &str, n: usize) -> bool {
    let named = |text: &str| text == name || text == format!("{name}:{n}");
    std::env::var("THREADCTL_BENCH_CALLS").map_or(true, |names| names.split(',').any(named))
}

fn limited(cores: u32) -> threadctl::ProcessGuard {
    Limits::new()
        .user_api("blas", cores)
        .limit_process()
        .expect("it can be set")
}

/// Numbers that look random, the same in every run; `dominant` makes it positive definite, where one triangle is read.
pub fn matrix(n: usize, dominant: bool) -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut a: Vec<f64> = (0..n * n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        })
        .collect();
    if dominant {
        (0..n).for_each(|i| a[i * (n + 1)] += n as f64);
    }
    a
}

/// Seconds for one call: the median of calls made for a while, after one that warms up.
fn time(blas: &Blas, n: usize, original: &[f64], run: Run) -> f64 {
    let mut operands = Operands {
        a: original.to_vec(),
        pivots: vec![0; n],
        tau: vec![0.0; n],
        work: vec![0.0; 64 * n],
    };
    run(blas, n, &mut operands);
    let mut sample = Vec::new();
    let begin = Instant::now();
    while sample.is_empty() || begin.elapsed() < SPAN {
        operands.a.copy_from_slice(original);
        let start = Instant::now();
        run(blas, n, &mut operands);
        sample.push(start.elapsed().as_secs_f64());
    }
    median(&sample)
}
