//! k-means (Lloyd 1982): points go to the nearest centroid, centroids to the mean of their points, until nothing changes.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::distances::{Form, Others};
use super::{Mismatch, same};

/// Points per task. Sums are made for each and added in order.
const ROWS: usize = 1024;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// (k, dimensions).
    pub centroids: Array2<f64>,
    /// The cluster of each point.
    pub labels: Vec<usize>,
    /// How many times the points were assigned.
    pub rounds: usize,
}

/// Groups the points (n, dimensions), beginning from these centroids (k, dimensions), in at most so many rounds (at least one). Of centroids at the
/// same distance the first is taken; one without points stays where it is.
///
/// # Errors
/// The dimensions differ, or there is no centroid.
pub fn kmeans(
    points: ArrayView2<'_, f64>,
    begin: ArrayView2<'_, f64>,
    form: Form,
    most: usize,
) -> Result<Clusters, Mismatch> {
    same("dimensions of the centroids", begin.ncols(), points.ncols())?;
    if begin.nrows() == 0 {
        return Err(Mismatch {
            what: "centroids",
            found: 0,
            wanted: 1,
        });
    }
    // No label yet, so the first round changes all.
    let labels = vec![usize::MAX; points.nrows()];
    let mut clusters = Clusters {
        centroids: begin.to_owned(),
        labels,
        rounds: 0,
    };
    while clusters.rounds < most.max(1) {
        clusters.rounds += 1;
        let others = Others::new(clusters.centroids.view(), form);
        let tasks: Vec<_> = points
            .axis_chunks_iter(Axis(0), ROWS)
            .zip(clusters.labels.chunks_mut(ROWS))
            .collect();
        let parts: Vec<Part> = tasks
            .into_par_iter()
            .map(|(points, labels)| assign(points, labels, &others, begin.nrows()))
            .collect();
        clusters.centroids = means(&parts, &clusters.centroids);
        if !parts.iter().any(|part| part.changed) {
            break;
        }
    }
    Ok(clusters)
}

/// What a task has found out.
struct Part {
    changed: bool,
    sums: Array2<f64>,
    counts: Vec<usize>,
}

fn assign(
    points: ArrayView2<'_, f64>,
    labels: &mut [usize],
    others: &Others,
    count: usize,
) -> Part {
    let dimensions = points.ncols();
    let mut part = Part {
        changed: false,
        sums: Array2::zeros((count, dimensions)),
        counts: vec![0; count],
    };
    let mut squares = Array2::zeros((points.nrows(), count));
    others.squared(points, squares.view_mut());
    let points = points.as_standard_layout();
    let (Some(points), Some(squares), Some(sums)) = (
        points.as_slice(),
        squares.as_slice(),
        part.sums.as_slice_mut(),
    ) else {
        return part;
    };
    for (at, (squares, label)) in squares.chunks_exact(count).zip(labels).enumerate() {
        // A distance that is no number is never the least.
        let (mut nearest, mut least) = (0, f64::INFINITY);
        for (index, square) in squares.iter().enumerate() {
            if *square < least {
                (nearest, least) = (index, *square);
            }
        }
        part.changed |= *label != nearest;
        *label = nearest;
        part.counts[nearest] += 1;
        let point = &points[at * dimensions..][..dimensions];
        let sums = &mut sums[nearest * dimensions..][..dimensions];
        sums.iter_mut()
            .zip(point)
            .for_each(|(sum, value)| *sum += value);
    }
    part
}

fn means(parts: &[Part], old: &Array2<f64>) -> Array2<f64> {
    let mut means = Array2::zeros(old.dim());
    for part in parts {
        means += &part.sums;
    }
    for (index, mut mean) in means.rows_mut().into_iter().enumerate() {
        let count: usize = parts.iter().map(|part| part.counts[index]).sum();
        if count == 0 {
            mean.assign(&old.row(index));
        } else {
            mean /= count as f64;
        }
    }
    means
}
