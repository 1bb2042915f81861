//! The routines that dispatch covers, as C functions: what callers of `dgemm_` and `cblas_dgemm` reach.
//!
//! A row per routine. What is not in the table goes to the backend as it is.
//!
//! Invariants: each row's functions have the C signature of the reference library's routine of that name, with integers
//! of 32 bits and of 64; none unwinds (`extern "C"` ends the process first), and none returns without a result: what
//! cannot be computed ends in [`fail`](super::supply::fail). What BLAS forbids reaches the backend's own checks unchanged.

/// A row for each name, with the function for its element type.
macro_rules! table {
    ($($function:ident: $($name:literal $T:ty),*;)*) => {
        pub(super) static ROWS: &[crate::backend::covered::Row] = &[$($(
            crate::backend::covered::Row {
                pattern: $name,
                letter: "",
                narrow: $function::<$T, i32> as *const (),
                wide: $function::<$T, i64> as *const (),
            },
        )*)*];
    };
}

use table;

mod cblas;
pub(super) mod count;
pub(super) mod direct;
mod division;
mod flags;
mod fortran;
mod lapack;
pub(super) mod secular;

use super::Backend;
use super::active::active;
use super::own::chosen;
use super::supply::{fail, missing};
use crate::dispatch::Blas;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::blas::Integer;

/// One routine, for both widths of integers.
pub(super) struct Row {
    /// Its name; `*` stands for the letter.
    pattern: &'static str,
    letter: &'static str,
    narrow: *const (),
    wide: *const (),
}

// SAFETY: addresses of code.
unsafe impl Sync for Row {}

impl Row {
    fn name(&self) -> String {
        self.pattern.replace('*', self.letter)
    }

    /// Whether that is its name: hundreds are asked at the first call of each symbol.
    fn is_called(&self, name: &str) -> bool {
        match self.pattern.split_once('*') {
            Some((before, after)) => {
                let rest = name.strip_prefix(before);
                rest.and_then(|rest| rest.strip_prefix(self.letter)) == Some(after)
            }
            None => self.pattern == name,
        }
    }
}

static TABLES: &[&[Row]] = &[
    fortran::ROWS,
    cblas::ROWS,
    lapack::ROWS,
    division::ROWS,
    secular::ROWS,
];

/// The routines that run through dispatch, by the names of the reference libraries.
///
/// ```
/// assert!(threadctl::backend::covered_routines().any(|name| name == "dgemm_"));
/// ```
pub fn covered_routines() -> impl Iterator<Item = String> {
    rows().map(Row::name)
}

/// The function for a routine that is covered.
pub(super) fn entry(name: &str, wide: bool) -> Option<*mut ()> {
    let row = rows().find(|row| row.is_called(name))?;
    let function = if wide { row.wide } else { row.narrow };
    Some(function.cast_mut())
}

/// The functions that a library's own calls of these routines may be bound to. Without those that return complex numbers:
/// how they do that differs, and the reference CBLAS computes them by calling them, so they would call themselves.
pub(super) fn inner(wide: bool) -> impl Iterator<Item = (String, *const ())> {
    let returns_complex =
        |name: &str| ["cdotu_", "cdotc_", "zdotu_", "zdotc_", "cladiv_", "zladiv_"].contains(&name);
    rows()
        .map(move |row| (row.name(), if wide { row.wide } else { row.narrow }))
        .filter(move |(name, _)| !returns_complex(name))
}

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().copied().flatten()
}

/// The BLAS that computes a call of the routine of this name, in which `*` stands for the letter.
#[inline]
fn blas(pattern: &'static str, letter: &'static str) -> &'static Blas {
    count::count(pattern, letter);
    match of_this_call() {
        Some(backend) => backend.blas(),
        None => fail(&none()),
    }
}

/// The backend that computes a call: asked once in each.
#[inline]
fn of_this_call() -> Option<Backend> {
    chosen().or_else(active)
}

/// The backend's own routine, for calls that dispatch has no counterpart of.
#[cold]
fn unchanged<I: Integer>(name: &str) -> *mut () {
    let Some(backend) = of_this_call() else {
        fail(&none());
    };
    match backend.routine(name, I::WIDE) {
        Some(own) => own.as_ptr().cast(),
        None => fail(&missing(backend, name, I::WIDE)),
    }
}

#[cold]
fn none() -> Error {
    Error::new(ErrorKind::Unsupported, "there is no backend yet")
}

/// The result of a call; there is none where its integers do not fit the backend's.
#[inline]
fn done<R>(result: Result<R>) -> R {
    match result {
        Ok(result) => result,
        Err(error) => fail(&error),
    }
}
