//! How a BLAS or LAPACK call runs: straight through, or as tiles that idle rayon workers help with.
//!
//! [`share`](share()) is the primitive underneath, and useful by itself.

pub mod share;

pub use share::{share, simulate_cores, width};
