//! Nearest neighbours by cosine among vectors of hundreds of dimensions: products of blocks, each gone through once.
//!
//! Here a matrix product is the right tool: for each number that it writes it does two operations per dimension. The scores of
//! all pairs are never in memory: a task multiplies some rows by some columns (BLAS, through dispatch), and goes through that
//! block while it is in the cache.
//!
//! Invariants: beyond vectors and results, memory is one block for each running task (2 MiB) and a number per vector;
//! of equal scores the smaller index comes first, so results repeat on pools of one size. (On others the last bits of a product, and
//! with them the order of two that differ by no more, may be others.)

use multiversion::multiversion;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use thiserror::Error;
use threadctl_src as _;

/// Rows of a block.
const ROWS: usize = 512;
/// Columns of a block.
const COLUMNS: usize = 1024;
/// Scores per question "is one of them high enough?".
const CHUNK: usize = 64;
/// Maxima kept side by side: the compiler may not reorder a search for one largest number, as instructions on several would.
const LANES: usize = 16;

/// A vector near to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Which.
    pub index: u32,
    /// The cosine of the angle between the two.
    pub cosine: f32,
}

/// Two vectors near to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The one with the smaller index.
    pub first: u32,
    /// The other.
    pub second: u32,
    /// The cosine of the angle between them.
    pub cosine: f32,
}

/// What cannot be answered.
#[derive(Debug, Error)]
pub enum BadVectors {
    /// A vector is NaN, infinite or 0, or so long or short that products of two leave the range of float32.
    #[error("row {row} has length {length:e}; wanted: 1e-15 to 1e15")]
    Length {
        /// Counted from 0.
        row: usize,
        /// Its length.
        length: f64,
    },
    /// There are not so many others.
    #[error(
        "{wanted} neighbours among {vectors} vectors; wanted: at least 1, and fewer than there are vectors"
    )]
    Count {
        /// How many neighbours.
        wanted: usize,
        /// How many vectors.
        vectors: usize,
    },
    /// Indices have 32 bits.
    #[error("{0} vectors; wanted: fewer than 4,294,967,296")]
    TooMany(usize),
}

/// The nearest of each vector, the nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    count: usize,
    all: Vec<Neighbour>,
}

impl Nearest {
    /// Those of one vector.
    #[must_use]
    pub fn of(&self, index: usize) -> &[Neighbour] {
        &self.all[index * self.count..][..self.count]
    }

    /// The indices, a row for each vector.
    #[must_use]
    pub fn indices(&self) -> Array2<i64> {
        let rows = self.all.len() / self.count;
        Array2::from_shape_fn((rows, self.count), |(row, at)| {
            i64::from(self.of(row)[at].index)
        })
    }
}

/// The `count` nearest others of each row of `vectors` (n, dimensions). On rayon's current pool.
///
/// # Errors
/// There are not so many others, or a row has no direction.
pub fn nearest(vectors: ArrayView2<'_, f32>, count: usize) -> Result<Nearest, BadVectors> {
    let inverse = inverse_lengths(vectors)?;
    if count == 0 || count >= vectors.nrows() {
        return Err(BadVectors::Count {
            wanted: count,
            vectors: vectors.nrows(),
        });
    }
    let mut all = vec![
        Neighbour {
            index: 0,
            cosine: f32::NEG_INFINITY
        };
        vectors.nrows() * count
    ];
    all.par_chunks_mut(ROWS * count)
        .enumerate()
        .for_each(|(task, best)| {
            let first = task * ROWS;
            each_block(vectors, first, 0, |column, row, products| {
                let best = &mut best[row * count..][..count];
                let own = first + row;
                let inverse = (inverse[own], &inverse[column..][..products.len()]);
                high(products, inverse, best[count - 1].cosine, |at, cosine| {
                    if column + at != own && cosine > best[count - 1].cosine {
                        let place = best.partition_point(|other| other.cosine >= cosine);
                        best[place..].rotate_right(1);
                        best[place] = Neighbour {
                            index: (column + at) as u32,
                            cosine,
                        };
                    }
                });
            });
        });
    Ok(Nearest { count, all })
}

