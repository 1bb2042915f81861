//! The Gaussian-process selection as `examples/mpi` does it: candidates in lanes, of each a kernel matrix, its Cholesky factor and a
//! solution through dispatch, in memory of its own; then all nodes have all scores.
//!
//! An item for the simulator is a candidate. Rows and features are those of the demo's data, the numbers are made up: times do not
//! depend on them.

use super::record::Record;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use threadctl::dispatch::Blas;

pub const ROWS: usize = 1599;
pub const FEATURES: usize = 11;

/// The kinds of tiles.
pub const GRAM: usize = 0;
pub const EXPONENTIALS: usize = 1;
pub const PANEL: usize = 2;
pub const UPDATE: usize = 3;
pub const ONE: usize = 4;
pub const KINDS: &[&str] = &[
    "Gram matrix",
    "exponentials",
    "factor: panels",
    "factor: updates",
    "what one thread does",
];

/// What each node tells of its candidates: for all that it has a score of each; and whether it has failed.
pub const SCORE: usize = size_of::<f64>();
pub const AGREED: usize = size_of::<i32>();

/// The problem.
pub struct Data {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Data {
    pub fn new() -> Self {
        let fill = |count: usize, step: f64| -> Vec<f64> {
            (0..count)
                .map(|at| 3.0 * (at as f64 * step).fract() - 1.5)
                .collect()
        };
        Data {
            x: fill(ROWS * FEATURES, 0.618_033_988_75),
            y: fill(ROWS, 0.414_213_562_37),
        }
    }

