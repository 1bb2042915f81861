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
