//! Decompositions by LAPACK against Jacobi rotations in plain loops, which no BLAS has part in.
#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use ndarray::{Array1, Array2};
use threadctl_examples::batched::{Failed, eigenvalues, singular_values, with_a_large_one};

fn matrix(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let mixed =
            ((seed * rows + row) * columns + column + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// One-sided Jacobi (Hestenes 1958): columns are rotated in pairs until all are orthogonal; their lengths are the values.
fn plain_singular_values(matrix: &Array2<f64>) -> Vec<f64> {
    let mut columns: Vec<Vec<f64>> = matrix
        .columns()
        .into_iter()
        .map(|column| column.to_vec())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for _ in 0..30 {
        for p in 0..columns.len() {
            for q in p + 1..columns.len() {
                let (pp, qq, pq) = (
                    dot(&columns[p], &columns[p]),
                    dot(&columns[q], &columns[q]),
                    dot(&columns[p], &columns[q]),
                );
                if pq == 0.0 {
                    continue;
                }
                let zeta = (qq - pp) / (2.0 * pq);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let (left, right) = columns.split_at_mut(q);
                for (a, b) in left[p].iter_mut().zip(&mut right[0]) {
                    let (old_a, old_b) = (*a, *b);
                    *a = cosine * (old_a - tangent * old_b);
                    *b = cosine * (tangent * old_a + old_b);
                }
            }
        }
    }
    let mut values: Vec<f64> = columns
        .iter()
        .map(|column| dot(column, column).sqrt())
        .collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn assert_close(found: &Array1<f64>, plain: &[f64]) {
    assert_eq!(found.len(), plain.len());
    for (found, plain) in found.iter().zip(plain) {
        assert!((found - plain).abs() < 1e-10, "{found} {plain}");
    }
}

#[test]
fn singular_values_are_those_of_rotations_in_order() {
    let matrices: Vec<_> = (0..100).map(|seed| matrix(12, 8, seed)).collect();
    let found = singular_values(&matrices).unwrap();
    assert_eq!(found.len(), 100);
    for (found, matrix) in found.iter().zip(&matrices) {
        assert_close(found, &plain_singular_values(matrix));
    }
}

#[test]
fn eigenvalues_are_the_squares_of_the_singular_values_of_a_root() {
    let roots: Vec<_> = (0..50).map(|seed| matrix(10, 10, seed)).collect();
    let matrices: Vec<_> = roots
        .iter()
        .map(|root| {
            Array2::from_shape_fn((10, 10), |(i, j)| {
                (0..10).map(|k| root[[i, k]] * root[[j, k]]).sum()
            })
        })
        .collect();
    for (found, root) in eigenvalues(&matrices).unwrap().iter().zip(&roots) {
        let plain: Vec<f64> = plain_singular_values(root)
            .iter()
            .rev()
            .map(|value| value * value)
            .collect();
        assert_close(found, &plain);
    }
}

#[test]
fn a_large_one_beside_the_small_ones_changes_none_of_them() {
    let small: Vec<_> = (0..200).map(|seed| matrix(16, 16, seed)).collect();
    // Orthogonal up to factors: I - 2 v v^T / v^T v times a diagonal, whose values are therefore known.
    let order = 150;
    let length = |row: usize| 1.0 + (row % 5) as f64;
    let squared: f64 = (0..order).map(|row| length(row).powi(2)).sum();
    let large = Array2::from_shape_fn((order, order), |(row, column)| {
        let unit = if row == column { 1.0 } else { 0.0 };
        (unit - 2.0 * length(row) * length(column) / squared) * (order - column) as f64
    });
    let (beside, of_large) = with_a_large_one(&small, &large).unwrap();
    assert_eq!(beside, singular_values(&small).unwrap());
    let known: Vec<f64> = (0..order).map(|at| (order - at) as f64).collect();
    assert_close(&of_large, &known);
}

#[test]
fn the_first_matrix_that_is_not_square_is_named() {
    let mut matrices: Vec<_> = (0..20).map(|seed| matrix(4, 4, seed)).collect();
    for bad in [13, 7] {
        matrices[bad] = matrix(4, 5, bad);
    }
    let error = eigenvalues(&matrices).unwrap_err();
    assert!(matches!(error, Failed::Small { index: 7, .. }), "{error}");
    assert!(singular_values(&[]).unwrap().is_empty());
}
