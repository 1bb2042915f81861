//! Full matrices in double precision by plain loops, and the residuals by which LAPACK's own testers judge.
//!
//! Source of the ratios and of their threshold: LAPACK Working Note 41, "Installation guide for LAPACK", and the test
//! programs (`xGET01`, `xPOT01`, `xQRT01` ...): a ratio below 30 passes.
#![allow(
    dead_code,
    clippy::cast_precision_loss,
    reason = "each test file uses a part of it; sizes are small"
)]

use crate::reference::{Number, Stored, Wide};

/// LAPACK's threshold.
const THRESHOLD: f64 = 30.0;

/// A matrix, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    pub rows: usize,
    pub cols: usize,
    at: Vec<Wide>,
}

impl Full {
    pub fn new(rows: usize, cols: usize, at: impl Fn(usize, usize) -> Wide) -> Self {
        let at = (0..rows * cols).map(|i| at(i % rows, i / rows)).collect();
        Full { rows, cols, at }
    }

    pub fn identity(order: usize) -> Self {
        Full::new(order, order, |row, col| {
            Wide::from(f64::from(u8::from(row == col)))
        })
    }

    /// All of what is stored.
    pub fn of<T: Number>(stored: &Stored<T>) -> Self {
        Full::new(stored.rows, stored.cols, |row, col| {
            stored.get(row, col).wide()
        })
    }

    /// The lower or the upper triangle of what is stored (trapezoid, where it is not square), with ones on the diagonal if
    /// `unit`; zeros elsewhere.
    pub fn triangle<T: Number>(
        stored: &Stored<T>,
        [rows, cols]: [usize; 2],
        lower: bool,
        unit: bool,
    ) -> Self {
        Full::new(rows, cols, |row, col| {
            if row == col && unit {
                Wide::ONE
            } else if row == col || (row > col) == lower {
                stored.get(row, col).wide()
            } else {
                Wide::ZERO
            }
        })
    }

    /// A Hermitian matrix of which one triangle is stored.
    pub fn hermitian<T: Number>(stored: &Stored<T>, lower: bool) -> Self {
        Full::new(stored.rows, stored.rows, |row, col| {
            if row == col {
                Wide::from(stored.get(row, row).wide().re)
            } else if (row > col) == lower {
                stored.get(row, col).wide()
            } else {
                stored.get(col, row).wide().conj()
            }
        })
    }

    pub fn at(&self, row: usize, col: usize) -> Wide {
        self.at[row + col * self.rows]
    }

    pub fn set(&mut self, row: usize, col: usize, value: Wide) {
        self.at[row + col * self.rows] = value;
    }

    pub fn swap_rows(&mut self, one: usize, other: usize) {
        for col in 0..self.cols {
            self.at.swap(one + col * self.rows, other + col * self.rows);
        }
    }

    /// As a flag of BLAS says.
    pub fn taken(&self, flag: u8) -> Self {
        match flag {
            b'N' => self.clone(),
            b'T' => Full::new(self.cols, self.rows, |row, col| self.at(col, row)),
            _ => Full::new(self.cols, self.rows, |row, col| self.at(col, row).conj()),
        }
    }

    pub fn part(&self, rows: usize, cols: usize) -> Self {
        Full::new(rows, cols, |row, col| self.at(row, col))
    }

    pub fn times(&self, other: &Full) -> Full {
        assert_eq!(self.cols, other.rows);
        let mut result = Full::new(self.rows, other.cols, |_, _| Wide::ZERO);
        for col in 0..other.cols {
            let into = &mut result.at[col * self.rows..(col + 1) * self.rows];
            for k in 0..self.cols {
                let factor = other.at(k, col);
                if factor == Wide::ZERO {
                    continue;
                }
                let from = &self.at[k * self.rows..(k + 1) * self.rows];
                let mut row = 0;
                while row < from.len() {
                    into[row] += from[row] * factor;
                    row += 1;
                }
            }
        }
        result
    }

    pub fn minus(&self, other: &Full) -> Full {
        assert_eq!((self.rows, self.cols), (other.rows, other.cols));
        Full::new(self.rows, self.cols, |row, col| {
            self.at(row, col) - other.at(row, col)
        })
    }

    /// The largest sum of absolute values in a column.
    pub fn norm(&self) -> f64 {
        (0..self.cols)
            .map(|col| (0..self.rows).map(|row| self.at(row, col).norm()).sum())
            .fold(0.0, |most: f64, sum: f64| {
                // A NaN stays one, other than with `max` alone.
                if most.is_nan() || sum.is_nan() {
                    f64::NAN
                } else {
                    most.max(sum)
                }
            })
    }
}

/// Asserts that a difference is as small as LAPACK demands of one that is made of sums of `depth` numbers of that size.
#[track_caller]
pub fn assert_small<T: Number>(difference: &Full, depth: usize, size: f64, what: &str) {
    let allowed = THRESHOLD * depth.max(1) as f64 * size * T::EPSILON / 2.0;
    let norm = difference.norm();
    assert!(
        norm <= allowed,
        "{what}: the residual's norm is {norm:e}, allowed are {allowed:e} (depth {depth}, size {size:e})"
    );
}
