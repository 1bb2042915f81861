//! The selection of `threadctl demo` over ranks: which hyper-parameters of a Gaussian process explain the data best.
//!
//! Candidates are scored by their log marginal likelihood: the kernel's matrix by BLAS, its exponentials by rayon, its Cholesky factor
//! by LAPACK, all three on a rank's crew. Each rank has its part of the candidates, and of the rows until all have read theirs; then each
//! has all rows, since each score needs them. Later rounds look closer around the best candidate so far.
//!
//! Invariants: scores, and so what is selected, are the same bits on any number of ranks; candidates whose matrix is not positive
//! definite are never selected; of equals the first is.

use std::path::PathBuf;

use clap::Parser;
use ndarray::{Array1, Array2, ArrayViewMut1, Axis};
use ndarray_linalg::error::LinalgError;
use ndarray_linalg::{DeterminantC, FactorizeCInto, SolveC, UPLO};
use rayon::prelude::*;
use serde::Serialize;

use super::Digest;
use super::crew::Crew;
use super::kmeans::positive;
use super::parts::parts;
use super::ranks::{GivenUp, Ranks};
use super::report::{Clock, Document};
use super::rows::{Rows, random};
use super::tree::{self, Traffic};

/// Selects hyper-parameters of a Gaussian process, over the ranks that MPI has started.
///
/// Exit codes: 0 done, 2 the options or the data cannot be read, or no candidate has a score.
#[derive(Clone, Debug, Parser)]
#[command(name = "selection")]
pub struct Args {
    /// A .npy file of float64, (rows, features and the target), in C order, that every rank can read [default: made from the seed]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "features", "seed"])]
    pub file: Option<PathBuf>,
    /// How many rows are made
    #[arg(long, value_name = "N", default_value_t = 800)]
    pub rows: usize,
    /// Their features
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = positive)]
    pub features: usize,
    /// What they are made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many candidates each round has
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = positive)]
    pub candidates: usize,
    /// How many rounds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive)]
    pub rounds: usize,
    /// Workers of each rank's pool [default: the cores of the rank that can use the fewest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub width: Option<u32>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// One candidate, of standardised features and a standardised target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hyper {
    /// How far a point is felt.
    pub length_scale: f64,
    /// Of what the features do not explain.
    pub noise_variance: f64,
    /// Of what they explain.
    pub signal_variance: f64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Found {
    rows: usize,
    features: usize,
    candidates: usize,
    best: Hyper,
    score: f64,
}

/// From where to where candidates are looked for: length scale, noise, signal.
pub type Ranges = [(f64, f64); 3];

/// As in `threadctl demo`.
pub const FIRST: Ranges = [(1.0, 8.0), (0.25, 1.0), (0.25, 4.0)];

/// Rows that are read at once.
const BLOCK: usize = 64;

/// Scores that differ by less (relative) are equal.
const TIE: f64 = 1e-9;

/// A made row: features from -1 to 1, and a target that they explain in part.
pub fn make(seed: u64, row: u64, numbers: &mut [f64]) {
    let Some((target, features)) = numbers.split_last_mut() else {
        return;
    };
    *target = random(seed, row, u64::MAX) - 0.5;
    for (place, feature) in features.iter_mut().enumerate() {
        *feature = 2.0 * random(seed, row, place as u64) - 1.0;
        *target += (2.0 * *feature).sin() / (place + 1) as f64;
    }
}

/// Evenly spread candidates (in the logarithm), the same for the same count.
#[must_use]
pub fn grid(count: usize, ranges: &Ranges) -> Vec<Hyper> {
    // The sides differ by at most one and hold at least `count` points; of those, every k-th is kept.
    let mut sides = [1_usize; 3];
    let mut next = 0;
    while sides.iter().product::<usize>() < count {
        sides[next] += 1;
        next = (next + 1) % sides.len();
    }
    let points: usize = sides.iter().product();
    let level = |(low, high): (f64, f64), index: usize, side: usize| {
        let share = if side == 1 {
            0.5
        } else {
            index as f64 / (side - 1) as f64
        };
        low * (high / low).powf(share)
    };
    (0..count)
        .map(|index| index * points / count)
        .map(|point| Hyper {
            length_scale: level(ranges[0], point % sides[0], sides[0]),
            noise_variance: level(ranges[1], point / sides[0] % sides[1], sides[1]),
            signal_variance: level(ranges[2], point / sides[0] / sides[1], sides[2]),
        })
        .collect()
}