/// All pairs of rows whose cosine is above `threshold`, in order. On rayon's current pool.
///
/// # Errors
/// A row has no direction.
pub fn pairs_above(vectors: ArrayView2<'_, f32>, threshold: f32) -> Result<Vec<Pair>, BadVectors> {
    let inverse = inverse_lengths(vectors)?;
    let tasks = vectors.nrows().div_ceil(ROWS);
    let found: Vec<Vec<Pair>> = (0..tasks)
        .into_par_iter()
        .map(|task| {
            let first = task * ROWS;
            let mut found = Vec::new();
            // Each pair once: what lies below the diagonal is above it, too.
            each_block(vectors, first, first, |column, row, products| {
                let own = first + row;
                let inverse = (inverse[own], &inverse[column..][..products.len()]);
                high(products, inverse, threshold, |at, cosine| {
                    let other = column + at;
                    if other > own {
                        found.push(Pair {
                            first: own as u32,
                            second: other as u32,
                            cosine,
                        });
                    }
                });
            });
            found.sort_unstable_by_key(|pair| (pair.first, pair.second));
            found
        })
        .collect();
    Ok(found.concat())
}

/// Multiplies the rows from `first` on by blocks of all rows from `column` on, and shows each row of each block:
/// (first column, row counted from `first`, products).
fn each_block(
    vectors: ArrayView2<'_, f32>,
    first: usize,
    column: usize,
    mut visit: impl FnMut(usize, usize, &[f32]),
) {
    let rows = vectors.slice(s![first..vectors.nrows().min(first + ROWS), ..]);
    let mut block = Array2::<f32>::zeros((rows.nrows(), COLUMNS));
    for column in (column..vectors.nrows()).step_by(COLUMNS) {
        let columns = vectors.slice(s![column..vectors.nrows().min(column + COLUMNS), ..]);
        let mut products = block.slice_mut(s![.., ..columns.nrows()]);
        general_mat_mul(1.0, &rows, &columns.t(), 0.0, &mut products);
        for (row, products) in products.rows().into_iter().enumerate() {
            // Rows of a slice of a row-major matrix are contiguous.
            if let Some(products) = products.to_slice() {
                visit(column, row, products);
            }
        }
    }
}

/// Calls `take` with the place and the cosine of every product whose cosine is above `floor`.
fn high(
    products: &[f32],
    (own, inverse): (f32, &[f32]),
    floor: f32,
    mut take: impl FnMut(usize, f32),
) {
    let mut promising = [false; COLUMNS / CHUNK];
    find_chunks(products, inverse, own, floor, &mut promising);
    let found = promising.iter().enumerate().filter(|(_, found)| **found);
    for (chunk, _) in found {
        let these = chunk * CHUNK..products.len().min((chunk + 1) * CHUNK);
        for at in these {
            let cosine = products[at] * inverse[at] * own;
            if cosine > floor {
                take(at, cosine);
            }
        }
    }
}

/// Which chunks have a cosine above `floor`.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn find_chunks(products: &[f32], inverse: &[f32], own: f32, floor: f32, promising: &mut [bool]) {
    let chunks = products.chunks(CHUNK).zip(inverse.chunks(CHUNK));
    for ((products, inverse), promising) in chunks.zip(promising) {
        let (whole, rest) = products.as_chunks::<LANES>();
        let (inverse, inverse_rest) = inverse.as_chunks::<LANES>();
        let mut best = [f32::NEG_INFINITY; LANES];
        for (products, inverse) in whole.iter().zip(inverse) {
            for ((best, product), inverse) in best.iter_mut().zip(products).zip(inverse) {
                let cosine = product * inverse * own;
                *best = if cosine > *best { cosine } else { *best };
            }
        }
        // Without a branch for each.
        let any = best.iter().fold(false, |any, best| any | (*best > floor));
        let mut rest = rest.iter().zip(inverse_rest);
        *promising = any || rest.any(|(product, inverse)| product * inverse * own > floor);
    }
}

/// 1 / length of each row.
fn inverse_lengths(vectors: ArrayView2<'_, f32>) -> Result<Vec<f32>, BadVectors> {
    if u32::try_from(vectors.nrows()).is_err() {
        return Err(BadVectors::TooMany(vectors.nrows()));
    }
    let rows: Vec<_> = vectors.rows().into_iter().enumerate().collect();
    rows.into_par_iter()
        .map(|(row, vector)| {
            let length = vector
                .iter()
                .map(|value| f64::from(*value).powi(2))
                .sum::<f64>()
                .sqrt();
            // A NaN is in no range.
            if (1e-15..=1e15).contains(&length) {
                Ok((1.0 / length) as f32)
            } else {
                Err(BadVectors::Length { row, length })
            }
        })
        .collect()
}
