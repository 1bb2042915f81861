//! Nested LAPACK: decompositions in parallel loops and beside other work, and many outside threads on a library that
//! bears them badly.

use super::drivers::{Kind, Problem, Twins};
use super::lapack::matrix;
use super::nested::{Column, HEAD, Measured, asked, legend, pool};
use super::waited::{self, Waited};
use super::workload::Mode;
use super::{children, direct, path, shared};
use crate::common::{CASES, Case};
use rayon::prelude::*;
use threadctl::Limits;
use threadctl::dispatch::{Blas, region};

/// Of the bound; of the best static setting; of thread time.
const TARGETS: (f64, f64, f64) = (1.07, 1.02, 3.0);

/// The libraries of which internal calls are seen, and the one for outside threads.
const LIBRARIES: &[&str] = &["scipy-openblas32", "openblas-pthread"];
const OUTSIDE: &str = "openblas-openmp";

/// Outside threads, the order of their products, and how many each makes one after the other: through dispatch and at
/// one thread each, and with threads of the library's own.
const THREADS: usize = 50;
const ORDER: usize = 400;
const EACH: usize = 30;
const EACH_SLOW: usize = 1;

/// The table, rows from each child.
pub fn table() -> String {
    let only = std::env::var("THREADCTL_BENCH_LIBRARY").ok();
    let mut table = String::from(HEAD);
    for key in LIBRARIES.iter().chain([&OUTSIDE]) {
        if only.as_ref().is_none_or(|only| only == key) {
            let case = CASES.iter().find(|case| case.key == *key);
            table += &children("dispatch-nested-lapack", case.expect("a known case"), &[]);
        }
    }
    let what = format!(
        "the outside threads make {EACH} products each in a run, with the library's own threads {EACH_SLOW}, whose time \
         is multiplied, and that once."
    );
    table + &legend(TARGETS, &what)
}

/// What a child prints.
pub fn rows(case: &Case) -> String {
    let cores = rayon::current_num_threads();
    let narrow = pool(1);
    if case.key == OUTSIDE {
        return outside(case, cores, &narrow);
    }
    crate::common::open_named("libm.so.6");
    let twins = Twins::open(case);
    let mut text = String::new();
    for mut program in all(&twins) {
        if asked(program.name) {
            let measured = Measured::new(cores, |column| {
                let _limit = column.limit();
                column.time(&narrow, &mut || program.run(&twins, column))
            });
            text += &measured.row(cores, case.label, program.name, TARGETS);
        }
    }
    text
}

/// A routine, the matrices that it is given, and what it needs besides.
enum Item {
    Driver(Problem, [Vec<f64>; 2]),
    Cholesky(usize, [Vec<f64>; 2]),
    Solve(usize, [Vec<f64>; 4], Vec<i32>),
}

impl Item {
    fn driver(kind: Kind, n: usize, twins: &Twins) -> Self {
        let a = matrix(n, false);
        Item::Driver(Problem::new(kind, n, &twins.own), [a.clone(), a])
    }

    fn cholesky(n: usize) -> Self {
        let a = matrix(n, true);
        Item::Cholesky(n, [a.clone(), a])
    }

    fn solve(n: usize) -> Self {
        let a = matrix(n, true);
        Item::Solve(n, [a.clone(), a.clone(), a.clone(), a], vec![0; n])
    }

    /// Once, through dispatch or as the library is.
    fn run(&mut self, twins: &Twins, through: bool) {
        let blas: &Blas = if through {
            twins.bound_blas
        } else {
            &twins.own_blas
        };
        match self {
            Item::Driver(problem, [from, a]) => {
                a.copy_from_slice(from);
                let drivers = if through { &twins.bound } else { &twins.own };
                problem.solve(drivers, a);
            }
            Item::Cholesky(n, [from, a]) => {
                let n = *n;
                // Nothing above the diagonal is read.
                for col in 0..n {
                    let lower = col * n + col..(col + 1) * n;
                    a[lower.clone()].copy_from_slice(&from[lower]);
                }
                let order = n as isize;
                // SAFETY: a matrix of that order.
                let info = unsafe { blas.potrf(b'L', order, a.as_mut_ptr(), order) };
                assert_eq!(info.expect("sizes fit"), 0);
            }
            Item::Solve(n, [a_from, a, b_from, b], pivots) => {
                a.copy_from_slice(a_from);
                b.copy_from_slice(b_from);
                let n = *n as isize;
                let (a, b, pivots) = (a.as_mut_ptr(), b.as_mut_ptr(), pivots.as_mut_ptr());
                // SAFETY: two matrices of that order, and the pivots.
                let info = unsafe { blas.gesv(n, n, a, n, pivots, b, n) };
                assert_eq!(info.expect("sizes fit"), 0);
            }
        }
    }
}

