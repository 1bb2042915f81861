//! A k-d tree of the contaminants, asked for the nearest one of each object, and only within the chord.

use std::num::NonZero;

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
    // The tree leaves out parts by sums of its own, which round in another order.
    let bound = chord * (1.0 + 8.0 * f64::EPSILON);
    let near = |index| {
        let point = objects.point(index);
        // The bound is what makes small angles cheap: the nearest one is far away, and need not be found.
        let one = NonZero::<usize>::MIN;
        let found = tree.nearest_n_within::<SquaredEuclidean>(&point, bound, one, true);
        match found.first() {
            None => false,
            Some(found) if found.distance <= chord => true,
            // Between the two: seldom, and then the nearest may be another.
            Some(_) => tree
                .within_unsorted::<SquaredEuclidean>(&point, bound)
                .iter()
                .any(|found| found.distance <= chord),
        }
    };
    (0..objects.len()).into_par_iter().map(near).collect()
}
