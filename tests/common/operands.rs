//! Operands of BLAS routines in memory that nobody else may touch, and what every test of them does: compute with 0, 1
//! and 7 helpers, demand the same bits, and that nothing around the operand has changed.
//!
//! Invariant: whatever does not belong to an operand (before it, behind it, between its elements, in the triangle that is
//! not stored) holds a NaN, so that reading it shows in the results, and writing to it in [`repeated`].
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each test file uses a part of it; a test fails by panicking; sizes are small"
)]

pub use crate::reference::{Number, Wide};

use crate::reference::Values;
use num_complex::Complex;
use std::num::NonZeroUsize;
use threadctl::dispatch::{Blas, simulate_cores};

/// Shorthand for a factor.
pub fn factor<T: Number>(re: f64, im: f64) -> T {
    T::of(Complex::new(re, im))
}

/// Elements around an operand.
const MARGIN: usize = 5;

/// Elements at chosen places of a piece of memory.
#[derive(Clone)]
pub struct Operand<T> {
    memory: Vec<T>,
    /// Where the elements are, in the order of their indices; rows first.
    places: Vec<usize>,
    rows: usize,
    /// What BLAS is given as the beginning.
    start: usize,
    /// The increment or the leading dimension.
    pub step: isize,
}

impl<T: Number> Operand<T> {
    /// A vector. With the increment 0 it has one element, n times.
    pub fn vector(n: usize, inc: isize, seed: u64) -> Self {
        let reach = n.saturating_sub(1) * inc.unsigned_abs();
        let places = (0..n)
            .map(|index| {
                let index = if inc < 0 { n - 1 - index } else { index };
                MARGIN + index * inc.unsigned_abs()
            })
            .collect();
        Operand::filled(reach + 1, places, n, inc, seed)
    }

    /// A matrix whose columns are `gap` elements longer than need be, with those elements for which `stored` holds.
    pub fn matrix(
        (rows, cols): (usize, usize),
        gap: usize,
        seed: u64,
        stored: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let ld = rows.max(1) + gap;
        let places = (0..rows * cols)
            .map(|index| (index % rows, index / rows))
            .map(|(row, col)| {
                if stored(row, col) {
                    MARGIN + row + col * ld
                } else {
                    usize::MAX
                }
            })
            .collect();
        Operand::filled(ld * cols, places, rows, ld as isize, seed)
    }

    fn filled(size: usize, places: Vec<usize>, rows: usize, step: isize, seed: u64) -> Self {
        let mut values = Values::new(seed);
        let mut memory = vec![factor::<T>(f64::NAN, f64::NAN); size + 2 * MARGIN];
        for &place in places.iter().filter(|&&place| place != usize::MAX) {
            memory[place] = values.next();
        }
        Operand {
            memory,
            places,
            rows,
            start: MARGIN,
            step,
        }
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn ptr(&self) -> *const T {
        self.memory[self.start..].as_ptr()
    }

    pub fn ptr_mut(&mut self) -> *mut T {
        self.memory[self.start..].as_mut_ptr()
    }

    /// Of a vector.
    pub fn get(&self, index: usize) -> T {
        self.memory[self.places[index]]
    }

    pub fn set(&mut self, index: usize, value: T) {
        let place = self.places[index];
        self.memory[place] = value;
    }

    /// Of a matrix.
    pub fn at(&self, row: usize, col: usize) -> Wide {
        self.get(row + col * self.rows).wide()
    }

    pub fn set_at(&mut self, row: usize, col: usize, value: T) {
        self.set(row + col * self.rows, value);
    }

    /// All elements of a vector.
    pub fn wide(&self) -> Vec<Wide> {
        (0..self.len())
            .map(|index| self.get(index).wide())
            .collect()
    }

    /// The memory as it is, for comparison.
    pub fn bytes(&self) -> &[u8] {
        bytes(&self.memory)
    }

    /// Demands that what is around the elements is as it was.
    fn assert_surroundings(&self, before: &Self, what: &str) {
        let mut belongs = vec![false; self.memory.len()];
        for &place in self.places.iter().filter(|&&place| place != usize::MAX) {
            belongs[place] = true;
        }
        for (place, belongs) in belongs.into_iter().enumerate() {
            let (now, then) = (&self.memory[place..=place], &before.memory[place..=place]);
            assert!(
                belongs || bytes(now) == bytes(then),
                "{what}: wrote to place {place}"
            );
        }
    }
}

/// The bits of numbers.
pub fn bytes<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: floating-point numbers have no padding, and any byte is a u8.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// How many cores there are where 0, 1 and 7 helpers can come to a pool of 8; and once more as at first.
const CORES: [usize; 4] = [8, 1, 2, 8];

/// What `run` makes of the outputs, which is the same bits however many help, and nothing around them.
pub fn repeated<T: Number, R, const N: usize>(
    what: &str,
    outputs: [&Operand<T>; N],
    run: impl Fn(&mut [Operand<T>; N]) -> R,
) -> ([Operand<T>; N], R)
where
    R: PartialEq + std::fmt::Debug,
{
    // The same memory each time: kernels may depend on where it is.
    let mut work = outputs.map(Clone::clone);
    let mut first: Option<([Operand<T>; N], R)> = None;
    for cores in CORES {
        simulate_cores(NonZeroUsize::new(cores));
        for (work, output) in work.iter_mut().zip(outputs) {
            work.memory.copy_from_slice(&output.memory);
        }
        let result = run(&mut work);
        for (work, output) in work.iter().zip(outputs) {
            work.assert_surroundings(output, what);
        }
        match &first {
            None => first = Some((work.clone(), result)),
            Some((first, was)) => {
                assert_eq!(result, *was, "{what}: {cores} cores");
                for (work, first) in work.iter().zip(first) {
                    assert!(
                        work.bytes() == first.bytes(),
                        "{what}: other bits on {cores} cores"
                    );
                }
            }
        }
    }
    first.unwrap()
}

/// What the library makes of it undivided.
pub fn undivided<R>(run: impl FnOnce() -> R) -> R {
    Blas::simulate_small_tiles(false);
    let result = run();
    Blas::simulate_small_tiles(true);
    result
}

/// Demands that a number is within the usual bound of what it should be: `terms` roundings of numbers that are together
/// `size` large.
pub fn assert_close<T: Number>(what: &str, got: Wide, expected: Wide, terms: usize, size: f64) {
    let bound = (terms + 8) as f64 * T::EPSILON * size + f64::from(f32::MIN_POSITIVE) * 1e-6;
    assert!(
        (got - expected).norm() <= bound,
        "{what}: {got} instead of {expected}, bound {bound:e}"
    );
}

/// For matrices of which everything is stored.
pub fn everything(_: usize, _: usize) -> bool {
    true
}

/// The triangle that `uplo` says is stored.
pub fn triangle(uplo: u8) -> impl Fn(usize, usize) -> bool {
    move |row, col| if uplo == b'U' { row <= col } else { row >= col }
}

/// A Hermitian matrix of which one triangle is stored, with what must not be read on its diagonal.
pub fn hermitian<T: Number>(uplo: u8, n: usize, seed: u64) -> Operand<T> {
    let mut a = Operand::<T>::matrix((n, n), 2, seed, triangle(uplo));
    for place in 0..n {
        let real = a.at(place, place).re;
        a.set_at(place, place, factor(real, f64::NAN));
    }
    a
}

/// An element of op(A), from one of A.
pub fn op<'a>(
    trans: u8,
    a: impl Fn(usize, usize) -> Wide + 'a,
) -> Box<dyn Fn(usize, usize) -> Wide + 'a> {
    match trans {
        b'N' => Box::new(a),
        b'T' => Box::new(move |row, col| a(col, row)),
        _ => Box::new(move |row, col| a(col, row).conj()),
    }
}

