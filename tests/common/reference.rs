//! An independent reference for level 3: matrices in memory whose every other element is a NaN, and sums of products by
//! plain loops in double precision, with the error that each element may have.
//!
//! Invariant: what a routine must not read (padding, the other triangle, unit diagonals) is a NaN, so that reading it
//! shows in the result; what it must not write is compared bit by bit.
#![allow(
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::float_cmp,
    reason = "each test file uses a part of it; sizes are small"
)]

use num_complex::Complex;
use threadctl::dispatch::Scalar;

/// What the reference computes in.
pub type Wide = Complex<f64>;

/// The element types, as the reference needs them.
pub trait Number: Scalar<Real: Into<f64>> {
    /// The distance of 1 to the next number.
    const EPSILON: f64;
    /// What is closest to it.
    fn of(wide: Wide) -> Self;
    fn real(value: f64) -> Self::Real;
    fn wide(self) -> Wide;
    /// To tell elements apart that compare equal, or not at all.
    fn bits(self) -> [u64; 2];
}

macro_rules! real {
    ($type:ty) => {
        impl Number for $type {
            const EPSILON: f64 = <$type>::EPSILON as f64;
            fn of(wide: Wide) -> Self {
                wide.re as $type
            }
            fn real(value: f64) -> Self {
                value as $type
            }
            fn wide(self) -> Wide {
                Complex::new(f64::from(self), 0.0)
            }
            fn bits(self) -> [u64; 2] {
                [u64::from(self.to_bits()), 0]
            }
        }
    };
}

macro_rules! complex {
    ($real:ty) => {
        impl Number for Complex<$real> {
            const EPSILON: f64 = <$real>::EPSILON as f64;
            fn of(wide: Wide) -> Self {
                Complex::new(wide.re as $real, wide.im as $real)
            }
            fn real(value: f64) -> $real {
                value as $real
            }
            fn wide(self) -> Wide {
                Complex::new(f64::from(self.re), f64::from(self.im))
            }
            fn bits(self) -> [u64; 2] {
                [u64::from(self.re.to_bits()), u64::from(self.im.to_bits())]
            }
        }
    };
}

real!(f32);
real!(f64);
complex!(f32);
complex!(f64);

/// Numbers that look random, the same in every run.
pub struct Values(u64);

impl Values {
    pub fn new(seed: u64) -> Self {
        Values(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Between -1 and 1, and not near 0.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let value = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        if self.0 & 1 == 0 {
            0.1 + 0.9 * value
        } else {
            -0.1 - 0.9 * value
        }
    }

    pub fn next<T: Number>(&mut self) -> T {
        T::of(Complex::new(self.unit(), self.unit()))
    }
}

/// Elements before and behind a matrix.
const MARGIN: usize = 3;

/// A matrix in memory.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    pub memory: Vec<T>,
    pub rows: usize,
    pub cols: usize,
    pub ld: usize,
}

impl<T: Number> Stored<T> {
    /// All NaN. Its columns are `gap` elements further apart than they are long.
    pub fn nan(rows: usize, cols: usize, gap: usize) -> Self {
        let ld = rows.max(1) + gap;
        let nan = T::of(Complex::new(f64::NAN, f64::NAN));
        Stored {
            memory: vec![nan; ld * cols + 2 * MARGIN],
            rows,
            cols,
            ld,
        }
    }

    /// With values at the places that are `stored`.
    pub fn filled(
        (rows, cols): (usize, usize),
        gap: usize,
        seed: u64,
        stored: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let mut matrix = Stored::nan(rows, cols, gap);
        let mut values = Values::new(seed);
        for col in 0..cols {
            for row in 0..rows {
                let value = values.next();
                if stored(row, col) {
                    matrix.set(row, col, value);
                }
            }
        }
        matrix
    }

    fn place(&self, row: usize, col: usize) -> usize {
        assert!(row < self.rows && col < self.cols);
        MARGIN + row + col * self.ld
    }

    pub fn get(&self, row: usize, col: usize) -> T {
        self.memory[self.place(row, col)]
    }

    pub fn set(&mut self, row: usize, col: usize, value: T) {
        let place = self.place(row, col);
        self.memory[place] = value;
    }

    pub fn ptr(&self) -> *const T {
        self.memory[MARGIN..].as_ptr()
    }

    pub fn ptr_mut(&mut self) -> *mut T {
        self.memory[MARGIN..].as_mut_ptr()
    }

    pub fn ld(&self) -> isize {
        self.ld as isize
    }

    /// As it is.
    pub fn dense(&self) -> Dense {
        Dense::new(self.rows, self.cols, |row, col| {
            Some(self.get(row, col).wide())
        })
    }

    /// Whether both hold the same bits everywhere.
    pub fn same(&self, other: &Self) -> bool {
        self.memory.len() == other.memory.len()
            && (self.memory.iter().zip(&other.memory)).all(|(a, b)| a.bits() == b.bits())
    }

