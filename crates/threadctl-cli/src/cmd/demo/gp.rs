//! The model: a Gaussian process with a squared-exponential kernel, scored by its log marginal likelihood.
//!
//! For standardised features x and target y, and hyper-parameters l (length scale), s (signal variance) and
//! t (noise variance): `K_ij = s * exp(-|x_i - x_j|^2 / (2 l^2)) + t * [i = j]`, and the score is
//! `-(y^T K^-1 y) / 2 - log(det K) / 2 - n log(2 pi) / 2`, from the Cholesky factor of K.
//!
//! [`score`] is meant to be called inside a rayon loop and is itself parallel in its elementwise part. A rayon
//! worker that waits for that part may start another candidate on the same stack, so nothing here is kept per
//! thread: buffers come from a pool and go back to it.

use std::sync::Mutex;

use anyhow::Result;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::blas::{Blas, Factor};
use super::data::Problem;

/// Elements per piece of the elementwise loop: about 0.2 ms of `exp`, well above the cost of handing it over.
const PIECE: usize = 32 * 1024;

/// Scores that differ by less (relative) are a tie: the order of floating-point sums differs between thread counts.
const TIE: f64 = 1e-9;

/// One candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hyper {
    /// Of the standardised features.
    pub(crate) length_scale: f64,
    /// Of the standardised target.
    pub(crate) noise_variance: f64,
    /// Of the standardised target.
    pub(crate) signal_variance: f64,
}

/// How calls into BLAS are made: `plain` as they are, or under a limit.
pub(crate) trait Calls: Sync {
    /// Runs `call`, which is one call into BLAS.
    ///
    /// # Errors
    /// Those of `call`, and of putting it under a limit.
    fn around<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T>;

    /// Is told after each candidate.
    ///
    /// # Errors
    /// Those of changing a limit.
    fn candidate_done(&self) -> Result<()>;
}

/// `count` combinations spread over a grid (even in the logarithm), the same for the same count.
///
/// The noise starts at a quarter of the target's variance: the wine data repeats rows, and with less noise the model
/// that learns the repeats by heart would win.
pub(crate) fn grid(count: usize) -> Vec<Hyper> {
    // The sides differ by at most one and hold at least `count` points; of those, every k-th is kept.
    let mut sides = [1_usize; 3];
    let mut next = 0;
    while sides.iter().product::<usize>() < count {
        sides[next] += 1;
        next = (next + 1) % sides.len();
    }
    let points: usize = sides.iter().product();
    let level = |range: (f64, f64), index: usize, side: usize| {
        let share = if side == 1 {
            0.5
        } else {
            index as f64 / (side - 1) as f64
        };
        range.0 * (range.1 / range.0).powf(share)
    };
    (0..count)
        .map(|i| i * points / count)
        .map(|point| Hyper {
            length_scale: level((1.0, 8.0), point % sides[0], sides[0]),
            noise_variance: level((0.25, 1.0), point / sides[0] % sides[1], sides[1]),
            signal_variance: level((0.25, 4.0), point / sides[0] / sides[1], sides[2]),
        })
        .collect()
}

/// Buffers that outlive one candidate, so that runs measure arithmetic and not page faults.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<f64>>>);

impl Buffers {
    fn take(&self, len: usize) -> Vec<f64> {
        let mut free = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut buffer = free.pop().unwrap_or_default();
        buffer.resize(len, 0.0);
        buffer
    }

    fn give(&self, buffer: Vec<f64>) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(buffer);
    }
}

/// The log marginal likelihood of one candidate; `None` when its matrix is not positive definite.
///
/// # Errors
/// When a call into BLAS fails.
pub(crate) fn score(
    blas: &Blas,
    calls: &impl Calls,
    buffers: &Buffers,
    problem: &Problem,
    hyper: Hyper,
) -> Result<Option<f64>> {
    let n = problem.n;
    let mut matrix = buffers.take(n * n);
    let likelihood = factorise_and_solve(blas, calls, problem, hyper, &mut matrix);
    buffers.give(matrix);
    likelihood
}

fn factorise_and_solve(
    blas: &Blas,
    calls: &impl Calls,
    problem: &Problem,
    hyper: Hyper,
    matrix: &mut [f64],
) -> Result<Option<f64>> {
    let n = problem.n;
    // Scaled so that |x_i - x_j|^2 / (2 l^2) = g_ii / 2 + g_jj / 2 - g_ij for the Gram matrix g.
    let scaled: Vec<f64> = problem
        .x
        .iter()
        .map(|value| value / hyper.length_scale)
        .collect();
    calls.around(|| blas.gram(n, problem.d, &scaled, matrix))?;

    let half: Vec<f64> = (0..n).map(|i| matrix[i * n + i] / 2.0).collect();
    let columns = (PIECE / n).max(1);
    matrix
        .par_chunks_mut(columns * n)
        .enumerate()
        .for_each(|(piece, values)| {
            for (offset, column) in values.chunks_mut(n).enumerate() {
                let j = piece * columns + offset;
                for (value, half_i) in column.iter_mut().zip(&half) {
                    // Rounding may leave a tiny negative distance, which would be a kernel above its diagonal.
                    *value = hyper.signal_variance * (*value - half_i - half[j]).min(0.0).exp();
                }
                column[j] = hyper.signal_variance + hyper.noise_variance;
            }
        });

    if calls.around(|| blas.cholesky(n, matrix))? == Factor::NotPositiveDefinite {
        return Ok(None);
    }
    let mut weights = problem.y.clone();
    calls.around(|| blas.solve(n, matrix, &mut weights))?;
    let fit: f64 = problem
        .y
        .iter()
        .zip(&weights)
        .map(|(y, weight)| y * weight)
        .sum();
    let half_log_det: f64 = (0..n).map(|i| matrix[i * n + i].ln()).sum();
    let likelihood = -0.5 * fit - half_log_det - 0.5 * n as f64 * std::f64::consts::TAU.ln();
    // A matrix so ill-conditioned that the factor overflowed is as good as not positive definite.
    Ok(likelihood.is_finite().then_some(likelihood))
}

