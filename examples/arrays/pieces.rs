//! Arrays of any strides, cut into pieces and gone through as slices.
//!
//! Invariant: the closure only ever sees slices of one length, each element once. What does not lie so in memory is copied to buffers that
//! fit the first-level cache, and back.

use multiversion::multiversion;
use ndarray::{ArrayView, ArrayViewMut, Axis, Dimension, s};
use std::array::from_fn;

use super::{Maths, Number};

/// Elements per task: enough that handing one out costs nothing.
const PIECE: usize = 1 << 15;
/// Elements per buffer.
const BUFFER: usize = 512;

/// Calls `kernel` on slices of `out` and of the inputs, in parallel on the current pool. What is in `out` matters to the kernel if
/// `reads`.
pub fn all<T: Number, D: Dimension, K, const N: usize>(
    out: ArrayViewMut<'_, T, D>,
    inputs: [ArrayView<'_, T, D>; N],
    reads: bool,
    kernel: &K,
) where
    K: Fn(&mut [T], [&[T]; N]) + Sync,
{
    if out.len() > PIECE {
        // Then what is contiguous stays so.
        let axis = out.max_stride_axis();
        let middle = out.len_of(axis) / 2;
        let (left, right) = out.split_at(axis, middle);
        let halves = inputs.map(|input| input.split_at(axis, middle));
        let (first, second) = (halves.clone().map(|it| it.0), halves.map(|it| it.1));
        rayon::join(
            || all(left, first, reads, kernel),
            || all(right, second, reads, kernel),
        );
        return;
    }
    piece(out, inputs, reads, kernel);
}

fn piece<T: Number, D: Dimension, K, const N: usize>(
    mut out: ArrayViewMut<'_, T, D>,
    inputs: [ArrayView<'_, T, D>; N],
    reads: bool,
    kernel: &K,
) where
    K: Fn(&mut [T], [&[T]; N]) + Sync,
{
    if out.is_empty() {
        return;
    }
    if let Some(out) = out.as_slice_mut()
        && let Some(inputs) = slices(&inputs)
    {
        return kernel(out, inputs);
    }
    // Lines along the axis in which the output's elements are nearest to each other.
    let strides = out.strides().iter().zip(out.shape()).enumerate();
    let nearest = strides
        .filter(|(_, (_, length))| **length > 1)
        .min_by_key(|(_, (stride, _))| stride.unsigned_abs());
    let axis = Axis(nearest.map_or(0, |(axis, _)| axis));
    if out.ndim() == 0 {
        return;
    }
    let mut lines = inputs.each_ref().map(|input| input.lanes(axis).into_iter());
    for mut out in out.lanes_mut(axis) {
        // The shapes are the same, so there are as many.
        let inputs = lines
            .each_mut()
            .map(|lines| lines.next().unwrap_or(ArrayView::from(&[])));
        if let Some(out) = out.as_slice_mut()
            && let Some(inputs) = slices(&inputs)
        {
            kernel(out, inputs);
            continue;
        }
        let mut buffers = [[T::default(); BUFFER]; N];
        let mut results = [T::default(); BUFFER];
        for (chunk, mut out) in out.axis_chunks_iter_mut(Axis(0), BUFFER).enumerate() {
            let (first, length) = (chunk * BUFFER, out.len());
            for (buffer, input) in buffers.iter_mut().zip(&inputs) {
                let from = input.slice(s![first..first + length]);
                buffer
                    .iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| *to = *from);
            }
            let results = &mut results[..length];
            if reads {
                results
                    .iter_mut()
                    .zip(&out)
                    .for_each(|(to, from)| *to = *from);
            }
            kernel(results, from_fn(|input| &buffers[input][..length]));
            out.iter_mut()
                .zip(results)
                .for_each(|(to, from)| *to = *from);
        }
    }
}

fn slices<'a, T, D: Dimension, const N: usize>(
    inputs: &'a [ArrayView<'_, T, D>; N],
) -> Option<[&'a [T]; N]> {
    let mut slices = [&[][..]; N];
    for (slice, input) in slices.iter_mut().zip(inputs) {
        *slice = input.as_slice()?;
    }
    Some(slices)
}

/// One element of a piece in which an argument was outside: with the standard library's functions only if it is its own, so that the
/// value does not depend on which elements share its piece.
#[inline(always)]
fn one<T>(f: impl Fn(&mut Maths) -> T) -> T {
    let mut maths = Maths::fast();
    let value = f(&mut maths);
    if maths.outside() {
        return f(&mut Maths::careful());
    }
    value
}

/// `out = f(inputs)`.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn into<T: Number, F, const N: usize>(out: &mut [T], inputs: [&[T]; N], f: &F)
where
    F: Fn(&mut Maths, [T; N]) -> T,
{
    let inputs = inputs.map(|input| &input[..out.len()]);
    let mut maths = Maths::fast();
    for (at, out) in out.iter_mut().enumerate() {
        *out = f(&mut maths, from_fn(|input| inputs[input][at]));
    }
    if maths.outside() {
        for (at, out) in out.iter_mut().enumerate() {
            let inputs = from_fn(|input| inputs[input][at]);
            *out = one(|maths| f(maths, inputs));
        }
    }
}

/// `a = f(a, inputs)`. By way of a buffer, since a piece may have to be computed twice.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn buffered<T: Number, F, const N: usize>(a: &mut [T], inputs: [&[T]; N], f: &F)
where
    F: Fn(&mut Maths, T, [T; N]) -> T,
{
    let inputs = inputs.map(|input| &input[..a.len()]);
    let mut buffer = [T::default(); BUFFER];
    for (piece, a) in a.chunks_mut(BUFFER).enumerate() {
        let buffer = &mut buffer[..a.len()];
        let inputs = inputs.map(|input| &input[piece * BUFFER..][..buffer.len()]);
        let mut maths = Maths::fast();
        for (at, (out, a)) in buffer.iter_mut().zip(&*a).enumerate() {
            *out = f(&mut maths, *a, from_fn(|input| inputs[input][at]));
        }
        if maths.outside() {
            for (at, (out, a)) in buffer.iter_mut().zip(&*a).enumerate() {
                let inputs = from_fn(|input| inputs[input][at]);
                *out = one(|maths| f(maths, *a, inputs));
            }
        }
        a.copy_from_slice(buffer);
    }
}