/// Half as wide around a candidate.
fn closer(ranges: &Ranges, best: Hyper) -> Ranges {
    let at = [best.length_scale, best.noise_variance, best.signal_variance];
    let around = |index: usize| {
        let (low, high) = ranges[index];
        let quarter = (high / low).powf(0.25);
        (at[index] / quarter, at[index] * quarter)
    };
    [around(0), around(1), around(2)]
}

/// The program.
///
/// # Errors
/// The data cannot be read or modelled; on all ranks.
pub fn run(ranks: &Ranks, args: &Args) -> Result<String, GivenUp> {
    let mut clock = Clock::begin();
    let source = ranks.agree(match &args.file {
        Some(file) => Rows::open(file),
        None => Ok(Rows::made(args.rows, args.features + 1, args.seed, make)),
    })?;
    ranks.same("the shape of the table", &source.shape())?;
    ranks.agree(tree::countable(
        source.rows().saturating_mul(source.columns()),
    ))?;
    let table = all_rows(ranks, &source)?;
    let problem = ranks.agree(Problem::new(&table))?;
    clock.has_read();

    let parts = parts(args.candidates, &ranks.cores);
    let counts: Vec<usize> = parts.iter().map(ExactSizeIterator::len).collect();
    let mut digest = Digest::default();
    let mut ranges = FIRST;
    let mut best: Option<(Hyper, f64)> = None;
    for _ in 0..args.rounds {
        let candidates = grid(args.candidates, &ranges);
        let compute = || {
            let own = &candidates[parts[ranks.rank()].clone()];
            // Workers know nothing of MPI.
            let crew = &ranks.crew;
            crew.each(own, |hyper| score(crew, &problem, *hyper))
        };
        let scores = clock.iteration(ranks, compute, |scores| {
            // Those without a score are no numbers.
            let scores: Result<Vec<f64>, String> = scores
                .into_iter()
                .map(|score| Ok(score?.unwrap_or(f64::NAN)))
                .collect();
            let scores = ranks.agree(scores)?;
            Ok(tree::gather(ranks.world(), &scores, &counts))
        })?;
        digest.add_all(&scores);
        for (hyper, score) in candidates.into_iter().zip(scores) {
            let is_better = |top: f64| score > top + TIE * (1.0 + top.abs());
            if !score.is_nan() && best.is_none_or(|(_, top)| is_better(top)) {
                best = Some((hyper, score));
            }
        }
        if let Some((hyper, _)) = best {
            ranges = closer(&ranges, hyper);
        }
    }

    let best = best.ok_or("no candidate has a positive definite matrix");
    let (best, score) = ranks.agree(best)?;
    let found = Found {
        rows: table.nrows(),
        features: table.ncols() - 1,
        candidates: args.candidates * args.rounds,
        best,
        score,
    };
    let words = format!(
        "{} rows, {} features: the best of {} candidates has length scale {:.4}, noise {:.4}, signal {:.4}; log likelihood {:.6}",
        found.rows,
        found.features,
        found.candidates,
        best.length_scale,
        best.noise_variance,
        best.signal_variance,
        score
    );
    let traffic = Traffic {
        bytes: (args.candidates * size_of::<f64>()) as u64,
        messages: counts.iter().filter(|count| **count > 0).count() as u64,
    };
    let document = Document::new("selection", ranks, digest, &clock, traffic, found);
    ranks.agree(document.show(args.json, &words))
}

