//! A k-d tree of the contaminants, asked for the nearest one of each object.

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use rayon::prelude::*;

use super::Sphere;

/// For each object, whether a contaminant is within the squared chord.
pub fn near(objects: &Sphere, contaminants: &Sphere, chord: f64) -> Vec<bool> {
    if contaminants.is_empty() {
        return vec![false; objects.len()];
    }
    let points: Vec<[f64; 3]> = (0..contaminants.len())
        .map(|index| contaminants.point(index))
        .collect();
    let tree: ImmutableKdTree<f64, 3> = ImmutableKdTree::new_from_slice(&points);
    (0..objects.len())
        .into_par_iter()
        .map(|index| {
            tree.nearest_one::<SquaredEuclidean>(&objects.point(index))
                .distance
                <= chord
        })
        .collect()
}
