//! Fourier transforms over the axes of an array, as `scipy.fft.fftn(x, axes=..., workers=...)`.
//!
//! Along each axis in turn, lines are transformed in parallel (rustfft). Lines that are not contiguous are copied out and back, some
//! neighbours at a time, by a worker that has its own buffer: what the memory brings in for one of them has the next ones too.

use ndarray::{ArrayViewMut, ArrayViewMut1, Axis, Dimension};
use rayon::prelude::*;
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftDirection, FftPlanner};
use threadctl::Workers;

/// Lines per task, at most and at least.
const LINES: (usize, usize) = (16, 4);
/// Elements in the lines of a task, unless there are fewer lines than the least: they fit the second-level cache.
const BUFFER: usize = 1 << 14;
/// Between the lines of a buffer, so that neighbours do not compete for one place in the cache.
const GAP: usize = 4;

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
    transform(array, axes, FftDirection::Forward, 1.0, workers)
}

/// Transforms back, divided by the number of elements along these axes, so that `ifftn` of `fftn` is the array.
///
/// # Errors
/// The workers cannot be started.
///
/// # Panics
/// An axis is not one of the array's, as in ndarray.
pub fn ifftn<D: Dimension>(
    array: ArrayViewMut<'_, Complex64, D>,
    axes: &[usize],
    workers: Workers<'_>,
) -> threadctl::Result<()> {
    let elements: usize = axes.iter().map(|axis| array.len_of(Axis(*axis))).product();
    let factor = 1.0 / elements.max(1) as f64;
    transform(array, axes, FftDirection::Inverse, factor, workers)
}

fn transform<D: Dimension>(
    mut array: ArrayViewMut<'_, Complex64, D>,
    axes: &[usize],
    direction: FftDirection,
    factor: f64,
    workers: Workers<'_>,
) -> threadctl::Result<()> {
    let mut planner = FftPlanner::new();
    // The others change nothing.
    let axes = axes.iter().map(|axis| Axis(*axis));
    let axes: Vec<Axis> = axes.filter(|axis| array.len_of(*axis) > 1).collect();
    for (at, axis) in axes.iter().enumerate() {
        let length = array.len_of(*axis);
        let plan = planner.plan_fft(length, direction);
        let factor = if at + 1 == axes.len() { factor } else { 1.0 };
        let count = (BUFFER / length).clamp(LINES.1, LINES.0);
        // Neighbours in the order of the other axes, of which the last is the innermost.
        let mut lines: Vec<_> = array.lanes_mut(*axis).into_iter().collect();
        let begin = || Buffers {
            lines: vec![Complex64::default(); (length + GAP) * count],
            scratch: vec![Complex64::default(); plan.get_inplace_scratch_len()],
        };
        super::on(workers, || {
            lines
                .par_chunks_mut(count)
                .for_each_init(begin, |buffers, lines| {
                    some(lines, plan.as_ref(), factor, buffers);
                });
        })?;
    }
    Ok(())
}

/// A worker's own.
struct Buffers {
    /// A line every `length + GAP`.
    lines: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

/// Transforms some lines of one length, and multiplies them by the factor.
fn some(
    lines: &mut [ArrayViewMut1<'_, Complex64>],
    plan: &dyn Fft<f64>,
    factor: f64,
    buffers: &mut Buffers,
) {
    let mut one = |line: &mut [Complex64]| {
        plan.process_with_scratch(line, &mut buffers.scratch);
        if factor != 1.0 {
            line.iter_mut().for_each(|value| *value *= factor);
        }
    };
    let length = plan.len();
    if lines.iter_mut().all(|line| line.as_slice_mut().is_some()) {
        lines
            .iter_mut()
            .filter_map(|line| line.as_slice_mut())
            .for_each(one);
        return;
    }
    let stride = length + GAP;
    for at in 0..length {
        for (line, buffer) in lines.iter().zip(buffers.lines.chunks_exact_mut(stride)) {
            buffer[at] = line[at];
        }
    }
    let used = buffers.lines.chunks_exact_mut(stride).take(lines.len());
    used.for_each(|line| one(&mut line[..length]));
    for at in 0..length {
        for (line, buffer) in lines.iter_mut().zip(buffers.lines.chunks_exact(stride)) {
            line[at] = buffer[at];
        }
    }
}
