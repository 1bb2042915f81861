//! `threadctl jobs` beside GNU parallel: the same commands, the same number at once, whole runs in turn.
//!
//! The job is this program: it opens a library and goes through products and elementwise passes, one after the other, with as
//! many threads as the library takes by itself. What it computes is printed, and must be the same on both sides.

use super::{CASE, machine, program};
use crate::common::{Case, against, manifest, shown, spread, without_settings};
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;
use threadctl::dispatch::Blas;

const ROUNDS: usize = 5;

/// How many products a job makes.
const TURNS: &str = "THREADCTL_BENCH_TURNS";

/// Order of the matrices.
const N: usize = 256;

/// At least as fast.
const ALWAYS: f64 = 1.0;
/// Where each job uses threaded BLAS by default.
const THREADED: f64 = 1.3;

struct Row {
    jobs: &'static str,
    count: usize,
    /// The library's key in the manifest, and its name in the table; `None` for jobs that do nothing.
    library: Option<(&'static str, &'static str)>,
    turns: usize,
    /// Threads of BLAS that the user has set for both sides; `None` is the library's default.
    threads: Option<&'static str>,
}

const PTHREADS: Option<(&str, &str)> = Some(("openblas-pthread", "OpenBLAS on pthreads (Debian)"));
const OPENMP: Option<(&str, &str)> = Some(("openblas-openmp", "OpenBLAS on OpenMP (Debian)"));

const fn row(
    (jobs, count, turns): (&'static str, usize, usize),
    library: Option<(&'static str, &'static str)>,
    threads: Option<&'static str>,
) -> Row {
    Row {
        jobs,
        count,
        library,
        turns,
        threads,
    }
}

const SHORT: (&str, usize, usize) = ("200 short", 200, 8);
const LONG: (&str, usize, usize) = ("20 long", 20, 150);

const ROWS: &[Row] = &[
    row(("200 of `true`", 200, 0), None, None),
    row(SHORT, PTHREADS, None),
    row(SHORT, PTHREADS, Some("1")),
    row(LONG, PTHREADS, None),
    row(LONG, PTHREADS, Some("1")),
    row(LONG, OPENMP, None),
    row(LONG, OPENMP, Some("1")),
];

/// The job's side: what a job computes, in digits.
pub fn rows(case: &Case) -> String {
    let turns: usize = std::env::var(TURNS)
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("the number of products");
    crate::common::open_named("libm.so.6");
    crate::common::open(case.key);
    let path = std::path::PathBuf::from(manifest(case.key, "path"));
    // SAFETY: a BLAS of the manifest.
    let blas = unsafe { Blas::open_direct(&path) }.expect("it opens");
    let fill = |step: usize| (0..N * N).map(move |at| (at % step) as f64 / step as f64);
    let (a, mut b): (Vec<f64>, Vec<f64>) = (fill(17).collect(), fill(13).collect());
    let mut c = vec![0.0; N * N];
    let n = N as isize;
    for _ in 0..turns {
        let (left, right, to) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: three matrices of N x N.
        unsafe { blas.gemm(b'N', b'N', n, n, n, 1.0, left, n, right, n, 0.0, to, n) }
            .expect("sizes fit");
        for (b, c) in b.iter_mut().zip(&c) {
            *b = (-black_box(*c).abs() / N as f64).exp();
        }
    }
    // Not all digits: libraries add up in another order with other numbers of threads.
    format!("{:.6}", b.iter().sum::<f64>())
}

/// The table.
pub fn table() -> String {
    let mut text = String::from(
        "| jobs | library | BLAS threads | `parallel`, s | `threadctl jobs`, s | speed-up |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let [theirs, ours, ratio] = measured(row).map(spread);
        let target = if row.library.is_some() && row.threads.is_none() {
            THREADED
        } else {
            ALWAYS
        };
        text += &format!(
            "| {} | {} | {} | {} | {} | {}x{} |\n",
            row.jobs,
            row.library.map_or("none", |(_, name)| name),
            match (row.library, row.threads) {
                (None, _) => "-",
                (_, None) => "the default",
                (_, Some(threads)) => threads,
            },
            shown(theirs, 2),
            shown(ours, 2),
            shown(ratio, 2),
            against(ratio.median, target, true),
        );
    }
    text += &format!(
        "\nMedians of {ROUNDS} rounds in turn, quartiles in brackets; the last column is that of each round's ratio. A job \
         makes products of {N} x {N} and takes exponentials of their elements by turns: a short one {}, a long one {}. Both run \
         as many at once as there are cores, and print in order; what they printed was the same. GNU parallel {}. {}\n",
        SHORT.2,
        LONG.2,
        manifest("parallel", "version"),
        machine()
    );
    text
}

/// Seconds of theirs and ours, and the ratio, of each round.
fn measured(row: &Row) -> [Vec<f64>; 3] {
    let own = std::env::current_exe().expect("this program");
    let own = own.to_str().expect("a path in UTF-8");
    let home = std::env::temp_dir();
    let numbers: Vec<String> = (1..=row.count).map(|number| number.to_string()).collect();
    let run = |command: &mut Command| {
        without_settings(command);
        command.args(["-k", "--joblog", "/dev/null"]);
        command.arg(if row.library.is_some() { own } else { "true" });
        command.arg(":::").args(&numbers);
        command
            .env(
                "THREADCTL_TEST_LIBS",
                std::env::var("THREADCTL_TEST_LIBS").expect("it is set"),
            )
            .env("PARALLEL_HOME", &home)
            .env(TURNS, row.turns.to_string());
        if let Some((key, _)) = row.library {
            command.env(CASE, format!("jobs-parallel:{key}"));
        }
        if let Some(threads) = row.threads {
            for name in [
                "OPENBLAS_NUM_THREADS",
                "OMP_NUM_THREADS",
                "BLIS_NUM_THREADS",
            ] {
                command.env(name, threads);
            }
        }
        let begun = Instant::now();
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let took = begun.elapsed().as_secs_f64();
        assert!(output.status.success(), "{command:?}: {output:?}");
        (took, output.stdout)
    };
    let mut columns = [(); 3].map(|()| Vec::new());
    for round in 0..=ROUNDS {
        let (theirs, printed) = run(Command::new(manifest("parallel", "path")).arg("--will-cite"));
        let (ours, ours_printed) = run(Command::new(program()).arg("jobs"));
        assert_eq!(printed, ours_printed, "{} {:?}", row.jobs, row.library);
        if round > 0 {
            for (column, value) in columns.iter_mut().zip([theirs, ours, theirs / ours]) {
                column.push(value);
            }
        }
    }
    columns
}
