//! Transforms against sums of exponentials, searches against minima that are known; the same bits with any workers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::f64::consts::TAU;

use ndarray::{Array1, Array2, Array3, s};
use ndarray_linalg::Solve;
use rustfft::num_complex::Complex64;
use threadctl::Workers;
use threadctl_examples::workers::evolution::{Failed, Search, minimise};
use threadctl_examples::workers::fft::{fftn, ifftn};
use threadctl_examples::workers::{Function, Map};

fn workers(text: &str) -> Workers<'static> {
    text.parse().unwrap()
}

fn value(at: usize) -> Complex64 {
    Complex64::new((at * 7 % 11) as f64 - 5.0, (at * 5 % 13) as f64 - 6.0)
}

/// The sum that defines it, over one axis of two.
fn plainly(array: &Array2<Complex64>, axis: usize) -> Array2<Complex64> {
    let length = array.dim().0 * (1 - axis) + array.dim().1 * axis;
    Array2::from_shape_fn(array.dim(), |(row, column)| {
        let wave = |at: usize| {
            Complex64::from_polar(
                1.0,
                -TAU * (at * [row, column][axis] % length) as f64 / length as f64,
            )
        };
        (0..length)
            .map(|at| {
                wave(at)
                    * if axis == 0 {
                        array[[at, column]]
                    } else {
                        array[[row, at]]
                    }
            })
            .sum()
    })
}

fn assert_close(found: &Array2<Complex64>, plain: &Array2<Complex64>) {
    assert_eq!(found.dim(), plain.dim());
    for ((at, a), b) in found.indexed_iter().zip(plain) {
        // A NaN is not near to anything.
        assert!((a - b).norm() < 1e-9, "{at:?}: {a} {b}");
    }
}

#[test]
fn transforms_over_each_axis_are_the_sums_that_define_them() {
    for shape in [(1, 1), (8, 12), (17, 9), (40, 33)] {
        let array = Array2::from_shape_fn(shape, |(row, column)| value(row * shape.1 + column));
        for axes in [&[0][..], &[1], &[0, 1]] {
            let plain = axes
                .iter()
                .fold(array.clone(), |array, axis| plainly(&array, *axis));
            let mut found = array.clone();
            fftn(found.view_mut(), axes, workers("2")).unwrap();
            assert_close(&found, &plain);
            // Over a strided view of something larger, with one worker: the same bits.
            let mut wide = Array2::zeros((shape.0 * 2, shape.1 * 3));
            let mut view = wide.slice_mut(s![..;2, ..;3]);
            view.assign(&array);
            fftn(view.view_mut(), axes, workers("1")).unwrap();
            assert_eq!(view, found);
            ifftn(found.view_mut(), axes, workers("-1")).unwrap();
            assert_close(&found, &array);
        }
    }
}

#[test]
fn three_dimensions_there_and_back() {
    let array = Array3::from_shape_fn((6, 10, 7), |(i, j, k)| value(i * 70 + j * 7 + k));
    let mut there = array.clone();
    fftn(there.view_mut(), &[0, 1, 2], workers("2")).unwrap();
    // The first element is the sum of all.
    assert!((there[[0, 0, 0]] - array.sum()).norm() < 1e-9);
    ifftn(there.view_mut(), &[2, 0, 1], workers("2")).unwrap();
    assert!(
        there
            .iter()
            .zip(&array)
            .all(|(a, b)| (a - b).norm() < 1e-10)
    );
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2)
        .map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2))
        .sum()
}

const BOUNDS: [(f64, f64); 2] = [(-2.0, 2.0), (-1.0, 3.0)];

#[test]
fn the_minimum_is_found_and_is_the_same_with_any_workers_or_map() {
    let search = Search {
        tolerance: 1e-10,
        ..Search::default()
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let one_by_one = |function: &Function<'_>, points: &[Vec<f64>]| {
        points.iter().map(|point| function(point)).collect()
    };
    let maps = [
        Map::Workers(workers("1")),
        Map::Workers(workers("2")),
        Map::Workers(Workers::pool(&pool)),
        Map::With(&one_by_one),
    ];
    let found = maps.map(|map| minimise(&rosenbrock, &BOUNDS, &search, &map).unwrap());
    assert!(found[0].converged, "{:?}", found[0]);
    assert!(
        found[0].point.iter().all(|x| (x - 1.0).abs() < 1e-4),
        "{:?}",
        found[0]
    );
    assert!(found.iter().all(|other| *other == found[0]));
}

#[test]
fn a_function_that_calls_lapack_is_evaluated_by_all_workers() {
    // The solution of A x = b is where the rest is least.
    let matrix = Array2::from_shape_fn((20, 20), |(i, j)| {
        if i == j {
            25.0
        } else {
            ((i * 3 + j) % 5) as f64 / 5.0
        }
    });
    let solution = matrix.solve(&Array1::from_elem(20, 3.0)).unwrap();
    let (first, second) = (solution[0], solution[1]);
    let rest = |x: &[f64]| {
        let mut right = Array1::from_elem(20, 3.0);
        right[0] = 3.0 + x[0];
        let moved = matrix.solve(&right).unwrap();
        (moved[0] - first).powi(2) + (moved[1] - second).powi(2)
    };
    let search = Search {
        tolerance: 1e-8,
        generations: 60,
        ..Search::default()
    };
    let found = minimise(&rest, &[(-1.0, 1.0)], &search, &Map::Workers(workers("2"))).unwrap();
    assert!(found.point[0].abs() < 1e-3, "{found:?}");
}

#[test]
fn where_it_may_look_and_how_long_is_kept_to() {
    let outside = |x: &[f64]| {
        assert!((2.0..=3.0).contains(&x[0]) && x[1] == 7.0, "{x:?}");
        x[0]
    };
    let search = Search {
        generations: 30,
        tolerance: 0.0,
        ..Search::default()
    };
    let found = minimise(
        &outside,
        &[(2.0, 3.0), (7.0, 7.0)],
        &search,
        &Map::Workers(workers("2")),
    )
    .unwrap();
    assert!(found.value < 2.1 && found.generations <= 30, "{found:?}");
    let none = Search {
        generations: 0,
        ..Search::default()
    };
    assert_eq!(
        minimise(&rosenbrock, &BOUNDS, &none, &Map::Workers(workers("1")))
            .unwrap()
            .generations,
        0
    );
}

#[test]
fn what_cannot_be_searched_is_named() {
    let one = Map::Workers(workers("1"));
    let search = Search::default();
    for bad in [(1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        match minimise(&rosenbrock, &[(0.0, 1.0), bad], &search, &one) {
            Err(Failed::Bounds { at: 1, .. }) => (),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        minimise(&rosenbrock, &[], &search, &one),
        Err(Failed::Empty)
    ));
    let short = |_: &Function<'_>, _: &[Vec<f64>]| vec![1.0];
    let error = minimise(&rosenbrock, &BOUNDS, &search, &Map::With(&short)).unwrap_err();
    assert_eq!(error.to_string(), "the map gave 1 values for 30 points");
    // A NaN is no minimum.
    let holes = |x: &[f64]| if x[0] < 0.0 { f64::NAN } else { rosenbrock(x) };
    assert!(minimise(&holes, &BOUNDS, &search, &one).unwrap().value < 0.1);
}
