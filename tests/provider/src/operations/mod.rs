//! Every operation for every type, order and layout, as lines of text: a name, how far it is determined, its rows and
//! columns, and its numbers by rows, each as a real and an imaginary part.
//!
//! Invariant: what is written is determined by the matrix up to rounding, and by nothing else: no order that libraries choose, no
//! vectors of which there are many.

mod matrices;
mod run;

use ndarray::{Array2, Axis};
use ndarray_linalg::{Lapack, Scalar, c32, c64};
use std::fmt::Write as _;

/// One of the four element types.
pub trait Number: Scalar<Real: Into<f64> + Scalar<Real = <Self as Scalar>::Real>> + Lapack {
    /// What it is called in names of results.
    const NAME: &'static str;
    /// The number with these parts; without the second where it is real.
    fn made(re: f64, im: f64) -> Self;
}

macro_rules! numbers {
    ($($type:ty, $name:literal, |$re:ident, $im:ident| $made:expr;)*) => {$(
        impl Number for $type {
            const NAME: &'static str = $name;
            #[allow(unused_variables, clippy::cast_possible_truncation, reason = "small numbers, and some are real")]
            fn made($re: f64, $im: f64) -> Self {
                $made
            }
        }
    )*};
}

numbers! {
    f32, "f32", |re, im| re as f32;
    f64, "f64", |re, im| re;
    c32, "c32", |re, im| c32::new(re as f32, im as f32);
    c64, "c64", |re, im| c64::new(re, im);
}

/// How far a result is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Determined {
    /// As it is.
    Wholly,
    /// Each column up to a factor of modulus 1: eigenvectors and singular vectors.
    Columns,
}

/// The results so far, and how the next ones are called.
pub(crate) struct Book {
    text: String,
    prefix: String,
}

impl Book {
    /// Writes numbers down.
    fn values<T>(&mut self, name: &str, values: impl IntoIterator<Item = T>)
    where
        T: Scalar<Real: Into<f64>>,
    {
        let values: Vec<T> = values.into_iter().collect();
        let count = values.len();
        self.line(name, Determined::Wholly, (1, count), values);
    }

    /// Writes a matrix down.
    fn matrix<T>(&mut self, name: &str, matrix: &Array2<T>)
    where
        T: Scalar<Real: Into<f64>>,
    {
        self.line(
            name,
            Determined::Wholly,
            matrix.dim(),
            matrix.iter().copied(),
        );
    }

    /// Writes the first of a matrix's columns down, each of which is determined up to a factor.
    fn columns<T>(&mut self, name: &str, matrix: &Array2<T>, first: usize)
    where
        T: Scalar<Real: Into<f64>>,
    {
        let columns = matrix.select(Axis(1), &(0..first).collect::<Vec<_>>());
        self.line(
            name,
            Determined::Columns,
            columns.dim(),
            columns.iter().copied(),
        );
    }

    fn line<T>(
        &mut self,
        name: &str,
        determined: Determined,
        (rows, columns): (usize, usize),
        values: impl IntoIterator<Item = T>,
    ) where
        T: Scalar<Real: Into<f64>>,
    {
        let prefix = &self.prefix;
        let _ = write!(self.text, "{prefix}.{name} {determined:?} {rows} {columns}");
        for value in values {
            let (re, im): (f64, f64) = (value.re().into(), value.im().into());
            let _ = write!(self.text, " {re:e} {im:e}");
        }
        self.text.push('\n');
    }
}

/// The orders: one that is below all that is cut, and one that is above much of it.
const ORDERS: [usize; 2] = [6, 40];

/// All operations.
///
/// # Panics
/// When one returns an error.
pub fn all() -> String {
    let mut book = Book {
        text: String::new(),
        prefix: String::new(),
    };
    of_type::<f32>(&mut book);
    of_type::<f64>(&mut book);
    of_type::<c32>(&mut book);
    of_type::<c64>(&mut book);
    book.text
}

fn of_type<A: Number>(book: &mut Book) {
    for order in ORDERS {
        for by_columns in [false, true] {
            let layout = if by_columns { "columns" } else { "rows" };
            book.prefix = format!("{}.{order}.{layout}", A::NAME);
            run::run::<A>(book, order, by_columns);
        }
    }
}
