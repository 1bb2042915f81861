//! `rayon_linalg TURNS`: singular values by ndarray-linalg in a rayon loop, for `threadctl run` to look at.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a program for tests fails by panicking"
)]

// The usual way to bring in a BLAS: named once, so that its symbols are linked.
use openblas_src as _;

use ndarray_linalg::SVD as _;
use rayon::prelude::*;

fn main() {
    let turns: u32 = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("rayon_linalg TURNS");
    let matrix = linked_openblas::sample(200);
    let largest: Vec<f64> = (0..turns)
        .into_par_iter()
        .map(|turn| {
            let matrix = &matrix * f64::from(turn + 1);
            let (_, values, _) = matrix.svd(false, false).expect("the factors");
            values[0] / f64::from(turn + 1)
        })
        .collect();
    assert!(
        largest
            .iter()
            .all(|value| (value - largest[0]).abs() < 1e-6),
        "{largest:?}"
    );
}
