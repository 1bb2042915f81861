//! Blocks against all pairs in plain loops, at sizes around the edges of the blocks.
#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use ndarray::{Array2, ArrayView1, array};
use threadctl_examples::neighbours::{BadVectors, nearest, pairs_above};

/// Numbers without a pattern, from -1 to 1, and lengths that differ.
fn vectors(count: usize, dimensions: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, dimensions), |(row, column)| {
        let mixed = (row * dimensions + column + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed >> 40) as f32 / (1 << 23) as f32 - 1.0) * (1.0 + (row % 7) as f32)
    })
}

fn cosine(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let product = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

#[test]
fn the_nearest_are_those_of_a_plain_loop() {
    for count in [2, 3, 513, 1025] {
        let vectors = vectors(count, 24);
        let wanted = 5.min(count - 1);
        let found = nearest(vectors.view(), wanted).unwrap();
        for own in 0..count {
            let mut plain: Vec<f64> = (0..count)
                .filter(|other| *other != own)
                .map(|other| cosine(vectors.row(own), vectors.row(other)))
                .collect();
            plain.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(found.of(own).len(), wanted);
            for (neighbour, best) in found.of(own).iter().zip(plain) {
                assert_ne!(neighbour.index as usize, own);
                let own = cosine(vectors.row(own), vectors.row(neighbour.index as usize));
                // Two that differ by less than rounding may stand the other way round.
                assert!(
                    (own - best).abs() < 1e-5 && (own - f64::from(neighbour.cosine)).abs() < 1e-5,
                    "{count}: {own} {best}"
                );
            }
        }
    }
}

#[test]
fn pairs_above_a_threshold_are_those_of_a_plain_loop_in_order() {
    let vectors = vectors(1200, 8);
    let threshold = 0.9;
    let found = pairs_above(vectors.view(), threshold).unwrap();
    let mut expected = found.iter().peekable();
    let (mut sure, mut close) = (0, 0);
    for first in 0..1200 {
        for second in first + 1..1200 {
            let plain = cosine(vectors.row(first), vectors.row(second)) - f64::from(threshold);
            let is_next = expected
                .next_if(|pair| (pair.first as usize, pair.second as usize) == (first, second))
                .is_some();
            // What rounding decides may be either.
            if plain.abs() > 1e-5 {
                assert_eq!(is_next, plain > 0.0, "{first} {second}");
                sure += usize::from(is_next);
            } else {
                close += 1;
            }
        }
    }
    assert!(expected.next().is_none());
    assert!(sure > 100 && close < 100, "{sure} {close}");
}

#[test]
fn of_equal_vectors_the_first_come_first() {
    let equal = Array2::from_elem((2000, 3), 2.0);
    let found = nearest(equal.view(), 3).unwrap();
    let indices = |own| {
        found
            .of(own)
            .iter()
            .map(|neighbour| neighbour.index)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (indices(0), indices(1), indices(1999)),
        (vec![1, 2, 3], vec![0, 2, 3], vec![0, 1, 2])
    );
}

#[test]
fn what_has_no_answer_is_named() {
    let two = array![[1.0f32, 0.0], [0.0, 1.0]];
    for wanted in [0, 2] {
        assert!(matches!(
            nearest(two.view(), wanted),
            Err(BadVectors::Count { vectors: 2, .. })
        ));
    }
    for bad in [0.0, f32::NAN, f32::INFINITY, 1e30] {
        let vectors = array![[1.0f32], [bad]];
        let error = pairs_above(vectors.view(), 0.5).unwrap_err();
        assert!(
            matches!(error, BadVectors::Length { row: 1, .. }),
            "{error}"
        );
    }
}
