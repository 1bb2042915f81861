//! Every pair, vectorised, left at the first hit.
//!
//! The contaminants lie coordinate by coordinate, so that one instruction compares several of them; whether one was near is
//! asked once per block, since a branch per pair would keep the compiler from using such instructions at all. A tile of
//! contaminants that fits the first-level cache is used for a whole chunk of objects before the next one is read.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Sphere;

/// Contaminants per question "was one near?".
const BLOCK: usize = 128;
/// Contaminants per tile: 3 coordinates of 8 bytes, 24 KiB.
const TILE: usize = 1024;
/// Objects per task.
const CHUNK: usize = 2048;
/// What lengths that are 1 only within a millionth ([`super::catalogue`]) may change in a scalar product, and more.
const MARGIN: f64 = 4e-6;

/// For each object, whether a contaminant is within the squared chord.
pub fn near(objects: &Sphere, contaminants: &Sphere, chord: f64) -> Vec<bool> {
    let [x, y, z] = contaminants.coordinates();
    let mut near = vec![false; objects.len()];
    near.par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, near)| {
            let first = chunk * CHUNK;
            // Those that are still without a hit; hits leave the list, so that later tiles see fewer.
            let mut open: Vec<u32> = (0..near.len() as u32).collect();
            for start in (0..x.len()).step_by(TILE) {
                let tile = start..x.len().min(start + TILE);
                let tile = [&x[tile.clone()], &y[tile.clone()], &z[tile]];
                open.retain(|&index| {
                    let hit = any_within(objects.point(first + index as usize), tile, chord);
                    near[index as usize] |= hit;
                    !hit
                });
            }
        });
    near
}

/// Whether a point of the tile is within the squared chord of `point`.
///
/// Scalar products first, at half the price of distances: |a - b|^2 = 2 - 2ab for unit vectors. They are right to some units in
/// the last place of 1, and vectors are of unit length only nearly, so they only say which blocks deserve a look.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn any_within(point: [f64; 3], [x, y, z]: [&[f64]; 3], chord: f64) -> bool {
    let promising = 1.0 - chord / 2.0 - MARGIN;
    let blocks = x.chunks(BLOCK).zip(y.chunks(BLOCK)).zip(z.chunks(BLOCK));
    for ((x, y), z) in blocks {
        let mut best = f64::NEG_INFINITY;
        for ((x, y), z) in x.iter().zip(y).zip(z) {
            let product = x * point[0] + y * point[1] + z * point[2];
            best = if product > best { product } else { best };
        }
        if best >= promising && (0..x.len()).any(|at| square([x[at], y[at], z[at]], point) <= chord)
        {
            return true;
        }
    }
    false
}

/// The squared distance.
pub fn square(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (x, y, z) = (a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    x * x + y * y + z * z
}
