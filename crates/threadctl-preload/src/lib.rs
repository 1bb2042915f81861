//! The library for `LD_PRELOAD`: the BLAS and LAPACK calls of any dynamically linked program, shared between the cores.
//!
//! Invariants: loading it does nothing; it prints nothing unless a call cannot be computed.

mod capi;