/// The index of the best score; among equals (within rounding) the first. `None` when every candidate failed.
pub(crate) fn best(scores: &[Option<f64>]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, score) in scores.iter().enumerate() {
        let Some(score) = *score else { continue };
        if best.is_none_or(|(_, top)| score > top + TIE * (1.0 + top.abs())) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    struct Plain;
    impl Calls for Plain {
        fn around<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
            call()
        }

        fn candidate_done(&self) -> Result<()> {
            Ok(())
        }
    }

    /// A missing library fails these tests, and the error names the package to install.
    fn blas() -> Blas {
        Blas::open(&[]).unwrap()
    }

    fn score_of(problem: &Problem, hyper: Hyper) -> Option<f64> {
        score(&blas(), &Plain, &Buffers::default(), problem, hyper).unwrap()
    }

    #[test]
    fn the_likelihood_of_two_points_is_the_closed_form() {
        let problem = Problem {
            n: 2,
            d: 1,
            x: vec![-1.0, 1.0],
            y: vec![-1.0, 1.0],
        };
        let hyper = Hyper {
            length_scale: 2.0,
            noise_variance: 0.25,
            signal_variance: 1.5,
        };
        // K = [[a, b], [b, a]] with a = 1.75, b = 1.5 exp(-4 / 8); y = (-1, 1) is its eigenvector for a - b.
        let (a, b) = (1.75_f64, 1.5 * (-0.5_f64).exp());
        let expected = -1.0 / (a - b) - 0.5 * (a * a - b * b).ln() - std::f64::consts::TAU.ln();
        assert!(
            (expected - -3.430_134).abs() < 1e-6,
            "the closed form itself: {expected}"
        );
        let got = score_of(&problem, hyper).unwrap();
        assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
    }

    #[test]
    fn the_likelihood_equals_gaussian_elimination_in_three_points_and_two_features() {
        let x: Vec<f64> = vec![0.3, -1.2, 0.9, /* second feature */ 1.0, 0.1, -1.1];
        let y = vec![0.5, -1.4, 0.9];
        let hyper = Hyper {
            length_scale: 0.8,
            noise_variance: 0.1,
            signal_variance: 0.7,
        };
        let mut k = [[0.0_f64; 3]; 3];
        for i in 0..3 {
            for j in 0..3 {
                let distance = (x[i] - x[j]).powi(2) + (x[3 + i] - x[3 + j]).powi(2);
                k[i][j] =
                    0.7 * (-distance / (2.0 * 0.64_f64)).exp() + if i == j { 0.1 } else { 0.0 };
            }
        }
        let det = k[0][0] * (k[1][1] * k[2][2] - k[1][2] * k[2][1])
            - k[0][1] * (k[1][0] * k[2][2] - k[1][2] * k[2][0])
            + k[0][2] * (k[1][0] * k[2][1] - k[1][1] * k[2][0]);
        let mut fit = 0.0;
        for i in 0..3 {
            for j in 0..3 {
                // The cofactor with cyclic indices carries its own sign.
                let (i1, i2, j1, j2) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
                fit += y[i] * y[j] * (k[j1][i1] * k[j2][i2] - k[j1][i2] * k[j2][i1]) / det;
            }
        }
        let expected = -0.5 * fit - 0.5 * det.ln() - 1.5 * std::f64::consts::TAU.ln();
        let got = score_of(&Problem { n: 3, d: 2, x, y }, hyper).unwrap();
        assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_score() {
        // Equal points and no noise: K is singular, and the second pivot is exactly 0.
        let problem = Problem {
            n: 2,
            d: 1,
            x: vec![1.0, 1.0],
            y: vec![-1.0, 1.0],
        };
        let hyper = Hyper {
            length_scale: 1.0,
            noise_variance: 0.0,
            signal_variance: 1.0,
        };
        assert_eq!(score_of(&problem, hyper), None);
    }

    #[test]
    fn lengths_are_checked_before_the_library_is_called() {
        let blas = blas();
        assert!(blas.gram(2, 1, &[1.0], &mut [0.0; 4]).is_err());
        assert!(blas.gram(2, 1, &[1.0; 2], &mut [0.0; 3]).is_err());
        assert!(blas.cholesky(2, &mut [0.0; 3]).is_err());
        assert!(blas.solve(2, &[0.0; 4], &mut [0.0; 1]).is_err());
        assert!(blas.cholesky(0, &mut []).is_err());
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_failures_never_win() {
        assert_eq!(
            best(&[None, Some(-5.0), Some(-3.0), Some(-3.0 + 1e-12), None]),
            Some(2)
        );
        assert_eq!(best(&[None, None]), None);
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn the_grid_has_the_count_asked_for_without_repeats() {
        for count in [1, 2, 3, 7, 8, 48, 101] {
            let grid = grid(count);
            assert_eq!(grid.len(), count);
            for (i, a) in grid.iter().enumerate() {
                assert!(!grid[..i].contains(a), "{count}: {a:?} twice");
            }
        }
    }
}
