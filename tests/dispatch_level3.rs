//! Level 3 through dispatch, on real libraries, against loops in plain Rust: every routine, type and flag, cut into tiles
//! of very few rows and columns, and as large as they are by default.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/level3.rs"]
mod level3;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/tiles.rs"]
mod tiles;

use level3::{ALL, Case, Routine};
use num_complex::Complex;
use proptest::prelude::*;
use reference::Number;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use threadctl::dispatch::Blas;
use tiles::{on, run};

libraries! {
    openblas_wheel "scipy-openblas32": products triangles substitutions default_tiles;
    openblas_pthread "openblas-pthread": products triangles substitutions default_tiles;
    openblas_openmp "openblas-openmp": products triangles substitutions default_tiles;
    blis "blis-openmp": products triangles substitutions default_tiles;
    mkl "mkl-rt": products triangles substitutions default_tiles;
    // It has no gemmt.
    atlas "atlas": triangles;
}

const ALPHAS: [(f64, f64); 3] = [(1.0, 0.0), (-0.7, 0.4), (1.5, -2.0)];
const BETAS: [(f64, f64); 5] = [(0.0, 0.0), (1.0, 0.0), (0.3, -0.6), (0.0, 0.0), (-1.0, 0.0)];

/// Runs all flags of a routine for all types, with factors and gaps that change from case to case.
fn sweep(blas: &Blas, routine: Routine, shapes: &[[usize; 3]]) {
    fn of_type<T: Number>(blas: &Blas, routine: Routine, shapes: &[[usize; 3]]) {
        let mut turn = 0;
        for case in Case::all::<T>(routine) {
            for &shape in shapes {
                turn += 1;
                let case = Case {
                    shape,
                    alpha: ALPHAS[turn % ALPHAS.len()],
                    beta: BETAS[turn % BETAS.len()],
                    gaps: [turn % 2, turn % 3, turn % 4],
                    ..case
                };
                run::<T>(blas, &case);
            }
        }
    }
    of_type::<f32>(blas, routine, shapes);
    of_type::<f64>(blas, routine, shapes);
    of_type::<Complex<f32>>(blas, routine, shapes);
    of_type::<Complex<f64>>(blas, routine, shapes);
}

/// Rows and columns around the edges of tiles, with depths that go on beside them.
fn shapes(sizes: &[usize]) -> Vec<[usize; 3]> {
    let depths = [1, 4, 9, 2, 17];
    let pairs = sizes
        .iter()
        .flat_map(|&m| sizes.iter().map(move |&n| (m, n)));
    pairs
        .enumerate()
        .map(|(i, (m, n))| [m, n, depths[i % depths.len()]])
        .collect()
}

fn products(blas: &Blas) {
    let mut shapes = shapes(&[1, 2, 3, 5, 9, 17]);
    shapes.extend([[33, 4, 3], [4, 33, 2], [18, 18, 1]]);
    for routine in [Routine::Gemm, Routine::Symm, Routine::Hemm] {
        sweep(blas, routine, &shapes);
    }
}

fn triangles(blas: &Blas) {
    let orders = (1..=10).chain([15, 16, 17, 31, 32, 33, 35]);
    let mut shapes: Vec<_> = orders.map(|n| [0, n, 1 + n % 5]).collect();
    shapes.extend([[0, 32, 33], [0, 50, 8], [0, 9, 40]]);
    use Routine::*;
    for routine in [Syrk, Herk, Syr2k, Her2k, Gemmt] {
        sweep(blas, routine, &shapes);
    }
}

fn substitutions(blas: &Blas) {
    // Blocks of two, where one dimension is 6 or more and the other below 10; panels elsewhere.
    let shapes = shapes(&[1, 2, 5, 6, 7, 11, 20]);
    for routine in [Routine::Trmm, Routine::Trsm] {
        sweep(blas, routine, &shapes);
    }
}

