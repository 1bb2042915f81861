//! Level 3 through dispatch, on real libraries, against loops in plain Rust: every routine, type and flag, cut into tiles
//! of very few rows and columns, with 0, 1 and 7 helpers.
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

use common::{in_own_process, library, mkl_folder};
use level3::{Case, Operands, Routine};
use num_complex::Complex;
use reference::{Number, Stored};
use std::num::NonZeroUsize;
use threadctl::dispatch::{Blas, simulate_cores};

/// A test per library and group, each in a process of its own.
macro_rules! libraries {
    ($($library:ident $key:literal: $($group:ident)*;)*) => {$(
        mod $library {
            $(
                #[test]
                fn $group() {
                    super::on(
                        concat!(stringify!($library), "::", stringify!($group)),
                        $key,
                        super::$group,
                    );
                }
            )*
        }
    )*};
}

libraries! {
    openblas_wheel "scipy-openblas32": products triangles substitutions;
    openblas_pthread "openblas-pthread": products triangles substitutions;
    openblas_openmp "openblas-openmp": products triangles substitutions;
    blis "blis-openmp": products triangles substitutions;
    mkl "mkl-rt": products triangles substitutions;
    // It has no gemmt.
    atlas "atlas": triangles;
}

fn on(test: &str, key: &str, body: fn(&Blas)) {
    let folder = mkl_folder();
    let environment: &[_] = if key == "mkl-rt" {
        &[("LD_LIBRARY_PATH", folder.as_str())]
    } else {
        &[]
    };
    in_own_process(test, environment, || {
        // SAFETY: a BLAS of the manifest.
        let blas = unsafe { Blas::open(&library(key)) }.unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(8)
            .build()
            .unwrap();
        Blas::simulate_small_tiles(true);
        pool.install(|| body(&blas));
    });
}

/// Runs a case with 7, 0 and 1 helpers and again with 7: the same bits each time, and the right ones.
fn run<T: Number>(blas: &Blas, case: &Case) {
    let before = case.operands::<T>();
    let mut operands = before.clone();
    let mut first: Option<Stored<T>> = None;
    for cores in [8, 1, 2, 8] {
        simulate_cores(NonZeroUsize::new(cores));
        // At the same place, since kernels may go by how elements are aligned.
        operands.c.memory.copy_from_slice(&before.c.memory);
        case.call(blas, &mut operands);
        match &first {
            None => {
                case.assert_result(&before, &operands.c);
                first = Some(operands.c.clone());
            }
            Some(first) => assert!(
                first.same(&operands.c),
                "{case:?} of {} gives other bits with {cores} cores",
                T::LETTER
            ),
        }
    }
    let Operands { a, b, .. } = &operands;
    assert!(
        a.same(&before.a) && b.same(&before.b),
        "{case:?}: an input was written"
    );
}

/// Runs all flags of a routine for all types, with factors and gaps that change from case to case.
fn sweep(blas: &Blas, routine: Routine, shapes: &[[usize; 3]]) {
    fn of_type<T: Number>(blas: &Blas, routine: Routine, shapes: &[[usize; 3]]) {
        let alphas = [(1.0, 0.0), (-0.7, 0.4), (1.5, -2.0)];
        let betas = [(0.0, 0.0), (1.0, 0.0), (0.3, -0.6), (0.0, 0.0), (-1.0, 0.0)];
        let mut turn = 0;
        for case in Case::all::<T>(routine) {
            for &shape in shapes {
                turn += 1;
                let case = Case {
                    shape,
                    alpha: alphas[turn % alphas.len()],
                    beta: betas[turn % betas.len()],
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
    let mut shapes: Vec<_> = (1..=10)
        .chain([15, 16, 17, 31, 32, 33, 35])
        .map(|n| [0, n, 1 + n % 5])
        .collect();
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
