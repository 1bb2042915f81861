//! Distances between points, as a loop and by a matrix product.
//!
//! The product uses |a - b|^2 = |a|^2 + |b|^2 - 2ab. It is faster from about ten dimensions on, and loses digits where two points are
//! near to each other compared with their distance from the origin: an error of 1e-16 in the square is one of 1e-8 in a distance of 0. The loop has
//! neither virtue nor fault.

use multiversion::multiversion;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::{Mismatch, same};

/// How squared distances are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Differences, squared and summed.
    Loop,
    /// A matrix product.
    Product,
}

/// Points per task.
const ROWS: usize = 64;

/// The distances of all pairs: row i has those of point i. `points` is (n, dimensions).
#[must_use]
pub fn pairwise(points: ArrayView2<'_, f64>, form: Form) -> Array2<f64> {
    let mut all = Array2::zeros((points.nrows(), points.nrows()));
    each_block(points, points, form, &mut all);
    all
}

/// The squared distance of each point (a row) from each centroid (a column).
///
/// # Errors
/// Their dimensions differ.
pub fn squared(
    points: ArrayView2<'_, f64>,
    centroids: ArrayView2<'_, f64>,
    form: Form,
) -> Result<Array2<f64>, Mismatch> {
    same(
        "dimensions of the centroids",
        centroids.ncols(),
        points.ncols(),
    )?;
    let others = Others::new(centroids, form);
    let mut all = Array2::zeros((points.nrows(), centroids.nrows()));
    blocks(points, &mut all, |points, out| others.squared(points, out));
    Ok(all)
}

fn each_block(
    points: ArrayView2<'_, f64>,
    others: ArrayView2<'_, f64>,
    form: Form,
    all: &mut Array2<f64>,
) {
    let others = Others::new(others, form);
    blocks(points, all, |points, mut out| {
        others.squared(points, out.view_mut());
        if let Some(out) = out.as_slice_mut() {
            roots(out);
        }
    });
}

/// Calls `work` on blocks of points and of their rows of the result, in parallel.
fn blocks(
    points: ArrayView2<'_, f64>,
    all: &mut Array2<f64>,
    work: impl Fn(ArrayView2<'_, f64>, ArrayViewMut2<'_, f64>) + Sync,
) {
    let tasks: Vec<_> = points
        .axis_chunks_iter(Axis(0), ROWS)
        .zip(all.axis_chunks_iter_mut(Axis(0), ROWS))
        .collect();
    tasks
        .into_par_iter()
        .for_each(|(points, out)| work(points, out));
}

/// The points that distances are taken from, prepared.
pub(super) struct Others {
    form: Form,
    /// A row per dimension for the loop, whose vector instructions run along the points; a row per point for the product.
    values: Array2<f64>,
    /// Their squared lengths, for the product.
    lengths: Array1<f64>,
}

impl Others {
    pub(super) fn new(points: ArrayView2<'_, f64>, form: Form) -> Others {
        let values = match form {
            Form::Loop => points.t().as_standard_layout().into_owned(),
            Form::Product => points.to_owned(),
        };
        Others {
            form,
            values,
            lengths: points.rows().into_iter().map(|row| row.dot(&row)).collect(),
        }
    }

    /// The squared distances of some points, a row each.
    pub(super) fn squared(&self, points: ArrayView2<'_, f64>, mut out: ArrayViewMut2<'_, f64>) {
        match self.form {
            Form::Loop => {
                let points = points.as_standard_layout();
                // All three are in rows, one after the other.
                if let (Some(points), Some(others), Some(out)) = (
                    points.as_slice(),
                    self.values.as_slice(),
                    out.as_slice_mut(),
                ) {
                    squares(points, others, self.values.dim(), out);
                }
            }
            Form::Product => {
                general_mat_mul(-2.0, &points, &self.values.t(), 0.0, &mut out);
                for (point, mut out) in points.rows().into_iter().zip(out.rows_mut()) {
                    let own = point.dot(&point);
                    for (out, length) in out.iter_mut().zip(&self.lengths) {
                        let square = *out + own + length;
                        // Rounding may take it below zero. A NaN stays, which it would not with `max`.
                        *out = if square < 0.0 { 0.0 } else { square };
                    }
                }
            }
        }
    }
}

/// Other points whose distances from one point are summed at once, in registers.
const LANES: usize = 16;

/// A row of `out` for each of the points, which have a row each, from `others`, which have a column each.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn squares(points: &[f64], others: &[f64], (dimensions, count): (usize, usize), out: &mut [f64]) {
    if dimensions == 0 || count == 0 {
        return out.fill(0.0);
    }
    for (point, out) in points
        .chunks_exact(dimensions)
        .zip(out.chunks_exact_mut(count))
    {
        let (groups, rest) = out.as_chunks_mut::<LANES>();
        let first = groups.len() * LANES;
        for (group, out) in groups.iter_mut().enumerate() {
            let mut sums = [0.0; LANES];
            for (value, others) in point.iter().zip(others.chunks_exact(count)) {
                let others = &others[group * LANES..][..LANES];
                for (sum, other) in sums.iter_mut().zip(others) {
                    let difference = value - other;
                    *sum += difference * difference;
                }
            }
            *out = sums;
        }
        rest.fill(0.0);
        for (value, others) in point.iter().zip(others.chunks_exact(count)) {
            for (sum, other) in rest.iter_mut().zip(&others[first..]) {
                let difference = value - other;
                *sum += difference * difference;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn roots(squares: &mut [f64]) {
    for square in squares {
        *square = square.sqrt();
    }
}
