//! The library for `LD_PRELOAD`: the BLAS and LAPACK calls of any dynamically linked program, shared between the cores; and the
//! C interface of threadctl (`capi`).
//!
//! It defines the routines that threadctl's dispatch covers, under all names that libraries give them, and stands before the
//! program's own libraries. A call is computed by dispatch with the kernels of the very library that it would have reached
//! without us (`threadctl::backend::supply::Own`); where that cannot be, it goes there as it is.
//!
//! Invariants: loading it does nothing; it prints nothing unless asked to, or a call cannot be computed; it defines no
//! `xerbla_` and its like, for programs bring their own.

mod calls;
mod capi;
mod report;
mod trampolines;