/// The elements of alpha A x + beta y, and how large the terms of each are together.
pub fn product(
    alpha: Wide,
    a: impl Fn(usize, usize) -> Wide,
    x: &[Wide],
    beta: Wide,
    y: &[Wide],
) -> Vec<(Wide, f64)> {
    let element = |row: usize| {
        let start = if beta == Wide::ZERO {
            Wide::ZERO
        } else {
            beta * y[row]
        };
        let mut sum = (start, start.norm());
        for (col, x) in x.iter().enumerate() {
            let term = alpha * a(row, col) * x;
            sum = (sum.0 + term, sum.1 + term.norm());
        }
        sum
    };
    (0..y.len()).map(element).collect()
}

pub fn assert_product<T: Number>(what: &str, got: &[Wide], expected: &[(Wide, f64)], terms: usize) {
    for (index, (got, (expected, size))) in got.iter().zip(expected).enumerate() {
        let what = format!("{what} [{index}]");
        assert_close::<T>(&what, *got, *expected, terms, *size);
    }
}

/// Equal numbers, or both no number.
pub fn same(one: Wide, other: Wide) -> bool {
    let same = |one: f64, other: f64| one == other || one.is_nan() && other.is_nan();
    same(one.re, other.re) && same(one.im, other.im)
}

/// Runs a test of a library in a pool of 8, with small calls shared.
pub fn with_pool(path: &std::path::Path, test: impl FnOnce(&Blas) + Send) {
    simulate_cores(NonZeroUsize::new(8));
    // SAFETY: a BLAS of the manifest.
    let blas = unsafe { Blas::open(path) }.unwrap();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(8)
        .build()
        .unwrap();
    Blas::simulate_small_tiles(true);
    pool.install(|| test(&blas));
}

/// What a generic function of `&Blas` does with all four element types.
#[macro_export]
macro_rules! each_type {
    ($test:ident) => {
        |blas: &Blas| {
            $test::<f32>(blas);
            $test::<f64>(blas);
            $test::<Complex<f32>>(blas);
            $test::<Complex<f64>>(blas);
        }
    };
}

/// A test for each library, in a process of its own: `libraries!(name, body)` where `body` takes a `&Blas`.
#[macro_export]
macro_rules! libraries {
    ($($case:ident: $body:expr;)*) => {$(
        mod $case {
            use super::*;
            $crate::libraries! { @each $case, $body,
                scipy_openblas32 "scipy-openblas32",
                openblas_pthread "openblas-pthread",
                openblas_openmp "openblas-openmp",
                blis_openmp "blis-openmp",
                atlas "atlas",
                mkl "mkl-rt",
            }
        }
    )*};
    (@each $case:ident, $body:expr, $($name:ident $key:literal,)*) => {$(
        #[test]
        fn $name() {
            let test = concat!(stringify!($case), "::", stringify!($name));
            let mkl = if $key == "mkl-rt" { common::mkl_folder() } else { String::new() };
            common::in_own_process(test, &[("LD_LIBRARY_PATH", &mkl)], || {
                operands::with_pool(&common::library($key), $body);
            });
        }
    )*};
}