    /// Asserts that nothing changed but the elements that `meant` names.
    pub fn assert_untouched(
        &self,
        before: &Self,
        meant: impl Fn(usize, usize) -> bool,
        what: &str,
    ) {
        let mut now = self.clone();
        for col in 0..self.cols {
            for row in 0..self.rows {
                if meant(row, col) {
                    now.set(row, col, before.get(row, col));
                }
            }
        }
        assert!(
            now.same(before),
            "{what}: something that is not the result's was written"
        );
    }
}

/// A matrix of which some elements are 0 by nature, and are not looked at.
#[derive(Debug, Clone)]
pub struct Dense {
    pub rows: usize,
    pub cols: usize,
    at: Vec<Option<Wide>>,
}

impl Dense {
    pub fn new(rows: usize, cols: usize, at: impl Fn(usize, usize) -> Option<Wide>) -> Self {
        Dense {
            rows,
            cols,
            at: (0..rows * cols).map(|i| at(i % rows, i / rows)).collect(),
        }
    }

    pub fn at(&self, row: usize, col: usize) -> Option<Wide> {
        self.at[row + col * self.rows]
    }

    /// As a flag says.
    pub fn taken(&self, flag: u8) -> Dense {
        match flag {
            b'N' => self.clone(),
            b'T' => Dense::new(self.cols, self.rows, |row, col| self.at(col, row)),
            _ => Dense::new(self.cols, self.rows, |row, col| {
                self.at(col, row).map(|value| value.conj())
            }),
        }
    }

    /// Its rows, or its columns, one after the other: real and imaginary parts, and whether they are looked at.
    fn lines(&self, columns: bool) -> Vec<[f64; 3]> {
        let (lines, len) = if columns {
            (self.cols, self.rows)
        } else {
            (self.rows, self.cols)
        };
        (0..lines * len)
            .map(|i| (i / len, i % len))
            .map(|(line, k)| {
                if columns {
                    self.at(k, line)
                } else {
                    self.at(line, k)
                }
            })
            .map(|value| value.map_or([0.0; 3], |value| [value.re, value.im, 1.0]))
            .collect()
    }
}

/// A sum of products with factors.
pub struct Sum(Vec<Term>);

/// A product: its factor, and the rows and columns that are multiplied, each of `depth` elements.
struct Term {
    factor: Wide,
    depth: usize,
    left: Vec<[f64; 3]>,
    right: Vec<[f64; 3]>,
}

impl Sum {
    /// Of which each is a factor, and two matrices. Those with the factor 0 are not looked at.
    pub fn new(terms: &[(Wide, Dense, Dense)]) -> Self {
        let terms = terms.iter().filter(|(factor, ..)| *factor != Wide::ZERO);
        let lines = terms.map(|(factor, left, right)| {
            assert_eq!(left.cols, right.rows);
            Term {
                factor: *factor,
                depth: left.cols,
                left: left.lines(false),
                right: right.lines(true),
            }
        });
        Sum(lines.collect())
    }

    /// How many products are added up.
    pub fn depth(&self) -> usize {
        self.0.iter().map(|term| term.depth).sum()
    }

    /// An element: its value, and the sum of what was added in absolute values.
    pub fn at(&self, row: usize, col: usize) -> (Wide, f64) {
        let (mut value, mut size) = (Wide::ZERO, 0.0);
        for Term {
            factor,
            depth,
            left,
            right,
        } in &self.0
        {
            // In plain numbers: these loops are most of what tests that are not optimised do.
            let (mut re, mut im, mut sizes) = (0.0, 0.0, 0.0);
            let (left, right) = (&left[row * depth..], &right[col * depth..]);
            let mut k = 0;
            while k < *depth {
                let ([a, b, a_is], [c, d, c_is]) = (left[k], right[k]);
                if a_is != 0.0 && c_is != 0.0 {
                    re += a * c - b * d;
                    im += a * d + b * c;
                    sizes += (a.abs() + b.abs()) * (c.abs() + d.abs());
                }
                k += 1;
            }
            value += factor * Complex::new(re, im);
            size += factor.l1_norm() * sizes;
        }
        (value, size)
    }
}

/// Asserts that a sum of `depth` products of numbers of type `T` is what it should be.
pub fn assert_close<T: Number>(
    got: Wide,
    (value, size): (Wide, f64),
    depth: usize,
    what: &dyn Fn() -> String,
) {
    if !value.re.is_finite() || !value.im.is_finite() {
        assert!(
            !got.re.is_finite() || !got.im.is_finite(),
            "{}: {got} where {value} is expected",
            what()
        );
        return;
    }
    let allowed = 4.0 * (depth as f64 + 4.0) * T::EPSILON * size + f64::MIN_POSITIVE;
    assert!(
        (got - value).l1_norm() <= allowed,
        "{}: {got} is not {value} up to {allowed:e}",
        what()
    );
}
