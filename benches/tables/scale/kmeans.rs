//! k-means as `examples/mpi` does it: blocks of points in lanes, of each the distances by a product through dispatch and the nearest
//! centroid point by point; then one thread adds up what the blocks found, in a tree, and after all nodes have told each other their
//! branches, each completes the tree.
//!
//! An item for the simulator is a block. Invariant: blocks, dimensions and centroids are the example's defaults.

use super::record::Record;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use threadctl::dispatch::Blas;

/// Points of a block, their dimensions, centroids.
pub const BLOCK: usize = 4096;
pub const DIMENSIONS: usize = 16;
pub const CENTROIDS: usize = 16;

/// The kinds of tiles.
pub const PRODUCT: usize = 0;
pub const REST: usize = 1;
pub const KINDS: &[&str] = &["product", "nearest, and sums"];

/// What a block finds out: sums of the points of each centroid, how many they are, and their squared distances.
const FOUND: usize = CENTROIDS * (DIMENSIONS + 1) + 1;
/// The same in bytes: a branch of the tree, of which each node has one where its blocks are a power of two of all.
pub const BRANCH: usize = FOUND * size_of::<f64>();

/// Points and centroids, one after the other.
pub struct Data {
    points: Vec<f64>,
    centroids: Vec<f64>,
}

impl Data {
    pub fn new(blocks: usize) -> Self {
        // A sequence that fills the unit interval evenly.
        let fill = |count: usize, step: f64| -> Vec<f64> {
            (0..count).map(|at| (at as f64 * step).fract()).collect()
        };
        Data {
            points: fill(blocks * BLOCK * DIMENSIONS, 0.618_033_988_75),
            centroids: fill(CENTROIDS * DIMENSIONS, 0.414_213_562_37),
        }
    }

    fn lengths(&self) -> Vec<f64> {
        self.centroids
            .chunks_exact(DIMENSIONS)
            .map(square)
            .collect()
    }

    /// One round in the pool that the caller is in, without moving the centroids, so that all rounds are alike. Seconds.
    pub fn run(&self, blas: &Blas) -> f64 {
        let start = Instant::now();
        let (lengths, centroids) = (self.lengths(), &self.centroids);
        let blocks: Vec<&[f64]> = self.points.chunks(BLOCK * DIMENSIONS).collect();
        let next = AtomicUsize::new(0);
        let lanes = 0..rayon::current_num_threads();
        let mut done: Vec<(usize, Vec<f64>)> = lanes
            .into_par_iter()
            .with_max_len(1)
            .flat_map_iter(|_| {
                let mut products = vec![0.0; CENTROIDS * BLOCK];
                let mut done = Vec::new();
                // Relaxed: a number that goes with no data.
                while let Some(points) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let whole = (0..CENTROIDS, 0..BLOCK);
                    product(blas, centroids, points, &mut products, whole);
                    done.push((
                        points.as_ptr().addr(),
                        nearest(&products, points, &lengths).0,
                    ));
                }
                done
            })
            .collect();
        done.sort_unstable_by_key(|(at, _)| *at);
        let leaves: Vec<Vec<f64>> = done.into_iter().map(|(_, found)| found).collect();
        std::hint::black_box(add(&leaves, leaves.len().next_power_of_two(), 0));
        start.elapsed().as_secs_f64()
    }

    /// A round for each of these blocks, in one thread, cut as in pools of these widths in turn. The caller is in a pool of one.
    pub fn record(
        &self,
        blas: &Blas,
        widths: [usize; 3],
        records: &mut [Record; 3],
        blocks: std::ops::Range<usize>,
    ) {
        let lengths = self.lengths();
        let shape = [CENTROIDS, BLOCK, DIMENSIONS];
        let tiles = widths.map(|width| blas.product_tiles::<f64>(shape, width));
        let mut products = vec![0.0; CENTROIDS * BLOCK];
        let all: Vec<&[f64]> = self.points.chunks(BLOCK * DIMENSIONS).collect();
        for block in blocks {
            for (at, (tiles, record)) in tiles.iter().zip(&mut *records).enumerate() {
                // Not the same points for each width: they would be in the cache for all but the first.
                let points = all[(block + at * all.len() / widths.len()) % all.len()];
                record.round();
                record.stage();
                for tile in tiles {
                    record.tile(PRODUCT, || {
                        product(blas, &self.centroids, points, &mut products, tile.clone());
                    });
                }
                record.stage();
                std::hint::black_box(record.tile(REST, || nearest(&products, points, &lengths)));
            }
        }
    }
}

/// Seconds for each block of adding up what many of them found.
pub fn adding(rounds: usize) -> Vec<f64> {
    // Half of the blocks of a node: more than the caches hold.
    let parts = vec![vec![1.0; FOUND]; 8192];
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(add(&parts, parts.len(), 0));
            start.elapsed().as_secs_f64() / parts.len() as f64
        })
        .collect()
}

/// The sum of so many leaves (a power of two, as far as they exist) from that one on, in the tree's order.
fn add(leaves: &[Vec<f64>], count: usize, first: usize) -> Vec<f64> {
    if count == 1 {
        return leaves[first].clone();
    }
    let half = count / 2;
    let mut sum = add(leaves, half, first);
    if first + half < leaves.len() {
        let right = add(leaves, half, first + half);
        for (sum, right) in sum.iter_mut().zip(right) {
            *sum += right;
        }
    }
    sum
}

fn square(point: &[f64]) -> f64 {
    point.iter().map(|value| value * value).sum()
}

/// These centroids by these points.
fn product(
    blas: &Blas,
    centroids: &[f64],
    points: &[f64],
    products: &mut [f64],
    (rows, columns): (std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let (d, k) = (DIMENSIONS as isize, CENTROIDS as isize);
    let left = centroids[rows.start * DIMENSIONS..].as_ptr();
    let right = points[columns.start * DIMENSIONS..].as_ptr();
    let to = products[rows.start + columns.start * CENTROIDS..].as_mut_ptr();
    let (m, n) = (rows.len() as isize, columns.len() as isize);
    // SAFETY: parts of matrices of d x k, d x BLOCK and k x BLOCK.
    unsafe { blas.gemm(b'T', b'N', m, n, d, 1.0, left, d, right, d, 0.0, to, k) }
        .expect("sizes fit");
}

/// The sums of the points that are nearest to each centroid, how many these are, and the squared distances; and a digest of the labels.
fn nearest(products: &[f64], points: &[f64], lengths: &[f64]) -> (Vec<f64>, u64) {
    let mut found = vec![0.0; FOUND];
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for (products, point) in products
        .chunks_exact(CENTROIDS)
        .zip(points.chunks_exact(DIMENSIONS))
    {
        let (mut nearest, mut least) = (0, f64::INFINITY);
        for (index, (product, length)) in products.iter().zip(lengths).enumerate() {
            let distance = length - 2.0 * product;
            if distance < least {
                (nearest, least) = (index, distance);
            }
        }
        for byte in (nearest as u64).to_le_bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let sum = &mut found[nearest * DIMENSIONS..][..DIMENSIONS];
        sum.iter_mut()
            .zip(point)
            .for_each(|(sum, value)| *sum += value);
        found[CENTROIDS * DIMENSIONS + nearest] += 1.0;
        found[FOUND - 1] += (square(point) + least).max(0.0);
    }
    (found, digest)
}
