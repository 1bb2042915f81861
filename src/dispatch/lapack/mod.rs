//! LAPACK over dispatch: factorizations, solutions and inverses whose arithmetic is in products that are shared.
//!
//! Each routine is a recursion, or a row of blocks, over the routines of level 3; its small cases are the library's own
//! LAPACK, held at one thread, or plain loops here where the library has none (but for laed3). Sources are named where the
//! algorithms are.
//!
//! Invariants:
//! - Arguments, `info`, pivots, reflectors and workspace queries are those of LAPACK 3.11 (LAPACK Users' Guide, 3rd
//!   edition). A call whose arguments LAPACK forbids goes to the library's own routine as it is, so that its error
//!   handler is called; a library that has none gets the same `info` without the handler.
//! - Where a call is cut depends on its shape and on the size of the pool alone, as in level 3, so that results repeat bit
//!   by bit. What is computed on the way lies at fixed alignments (`workspace.rs`).
//! - Kernels are called directly only in `through` and in tiles, where the library is held.

mod cells;
mod cholesky;
mod cholesky_steps;
pub mod fortran;
mod int;
mod inverse;
mod least_squares;
mod lq;
mod lu;
mod lu_panels;
mod qr;
mod qr_panels;
mod reflectors;
mod secular;
mod triangles;

pub use cholesky_steps::CholeskyStep;
pub use int::Int;
pub(crate) use secular::Places;

use super::backend::Blas;
use super::share::width;
use crate::error::Result;

/// The first argument that LAPACK forbids, as its `info`: the arguments' conditions with their numbers, in their order.
fn forbidden(conditions: &[(bool, isize)]) -> Option<isize> {
    conditions
        .iter()
        .find(|(allowed, _)| !allowed)
        .map(|(_, number)| -number)
}

/// Whether a leading dimension is one for so many rows.
fn is_leading(ld: isize, rows: isize) -> bool {
    ld >= rows.max(1)
}

/// Whether a flag is one of these letters, of either case.
fn is_one_of(flag: u8, letters: &[u8]) -> bool {
    letters.contains(&flag.to_ascii_uppercase())
}

/// A number that is not negative.
fn size(number: isize) -> usize {
    usize::try_from(number).unwrap_or(0)
}

impl Blas {
    /// A call with a forbidden argument: the library's own routine reports it to its error handler.
    fn refused(&self, info: isize, own: impl FnOnce() -> Option<isize>) -> Result<isize> {
        self.through(own)?;
        // Not what it returns: OpenBLAS's getrs leaves `info` at 0 for a wrong flag.
        Ok(info)
    }

    /// Runs a call in the library's own routine, if it has one, where nothing is gained by cutting it.
    fn undivided_lapack(
        &self,
        small: bool,
        own: impl FnOnce() -> Option<isize>,
    ) -> Result<Option<isize>> {
        if small || !self.shares() || width() == 1 {
            self.through(own)
        } else {
            Ok(None)
        }
    }

    /// Whether the library is MKL, some of whose factorizations are worth cutting later than those of others.
    fn is_mkl(&self) -> bool {
        self.runtime()
            .is_some_and(|runtime| runtime.internal_api() == "mkl")
    }
}
