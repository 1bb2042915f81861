//! LAPACK: factorizations shared on rayon, against the same library's own threads.

use super::{
    SETTLE, against, children, direct, footnote, geometric_mean, libraries, median, path, shared,
};
use crate::common::{Case, spread};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use threadctl::Limits;
use threadctl::dispatch::Blas;

const SIZES: &[usize] = &[256, 512, 1000, 2000, 4000];

/// Rounds in turn, and how long one side runs in each, at least once.
const ROUNDS: usize = 7;
const SPAN: Duration = Duration::from_millis(60);

/// The least that any call may reach of the library's own threads, and the geometric mean.
const LEAST: f64 = 0.97;
const MEAN: f64 = 1.05;

/// Factors the matrix of order n that is in the buffer.
type Run = fn(&Blas, usize, &mut Operands);

/// The routines, and whether they need a matrix that is positive definite.
const ROUTINES: &[(&str, Run, bool)] = &[
    ("dgetrf", getrf, false),
    ("dpotrf", potrf, true),
    ("dgeqrf", geqrf, false),
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

/// The table: for each library every call, and the geometric mean.
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
    }
    table
        + &footnote(&format!(
            "Speed-ups over the library's own routine at one thread, medians of {ROUNDS} rounds in turn; shared / own is \
             the median of the rounds' ratios, quartiles in brackets. Own threads: as many as cores. Matrices are \
             copied anew for each call, which is not timed. Targets: {LEAST} for each, {MEAN} for \
             the geometric mean."
        ))
}

/// What a child prints: a row for each call, and the geometric mean.
pub fn rows(case: &Case) -> String {
    path(case);
    let cores = u32::try_from(rayon::current_num_threads()).expect("few");
    let mut text = String::new();
    let mut ratios = Vec::new();
    for &(name, run, dominant) in ROUTINES {
        for &n in SIZES {
            let original = matrix(n, dominant);
            let time = |blas: &Blas| time(blas, n, &original, run);
            let mut times = [(); 3].map(|()| Vec::new());
            for _ in 0..ROUNDS {
                let own = {
                    let blas = direct(case);
                    let _all = limited(cores);
                    time(&blas)
                };
                std::thread::sleep(SETTLE);
                let ours = time(&shared(case));
                let one = {
                    let blas = direct(case);
                    let _one = limited(1);
                    time(&blas)
                };
                for (times, time) in times.iter_mut().zip([own, ours, one]) {
                    times.push(time);
                }
            }
            let each = times[0].iter().zip(&times[1]);
            let ratio = spread(each.map(|(own, ours)| own / ours).collect());
            let [own, ours, one] = times.map(|times| median(&times));
            let _ = writeln!(
                text,
                "| {} | {name} | {n} | {:.2} | {:.2} | {:.2} | {:.3} [{:.3} to {:.3}]{} |",
                case.label,
                one * 1e3,
                one / own,
                one / ours,
                ratio.median,
                ratio.low,
                ratio.high,
                against(ratio.median, LEAST, true)
            );
            eprintln!("{} {name} {n}: {:.3}", case.key, ratio.median);
            ratios.push(ratio.median);
        }
    }
    let mean = geometric_mean(ratios.into_iter());
    let _ = writeln!(
        text,
        "| {} | geometric mean | | | | | {mean:.3}{} |",
        case.label,
        against(mean, MEAN, true)
    );
    text
}

fn limited(cores: u32) -> threadctl::ProcessGuard {
    Limits::new()
        .user_api("blas", cores)
        .limit_process()
        .expect("it can be set")
}

/// Numbers that look random, the same in every run; `dominant` makes it positive definite, where one triangle is read.
fn matrix(n: usize, dominant: bool) -> Vec<f64> {
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
