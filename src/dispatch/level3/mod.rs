//! Level 3: matrices by matrices.
//!
//! Routines of one family differ in what their own kernel does on the diagonal and in which products surround it. What
//! they have in common: a call that is tiny, or not exactly what the tiles stand for, goes to the library as it is.

mod batch;
mod gemm;
mod operand;
mod rank;
mod rank_calls;
mod symmetric;
mod triangular;

use super::backend::Blas;
use super::policy;

impl Blas {
    /// Has calls of level 3 cut however small they are, into tiles of very few rows and columns, or, with `false`, as they
    /// are without it: for tests. It holds for the whole process.
    #[doc(hidden)]
    pub fn simulate_small_tiles(small: bool) {
        policy::simulate_small_tiles(small);
    }
}