/// All rows on every rank, of which each has read its part.
fn all_rows(ranks: &Ranks, source: &Rows) -> Result<Array2<f64>, GivenUp> {
    let (rows, columns) = (source.rows(), source.columns());
    let parts = parts(rows.div_ceil(BLOCK), &ranks.cores);
    let blocks: Vec<usize> = parts[ranks.rank()].clone().collect();
    let read = ranks.crew.each(&blocks, |block| {
        source.read(block * BLOCK..rows.min((block + 1) * BLOCK))
    });
    let own = ranks.agree(read.into_iter().collect::<Result<Vec<_>, _>>())?;
    let own: Vec<f64> = own.into_iter().flatten().collect();
    let numbers = |part: &std::ops::Range<usize>| {
        (rows.min(part.end * BLOCK) - rows.min(part.start * BLOCK)) * columns
    };
    let counts: Vec<usize> = parts.iter().map(numbers).collect();
    let all = tree::gather(ranks.world(), &own, &counts);
    ranks.agree(Array2::from_shape_vec((rows, columns), all))
}

/// Features and target, standardised.
#[derive(Debug)]
pub struct Problem {
    x: Array2<f64>,
    y: Array1<f64>,
}

impl Problem {
    /// Of rows whose last number is the target.
    ///
    /// # Errors
    /// There are too few rows or columns, or a column is constant, in words.
    pub fn new(table: &Array2<f64>) -> Result<Self, String> {
        if table.nrows() < 2 || table.ncols() < 2 {
            return Err(format!(
                "{} rows of {} columns; wanted: at least 2 rows, a feature and the target",
                table.nrows(),
                table.ncols()
            ));
        }
        let mut table = table.clone();
        for (index, column) in table.columns_mut().into_iter().enumerate() {
            standardise(column).map_err(|why| format!("column {}: {why}", index + 1))?;
        }
        let (x, y) = table.view().split_at(Axis(1), table.ncols() - 1);
        Ok(Problem {
            x: x.to_owned(),
            y: y.column(0).to_owned(),
        })
    }
}

/// Mean 0 and variance 1.
fn standardise(mut column: ArrayViewMut1<'_, f64>) -> Result<(), String> {
    let n = column.len() as f64;
    let mean = column.iter().map(|value| value / n).sum::<f64>();
    let variance = column
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / n;
    let deviation = variance.sqrt();
    if !deviation.is_normal() {
        return Err("its values are constant, or too large or too close together".to_owned());
    }
    column.mapv_inplace(|value| (value - mean) / deviation);
    Ok(())
}

/// The log marginal likelihood; `None` where the matrix is not positive definite.
///
/// # Errors
/// LAPACK was called in a way that it does not take, in words.
pub fn score(crew: &Crew, problem: &Problem, hyper: Hyper) -> Result<Option<f64>, String> {
    let n = problem.y.len();
    // |x_i - x_j|^2 / (2 l^2) is g_ii / 2 + g_jj / 2 - g_ij for the products g of scaled rows.
    let scaled = problem.x.mapv(|value| value / hyper.length_scale);
    let mut matrix = scaled.dot(&scaled.t());
    let half: Vec<f64> = matrix.diag().iter().map(|square| square / 2.0).collect();
    let piece = n.div_ceil(crew.pieces()).max(1);
    let rows: Vec<_> = matrix.axis_chunks_iter_mut(Axis(0), piece).collect();
    rows.into_par_iter()
        .enumerate()
        .for_each(|(index, mut rows)| {
            for (offset, mut row) in rows.rows_mut().into_iter().enumerate() {
                let i = index * piece + offset;
                for (value, other) in row.iter_mut().zip(&half) {
                    // Rounding may leave a tiny negative distance, which would be a kernel above its diagonal.
                    *value = hyper.signal_variance * (*value - half[i] - other).min(0.0).exp();
                }
                row[i] = hyper.signal_variance + hyper.noise_variance;
            }
        });
    let factor = match matrix.factorizec_into(UPLO::Lower) {
        Ok(factor) => factor,
        Err(LinalgError::Lapack(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let weights = factor
        .solvec(&problem.y)
        .map_err(|error| error.to_string())?;
    let fit: f64 = problem
        .y
        .iter()
        .zip(&weights)
        .map(|(y, weight)| y * weight)
        .sum();
    let likelihood =
        -0.5 * fit - 0.5 * factor.ln_detc() - 0.5 * n as f64 * std::f64::consts::TAU.ln();
    // A matrix so ill-conditioned that the factor overflowed is as good as not positive definite.
    Ok(likelihood.is_finite().then_some(likelihood))
}
