//! Every pair, vectorised, left at the first hit.
//!
//! Two passes over a block of contaminants. The first has scalar products in f32, coordinate by coordinate, so that one
//! instruction compares several contaminants; it only says which blocks deserve a look. The second decides, in f64, by the
//! chord. Whether a contaminant was near is asked once per block, since a branch per pair would keep the compiler from
//! using such instructions at all. A tile of contaminants that fits the first-level cache is used for a whole chunk of
//! objects before the next one is read.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Sphere;

/// Contaminants per question "was one near?".
const BLOCK: usize = 128;
/// Maxima kept side by side: the compiler may not reorder a search for one largest number, as instructions on several would.
const LANES: usize = 16;
/// Contaminants per tile, whole blocks: 3 coordinates of 4 bytes, 12 KiB, and the same in f64, which is seldom read.
const TILE: usize = 1024;
/// Objects per task.
const CHUNK: usize = 2048;
/// How much below 1 - chord / 2 the product of two that are near may turn out: 5e-7 since f32 rounds coordinates, products and sums; and
/// more. (Lengths are 1 within what f64 rounds to, see [`super::catalogue`].)
const MARGIN: f64 = 4e-6;

/// For each object, whether a contaminant is within the squared chord.
pub fn near(objects: &Sphere, contaminants: &Sphere, chord: f64) -> Vec<bool> {
    let exact = contaminants.coordinates();
    let rough = exact.map(whole_blocks);
    let mut near = vec![false; objects.len()];
    near.par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, near)| {
            let first = chunk * CHUNK;
            // Those that are still without a hit; hits leave the list, so that later tiles see fewer.
            let mut open: Vec<u32> = (0..near.len() as u32).collect();
            for start in (0..contaminants.len()).step_by(TILE) {
                let end = contaminants.len().min(start + TILE);
                let exact = exact.map(|all| &all[start..end]);
                let blocks = start / BLOCK..end.div_ceil(BLOCK);
                let rough = rough.each_ref().map(|all| &all[blocks.clone()]);
                open.retain(|&index| {
                    let point = objects.point(first + index as usize);
                    let hit = any_within(point, rough, exact, chord);
                    near[index as usize] |= hit;
                    !hit
                });
            }
        });
    near
}

/// The numbers in f32, and zeros up to a whole block.
fn whole_blocks(numbers: &[f64]) -> Vec<[f32; BLOCK]> {
    let rough = |number: Option<&f64>| number.map_or(0.0, |number| *number as f32);
    let blocks = numbers.chunks(BLOCK);
    blocks
        .map(|block| std::array::from_fn(|at| rough(block.get(at))))
        .collect()
}

/// Whether a point of the tile is within the squared chord of `point`.
///
/// |a - b|^2 = 2 - 2ab for unit vectors, so the products of those that are near are high.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn any_within(
    point: [f64; 3],
    [x, y, z]: [&[[f32; BLOCK]]; 3],
    exact: [&[f64]; 3],
    chord: f64,
) -> bool {
    let promising = (1.0 - chord / 2.0 - MARGIN) as f32;
    let [px, py, pz] = point.map(|value| value as f32);
    for (block, ((x, y), z)) in x.iter().zip(y).zip(z).enumerate() {
        let mut best = [f32::NEG_INFINITY; LANES];
        for start in (0..BLOCK).step_by(LANES) {
            for (lane, best) in best.iter_mut().enumerate() {
                let at = start + lane;
                let product = x[at] * px + y[at] * py + z[at] * pz;
                *best = if product > *best { product } else { *best };
            }
        }
        // Without a branch for each.
        if best
            .iter()
            .fold(false, |any, best| any | (*best >= promising))
        {
            let first = block * BLOCK;
            let mut these = first..exact[0].len().min(first + BLOCK);
            if these.any(|at| square(exact.map(|all| all[at]), point) <= chord) {
                return true;
            }
        }
    }
    false
}

/// The squared distance.
fn square(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (x, y, z) = (a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    x * x + y * y + z * z
}
