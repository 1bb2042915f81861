//! Loops and products against the plainest computation; the same bits on pools of any size.
#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use ndarray::{Array2, ArrayView2};
use threadctl_examples::loops::arrays::{add, multiply, sum_of_squares, zip_with};
use threadctl_examples::loops::distances::{Form, pairwise, squared};
use threadctl_examples::loops::kmeans::kmeans;
use threadctl_examples::loops::products::{by_blas, by_hand};

fn number(index: usize) -> f64 {
    let mixed = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(number).collect()
}

fn matrix(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        number(row * columns + column)
    })
}

fn assert_close(found: &Array2<f64>, plain: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), plain.dim());
    for ((at, a), b) in found.indexed_iter().zip(plain) {
        // A NaN is not near to anything.
        assert!((a - b).abs() <= tolerance, "{at:?}: {a} {b}");
    }
}

fn on<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
        .install(work)
}

#[test]
fn elements_are_those_of_a_plain_loop_at_sizes_around_a_piece() {
    // The last is large enough to be written past the caches.
    for count in [
        0,
        1,
        (1 << 14) - 1,
        1 << 14,
        (1 << 14) + 1,
        50_000,
        2_200_001,
    ] {
        let (a, b) = (numbers(count), numbers(2 * count).split_off(count));
        let mut out = vec![f64::NAN; count];
        add(&a, &b, &mut out).unwrap();
        assert!((0..count).all(|i| out[i] == a[i] + b[i]));
        multiply(&a, &b, &mut out).unwrap();
        assert!((0..count).all(|i| out[i] == a[i] * b[i]));
        let mut larger = vec![false; count];
        zip_with(|a: f64, b: f64| a > b, &a, &b, &mut larger).unwrap();
        assert!((0..count).all(|i| larger[i] == (a[i] > b[i])));
    }
    let error = add(&[1.0], &[1.0, 2.0], &mut [0.0]).unwrap_err();
    assert_eq!(error.to_string(), "numbers in b: 2; wanted: 1");
}

#[test]
fn a_sum_is_right_and_the_same_on_pools_of_any_size() {
    let numbers = numbers(1_000_003);
    let sums: Vec<f64> = [1, 2, 3]
        .iter()
        .map(|threads| on(*threads, || sum_of_squares(&numbers)))
        .collect();
    assert!(
        sums.iter().all(|sum| sum.to_bits() == sums[0].to_bits()),
        "{sums:?}"
    );
    let plain: f64 = numbers.iter().map(|number| number * number).sum();
    assert!(
        (sums[0] - plain).abs() < 1e-9 * plain,
        "{} {plain}",
        sums[0]
    );
    assert_eq!(sum_of_squares(&[]), 0.0);
}

#[test]
fn products_by_hand_and_by_blas_are_the_sums_of_products() {
    for (rows, inner, columns) in [
        (1, 1, 1),
        (7, 5, 9),
        (17, 33, 8),
        (3, 0, 2),
        (0, 3, 2),
        (2, 3, 0),
    ] {
        let (a, b) = (matrix(rows, inner), matrix(inner, columns));
        let plain = Array2::from_shape_fn((rows, columns), |(i, j)| {
            (0..inner).map(|k| a[[i, k]] * b[[k, j]]).sum()
        });
        assert_close(&by_hand(a.view(), b.view()).unwrap(), &plain, 1e-13);
        assert_close(&by_blas(a.view(), b.view()).unwrap(), &plain, 1e-13);
        // Transposed views are strided.
        let (at, bt) = (
            a.t().as_standard_layout().into_owned(),
            b.t().as_standard_layout().into_owned(),
        );
        assert_close(&by_hand(at.t(), bt.t()).unwrap(), &plain, 1e-13);
        assert_close(&by_blas(at.t(), bt.t()).unwrap(), &plain, 1e-13);
    }
    assert!(by_hand(matrix(2, 3).view(), matrix(2, 3).view()).is_err());
}

fn plain_squares(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), b.nrows()), |(i, j)| {
        a.row(i)
            .iter()
            .zip(b.row(j))
            .map(|(a, b)| (a - b).powi(2))
            .sum()
    })
}

#[test]
fn distances_of_both_forms_are_those_of_a_plain_loop() {
    for (count, dimensions) in [(1, 3), (63, 3), (65, 3), (130, 20)] {
        let points = matrix(count, dimensions);
        let plain = plain_squares(points.view(), points.view()).mapv(f64::sqrt);
        assert_close(&pairwise(points.view(), Form::Loop), &plain, 1e-14);
        // The root of a square that is wrong in the sixteenth digit.
        assert_close(&pairwise(points.view(), Form::Product), &plain, 3e-7);
        let centroids = matrix(5, dimensions);
        let plain = plain_squares(points.view(), centroids.view());
        for form in [Form::Loop, Form::Product] {
            assert_close(
                &squared(points.view(), centroids.view(), form).unwrap(),
                &plain,
                1e-13,
            );
        }
    }
}

/// Points around four corners, which are far from each other.
fn groups(count: usize) -> Array2<f64> {
    Array2::from_shape_fn((count, 2), |(row, column)| {
        let corner = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]][row % 4][column];
        corner + number(2 * row + column)
    })
}

#[test]
fn kmeans_finds_groups_that_are_there_in_both_forms_and_on_any_pool() {
    let points = groups(5000);
    // The first of each group.
    let begin = groups(4);
    for form in [Form::Loop, Form::Product] {
        let found = on(2, || kmeans(points.view(), begin.view(), form, 50).unwrap());
        assert!(found.rounds < 50);
        assert!(
            found
                .labels
                .iter()
                .enumerate()
                .all(|(row, label)| *label == row % 4)
        );
        let means = Array2::from_shape_fn((4, 2), |(group, column)| {
            (group..5000)
                .step_by(4)
                .map(|row| points[[row, column]])
                .sum::<f64>()
                / 1250.0
        });
        assert_close(&found.centroids, &means, 1e-12);
        if form == Form::Loop {
            assert_eq!(
                on(3, || kmeans(points.view(), begin.view(), form, 50).unwrap()),
                found
            );
        }
    }
}

#[test]
fn a_centroid_without_points_stays_and_what_does_not_fit_is_refused() {
    let points = groups(8);
    let begin = ndarray::array![[5.0, 5.0], [1e6, 1e6]];
    let found = kmeans(points.view(), begin.view(), Form::Loop, 10).unwrap();
    assert_eq!(found.centroids.row(1), begin.row(1));
    assert_eq!(
        kmeans(points.view(), matrix(2, 3).view(), Form::Loop, 10)
            .unwrap_err()
            .to_string(),
        "dimensions of the centroids: 3; wanted: 2"
    );
    assert!(kmeans(points.view(), Array2::zeros((0, 2)).view(), Form::Loop, 10).is_err());
}

#[test]
fn a_centroid_that_is_no_number_gets_no_points() {
    let points = groups(8);
    let begin = ndarray::array![[f64::NAN, 0.0], [0.0, 0.0], [10.0, 10.0]];
    for form in [Form::Loop, Form::Product] {
        let found = kmeans(points.view(), begin.view(), form, 1).unwrap();
        assert!(
            found.labels.iter().all(|label| *label > 0),
            "{form:?}: {:?}",
            found.labels
        );
        assert!(found.centroids.iter().skip(2).all(|it| it.is_finite()));
    }
}