/// The tiles that programs get: on both sides of the sizes from which calls are cut.
fn default_tiles(blas: &Blas) {
    Blas::simulate_small_tiles(false);
    use Routine::*;
    for routine in ALL {
        let shapes: &[_] = match routine {
            Gemm | Symm | Hemm => &[[71, 70, 72], [73, 75, 70], [33, 120, 66], [130, 31, 65]],
            Syrk | Herk | Syr2k | Her2k | Gemmt => &[[0, 95, 160], [0, 97, 160], [0, 131, 80]],
            Trmm | Trsm => &[[110, 113, 0], [49, 300, 0]],
        };
        some_flags::<f64>(blas, routine, shapes);
        some_flags::<Complex<f32>>(blas, routine, shapes);
    }
    // The blocked form.
    for (index, case) in Case::all::<f64>(Trsm).into_iter().enumerate() {
        let routine = if index % 2 == 0 { Trmm } else { Trsm };
        let shape = if case.side == b'L' {
            [1030, 2, 0]
        } else {
            [2, 1030, 0]
        };
        if index % 5 == 2 {
            run::<f64>(
                blas,
                &Case {
                    routine,
                    shape,
                    ..case
                },
            );
        }
    }
}

fn some_flags<T: Number>(blas: &Blas, routine: Routine, shapes: &[[usize; 3]]) {
    for (turn, case) in Case::all::<T>(routine).into_iter().enumerate() {
        let shape = shapes[turn % shapes.len()];
        let gaps = [1, 0, turn % 2];
        if turn % 3 == 0 || turn % 4 == 2 {
            run::<T>(
                blas,
                &Case {
                    shape,
                    gaps,
                    beta: BETAS[turn % BETAS.len()],
                    ..case
                },
            );
        }
    }
}

#[test]
fn any_case_is_right() {
    on("any_case_is_right", "scipy-openblas32", |blas| {
        let one = |case: Case, letter: usize| match letter {
            0 => run::<f32>(blas, &case),
            1 => run::<f64>(blas, &case),
            2 => run::<Complex<f32>>(blas, &case),
            _ => run::<Complex<f64>>(blas, &case),
        };
        let flags = |routine, letter| {
            if letter < 2 {
                Case::all::<f64>(routine)
            } else {
                Case::all::<Complex<f64>>(routine)
            }
        };
        let factor = prop_oneof![Just((0.0, 0.0)), Just((1.0, 0.0)), (-2.0..2.0, -2.0..2.0)];
        proptest!(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() }, |(
            routine in 0..ALL.len(), flag in 0_usize..36, letter in 0_usize..4,
            shape in [1_usize..40, 1_usize..40, 0_usize..40], gaps in [0_usize..4, 0_usize..4, 0_usize..4],
            alpha in factor.clone(), beta in factor,
        )| {
            let cases = flags(ALL[routine], letter);
            one(Case { shape, gaps, alpha, beta, ..cases[flag % cases.len()] }, letter);
        });
    });
}

/// With every other worker of the pool busy the grid is the same, and so are the bits; and with many callers at once.
#[test]
fn who_helps_does_not_matter() {
    on("who_helps_does_not_matter", "scipy-openblas32", |blas| {
        let cases: Vec<Case> = ALL
            .iter()
            .flat_map(|&routine| Case::all::<f64>(routine).into_iter().step_by(5))
            .map(|case| Case {
                shape: [37, 41, 29],
                beta: (0.5, 0.0),
                ..case
            })
            .collect();
        let all = || -> Vec<_> {
            let result = |case: &Case| {
                let mut operands = case.operands::<f64>();
                case.call(blas, &mut operands);
                operands.c
            };
            cases.iter().map(result).collect()
        };
        let expected = all();
        let same = |results: Vec<reference::Stored<f64>>| {
            assert!(expected.iter().zip(&results).all(|(a, b)| a.same(b)));
        };
        let (busy, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        rayon::scope(|scope| {
            for _ in 0..7 {
                scope.spawn(|_| {
                    busy.fetch_add(1, Ordering::SeqCst);
                    while !over.load(Ordering::SeqCst) {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                });
            }
            while busy.load(Ordering::SeqCst) < 7 {
                std::thread::yield_now();
            }
            same(all());
            over.store(true, Ordering::SeqCst);
        });
        rayon::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|_| same(all()));
            }
        });
    });
}