/// A program: one item beside a parallel loop over the others, if there is one, else the loop.
struct Program {
    name: &'static str,
    beside: Option<Item>,
    items: Vec<Item>,
}

fn all(twins: &Twins) -> [Program; 3] {
    let several = |count: usize, item: &dyn Fn() -> Item| (0..count).map(|_| item()).collect();
    [
        Program {
            name: "16 SVDs of 256",
            beside: None,
            items: several(16, &|| Item::driver(Kind::Gesdd, 256, twins)),
        },
        Program {
            name: "3 Cholesky factorizations of 1500",
            beside: None,
            items: several(3, &|| Item::cholesky(1500)),
        },
        Program {
            name: "one eigenproblem of 1000 beside 200 solves of 64",
            beside: Some(Item::driver(Kind::Syevd, 1000, twins)),
            items: several(200, &|| Item::solve(64)),
        },
    ]
}

impl Program {
    fn run(&mut self, twins: &Twins, column: &Column) {
        let through = column.blas == 0;
        if column.mode == Mode::Sequential {
            let items = self.beside.iter_mut().chain(&mut self.items);
            items.for_each(|item| item.run(twins, through));
            return;
        }
        let _region = (column.mode == Mode::Region).then(|| region().expect("a region begins"));
        let items = &mut self.items;
        let mut each = || {
            let items = items.par_iter_mut().with_max_len(1);
            items.for_each(|item| item.run(twins, through));
        };
        match &mut self.beside {
            None => each(),
            Some(beside) => {
                rayon::join(|| beside.run(twins, through), each);
            }
        }
    }
}

/// Products that outside threads make.
fn outside(case: &Case, cores: usize, narrow: &rayon::ThreadPool) -> String {
    path(case);
    let name = format!("{THREADS} outside threads, products of {ORDER}");
    let (a, b) = (matrix(ORDER, false), matrix(ORDER, false));
    let mut results: Vec<Vec<f64>> = vec![vec![0.0; ORDER * ORDER]; THREADS];
    let n = ORDER as isize;
    let multiply = |blas: &Blas, c: &mut Vec<f64>| {
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: three matrices of that order.
        unsafe { blas.gemm(b'N', b'N', n, n, n, 1.0, a, n, b, n, 0.0, c, n) }.expect("sizes fit");
    };
    let mut slow = [None; 2];
    let measured = Measured::new(cores, |column| {
        if column.workers == 1 && column.mode == Mode::Loop {
            // rayon has no part in it: the same as with more workers.
            return (f64::INFINITY, 0.0);
        }
        let blas = if column.blas == 0 {
            shared(case)
        } else {
            direct(case)
        };
        // An OpenMP library goes by what each thread has set for itself.
        let limit = || {
            (column.blas > 0).then(|| {
                let limits = Limits::new().user_api("blas", column.blas);
                limits.limit_thread().expect("it can be set")
            })
        };
        if column.mode == Mode::Sequential {
            let _limit = limit();
            let mut run = || {
                for c in &mut results {
                    (0..EACH).for_each(|_| multiply(&blas, c));
                }
            };
            run();
            let start = std::time::Instant::now();
            run();
            return (start.elapsed().as_secs_f64(), 0.0);
        }
        let each = if column.blas > 1 { EACH_SLOW } else { EACH };
        let mut run = || {
            let _region = (column.mode == Mode::Region).then(|| region().expect("a region begins"));
            std::thread::scope(|scope| {
                for c in &mut results {
                    scope.spawn(|| {
                        let limit = limit();
                        (0..each).for_each(|_| multiply(&blas, c));
                        drop(limit);
                        waited::ends();
                    });
                }
            });
        };
        if each == EACH {
            return column.time(narrow, &mut run);
        }
        // Minutes, if it was done as often as the others.
        let known = &mut slow[usize::from(column.mode == Mode::Region)];
        *known.get_or_insert_with(|| {
            let before = Waited::now();
            let start = std::time::Instant::now();
            run();
            let time = start.elapsed().as_secs_f64() * (EACH / each) as f64;
            (time, Waited::now().share_since(&before))
        })
    });
    measured.row(cores, case.label, &name, TARGETS)
}