    /// So many candidates in the pool that the caller is in. Seconds.
    pub fn run(&self, blas: &Blas, candidates: usize) -> f64 {
        let start = Instant::now();
        let (next, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let lanes = rayon::current_num_threads();
        let scores: Vec<f64> = (0..lanes)
            .into_par_iter()
            .with_max_len(1)
            .flat_map_iter(|_| {
                // Relaxed: numbers that go with no data.
                running.fetch_add(1, Ordering::Relaxed);
                let mut scores = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < candidates {
                    scores.push(self.score(blas, || lanes / running.load(Ordering::Relaxed)));
                }
                running.fetch_sub(1, Ordering::Relaxed);
                scores
            })
            .collect();
        std::hint::black_box(scores);
        start.elapsed().as_secs_f64()
    }

    fn score(&self, blas: &Blas, pieces: impl Fn() -> usize) -> f64 {
        let x = self.scaled();
        let mut matrix = vec![0.0; ROWS * ROWS];
        gram(blas, &x, &mut matrix, (0..ROWS, 0..ROWS));
        let half = half_diagonal(&matrix);
        let columns = ROWS.div_ceil(pieces().max(1));
        matrix
            .par_chunks_mut(columns * ROWS)
            .enumerate()
            .for_each(|(piece, values)| exponentials(piece * columns, values, &half));
        let n = ROWS as isize;
        // SAFETY: a matrix of n x n.
        let info = unsafe { blas.potrf(b'L', n, matrix.as_mut_ptr(), n) }.expect("sizes fit");
        assert_eq!(info, 0, "it is positive definite");
        self.finish(blas, &matrix)
    }

    /// A candidate in one thread, cut as in a pool of `width` workers. The caller is in a pool of one.
    pub fn record(&self, blas: &Blas, width: usize, record: &mut Record) {
        let mut matrix = vec![0.0; ROWS * ROWS];
        let n = ROWS as isize;
        record.round();
        record.stage();
        let x = record.tile(ONE, || self.scaled());
        record.stage();
        for tile in blas.product_tiles::<f64>([ROWS, ROWS, FEATURES], width) {
            record.tile(GRAM, || gram(blas, &x, &mut matrix, tile));
        }
        record.stage();
        let half = record.tile(ONE, || half_diagonal(&matrix));
        record.stage();
        record.tile(EXPONENTIALS, || exponentials(0, &mut matrix, &half));
        let steps = blas.cholesky_steps::<f64>(ROWS, width);
        let first = steps.first().map_or(ROWS, |step| step.columns.len());
        let at = |row: usize, column: usize| row + column * ROWS;
        let a = matrix.as_mut_ptr();
        // SAFETY: a block on the diagonal.
        let factor = |start: usize, order: usize| unsafe {
            blas.potrf(b'L', order as isize, a.add(at(start, start)), n)
                .expect("sizes fit")
        };
        record.stage();
        record.tile(ONE, || factor(0, first));
        for step in &steps {
            let (start, depth) = (step.columns.start, step.columns.len() as isize);
            record.stage();
            for rows in &step.panel {
                // SAFETY: rows of the panel, and the block that they are solved for with.
                record.tile(PANEL, || unsafe {
                    let (block, lines) = (a.add(at(start, start)), a.add(at(rows.start, start)));
                    let m = rows.len() as isize;
                    blas.trsm(b'R', b'L', b'C', b'N', m, depth, 1.0, block, n, lines, n)
                        .expect("sizes fit");
                });
            }
            // SAFETY: rows of the panel, and a part of what is left on or below the diagonal.
            let take = |rows: &std::ops::Range<usize>, columns: &std::ops::Range<usize>| unsafe {
                let (left, right) = (
                    a.add(at(rows.start, start)),
                    a.add(at(columns.start, start)),
                );
                let to = a.add(at(rows.start, columns.start));
                let (rows, width) = (rows.len() as isize, columns.len() as isize);
                if std::ptr::eq(left, right) {
                    blas.herk(b'L', b'N', rows, depth, -1.0, left, n, 1.0, to, n)
                } else {
                    blas.gemm(
                        b'N', b'C', rows, width, depth, -1.0, left, n, right, n, 1.0, to, n,
                    )
                }
                .expect("sizes fit");
            };
            record.stage();
            record.tile(UPDATE, || {
                take(&step.next, &step.next);
                factor(step.next.start, step.next.len());
            });
            for (rows, columns) in &step.update {
                record.tile(UPDATE, || take(rows, columns));
            }
        }
        record.stage();
        std::hint::black_box(record.tile(ONE, || self.finish(blas, &matrix)));
    }

    fn scaled(&self) -> Vec<f64> {
        self.x.iter().map(|value| value / 2.0).collect()
    }

    /// The likelihood, from the factor.
    fn finish(&self, blas: &Blas, factor: &[f64]) -> f64 {
        let mut weights = self.y.clone();
        let n = ROWS as isize;
        // SAFETY: a factor of n x n, and one column.
        unsafe { blas.potrs(b'L', n, 1, factor.as_ptr(), n, weights.as_mut_ptr(), n) }
            .expect("sizes fit");
        let fit: f64 = self
            .y
            .iter()
            .zip(&weights)
            .map(|(y, weight)| y * weight)
            .sum();
        let logarithms: f64 = (0..ROWS).map(|at| factor[at * ROWS + at].ln()).sum();
        -0.5 * fit - logarithms
    }
}

/// A part of the product of the features with themselves.
fn gram(
    blas: &Blas,
    x: &[f64],
    matrix: &mut [f64],
    (rows, columns): (std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let (n, k) = (ROWS as isize, FEATURES as isize);
    let (left, right) = (x[rows.start..].as_ptr(), x[columns.start..].as_ptr());
    let to = matrix[rows.start + columns.start * ROWS..].as_mut_ptr();
    let (rows, columns) = (rows.len() as isize, columns.len() as isize);
    // SAFETY: rows of the features, and where they meet in a matrix of n x n.
    unsafe {
        blas.gemm(
            b'N', b'T', rows, columns, k, 1.0, left, n, right, n, 0.0, to, n,
        )
    }
    .expect("sizes fit");
}

fn half_diagonal(matrix: &[f64]) -> Vec<f64> {
    (0..ROWS).map(|at| matrix[at * ROWS + at] / 2.0).collect()
}

/// The kernel of the columns from that one on.
fn exponentials(first: usize, values: &mut [f64], half: &[f64]) {
    for (offset, column) in values.chunks_mut(ROWS).enumerate() {
        let at = first + offset;
        for (value, half_row) in column.iter_mut().zip(half) {
            *value = 0.8 * (*value - half_row - half[at]).min(0.0).exp();
        }
        column[at] = 0.8 + 0.4;
    }
}
