//! What tests of LAPACK share: matrices to factor, and calls that are made with 7, 0 and 1 helpers and must give the same
//! bits.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "each test file uses a part of it; a test fails by panicking; sizes are small"
)]

use crate::full::Full;
use crate::reference::{Number, Stored, Wide};
use crate::tiles::repeated;
use num_complex::Complex;
use threadctl::dispatch::Blas;

/// Runs it for the four types.
#[macro_export]
macro_rules! of_all_types {
    ($function:ident($($argument:expr),*)) => {
        $function::<f32>($($argument),*);
        $function::<f64>($($argument),*);
        $function::<num_complex::Complex<f32>>($($argument),*);
        $function::<num_complex::Complex<f64>>($($argument),*);
    };
}

/// The library of `blas` without dispatch: its own LAPACK, if it has one.
pub fn direct(blas: &Blas) -> Blas {
    // SAFETY: it is open already.
    unsafe { Blas::open_direct(blas.path()) }.unwrap()
}

/// A matrix without structure.
pub fn general<T: Number>(rows: usize, cols: usize, gap: usize, seed: u64) -> Stored<T> {
    Stored::filled((rows, cols), gap, seed, |_, _| true)
}

/// One triangle of a Hermitian matrix that is positive definite: a large diagonal, whose imaginary part is a NaN since it
/// must not be read.
pub fn positive<T: Number>(n: usize, lower: bool, gap: usize, seed: u64) -> Stored<T> {
    let mut a: Stored<T> = Stored::filled((n, n), gap, seed, |row, col| {
        if lower { row >= col } else { row <= col }
    });
    for i in 0..n {
        let pivot = 1.5 * n as f64 + a.get(i, i).wide().re;
        a.set(i, i, T::of(Complex::new(pivot, f64::NAN)));
    }
    a
}

/// One triangle with a large diagonal.
pub fn triangular<T: Number>(n: usize, lower: bool, gap: usize, seed: u64) -> Stored<T> {
    let mut a: Stored<T> = Stored::filled((n, n), gap, seed, |row, col| {
        if lower { row >= col } else { row <= col }
    });
    for col in 0..n {
        for row in 0..n {
            let value = a.get(row, col).wide();
            let value = if row == col {
                value + value / value.norm()
            } else {
                value / (n as f64)
            };
            a.set(row, col, T::of(value));
        }
    }
    a
}

/// A is P L U.
pub fn product_of_lu<T: Number>(factored: &Stored<T>, pivots: &[isize]) -> Full {
    let (m, n) = (factored.rows, factored.cols);
    let k = m.min(n);
    let lower = Full::triangle(factored, [m, k], true, true);
    let mut product = lower.times(&Full::triangle(factored, [k, n], false, false));
    for (row, &pivot) in pivots.iter().enumerate().rev() {
        product.swap_rows(row, usize::try_from(pivot - 1).unwrap());
    }
    product
}

/// The whole of Q = H1 H2 ..., by plain loops, from the reflectors in the columns of `a`.
pub fn product_of_reflectors<T: Number>(a: &Stored<T>, tau: &[T], order: usize) -> Full {
    let mut q = Full::identity(order);
    for (k, tau) in tau.iter().enumerate().rev() {
        let v: Vec<Wide> = (k..order)
            .map(|row| {
                if row == k {
                    Wide::ONE
                } else {
                    a.get(row, k).wide()
                }
            })
            .collect();
        // H Q = Q - tau v (v^H Q), of which the columns before k are those of the identity.
        for col in k..order {
            let mut product = Wide::ZERO;
            for (row, v) in v.iter().enumerate() {
                product += v.conj() * q.at(k + row, col);
            }
            product *= tau.wide();
            for (row, v) in v.iter().enumerate() {
                q.set(k + row, col, q.at(k + row, col) - v * product);
            }
        }
    }
    q
}

/// Makes a call again and again on the same operands, with 7, 0 and 1 helpers; the results are the same bits, and so is
/// what the call returns.
pub fn again<T: Number, R: PartialEq + std::fmt::Debug>(
    what: &str,
    before: &Stored<T>,
    call: impl Fn(&mut Stored<T>) -> R,
) -> (Stored<T>, R) {
    let mut operand = before.clone();
    let mut first = None;
    let after = repeated(what, || {
        operand.memory.copy_from_slice(&before.memory);
        let result = call(&mut operand);
        let first = first.get_or_insert_with(|| None);
        if let Some(first) = first.as_ref() {
            assert_eq!(&result, first, "{what}: another result");
        } else {
            *first = Some(result);
        }
        operand.clone()
    });
    (after, first.flatten().unwrap())
}

/// Whether a number is finite.
pub fn is_finite(value: Wide) -> bool {
    value.re.is_finite() && value.im.is_finite()
}
