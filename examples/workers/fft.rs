//! Fourier transforms over the axes of an array, as `scipy.fft.fftn(x, axes=..., workers=...)`.
//!
//! Along each axis in turn, lines are transformed in parallel (rustfft). A line that is not contiguous is copied out and back, by a
//! worker that has its own buffer.

use ndarray::{ArrayViewMut, Axis, Dimension};
use rayon::prelude::*;
use rustfft::num_complex::Complex64;
use rustfft::{FftDirection, FftPlanner};
use threadctl::Workers;

/// Lines per task.
const LINES: usize = 16;

/// Transforms in place over these axes, without a factor.
///
/// # Errors
/// The workers cannot be started.
///
/// # Panics
/// An axis is not one of the array's, as in ndarray.
pub fn fftn<D: Dimension>(
    array: ArrayViewMut<'_, Complex64, D>,
    axes: &[usize],
    workers: Workers<'_>,
) -> threadctl::Result<()> {
    transform(array, axes, FftDirection::Forward, workers)
}

/// Transforms back, divided by the number of elements along these axes, so that `ifftn` of `fftn` is the array.
///
/// # Errors
/// The workers cannot be started.
///
/// # Panics
/// An axis is not one of the array's, as in ndarray.
pub fn ifftn<D: Dimension>(
    mut array: ArrayViewMut<'_, Complex64, D>,
    axes: &[usize],
    workers: Workers<'_>,
) -> threadctl::Result<()> {
    transform(array.view_mut(), axes, FftDirection::Inverse, workers)?;
    let elements: usize = axes.iter().map(|axis| array.len_of(Axis(*axis))).product();
    let factor = 1.0 / elements.max(1) as f64;
    array.mapv_inplace(|value| value * factor);
    Ok(())
}

fn transform<D: Dimension>(
    mut array: ArrayViewMut<'_, Complex64, D>,
    axes: &[usize],
    direction: FftDirection,
    workers: Workers<'_>,
) -> threadctl::Result<()> {
    let mut planner = FftPlanner::new();
    for axis in axes {
        let length = array.len_of(Axis(*axis));
        if length < 2 {
            continue;
        }
        let plan = planner.plan_fft(length, direction);
        let mut lines: Vec<_> = array.lanes_mut(Axis(*axis)).into_iter().collect();
        let begin = || {
            (
                vec![Complex64::default(); length],
                vec![Complex64::default(); plan.get_inplace_scratch_len()],
            )
        };
        super::on(workers, || {
            lines
                .par_chunks_mut(LINES)
                .for_each_init(begin, |(copy, scratch), lines| {
                    for line in lines {
                        if let Some(line) = line.as_slice_mut() {
                            plan.process_with_scratch(line, scratch);
                            continue;
                        }
                        for (to, from) in copy.iter_mut().zip(line.iter()) {
                            *to = *from;
                        }
                        plan.process_with_scratch(copy, scratch);
                        for (to, from) in line.iter_mut().zip(copy.iter()) {
                            *to = *from;
                        }
                    }
                });
        })?;
    }
    Ok(())
}
