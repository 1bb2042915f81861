//! Loops over whole arrays. They do so little for each number that the memory sets their pace, not the cores.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Mismatch, same};

/// Numbers per piece: small enough for the second-level cache, large enough that handing it out costs nothing.
const PIECE: usize = 1 << 14;
/// Sums that are made side by side, so that no addition waits for the one before.
const LANES: usize = 16;

/// `out = f(a, b)`, element by element: what `numba.vectorize` makes of a function of two numbers.
///
/// # Errors
/// The three are not of one length.
pub fn zip_with<A, B, C>(
    f: impl Fn(A, B) -> C + Sync,
    a: &[A],
    b: &[B],
    out: &mut [C],
) -> Result<(), Mismatch>
where
    A: Copy + Sync,
    B: Copy + Sync,
    C: Send,
{
    same("numbers in b", b.len(), a.len())?;
    same("numbers in out", out.len(), a.len())?;
    let pieces = out
        .par_chunks_mut(PIECE)
        .zip(a.par_chunks(PIECE))
        .zip(b.par_chunks(PIECE));
    pieces.for_each(|((out, a), b)| zip_piece(&f, a, b, out));
    Ok(())
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn zip_piece<A: Copy, B: Copy, C>(f: &impl Fn(A, B) -> C, a: &[A], b: &[B], out: &mut [C]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

/// `out = a + b`.
///
/// # Errors
/// The three are not of one length.
pub fn add(a: &[f64], b: &[f64], out: &mut [f64]) -> Result<(), Mismatch> {
    zip_with(|a, b| a + b, a, b, out)
}

/// `out = a * b`, element by element.
///
/// # Errors
/// The three are not of one length.
pub fn multiply(a: &[f64], b: &[f64], out: &mut [f64]) -> Result<(), Mismatch> {
    zip_with(|a, b| a * b, a, b, out)
}

/// The sum of the squares, the same on any number of workers: pieces of one size are summed, then their sums in order.
#[must_use]
pub fn sum_of_squares(numbers: &[f64]) -> f64 {
    let sums: Vec<f64> = numbers.par_chunks(PIECE).map(squares_of_a_piece).collect();
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn squares_of_a_piece(numbers: &[f64]) -> f64 {
    let (groups, rest) = numbers.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for group in groups {
        for (sum, number) in sums.iter_mut().zip(group) {
            *sum += number * number;
        }
    }
    let tail: f64 = rest.iter().map(|number| number * number).sum();
    sums.iter().sum::<f64>() + tail
}
