//! How a BLAS or LAPACK call runs: straight through, or as tiles that idle rayon workers help with.
//!
//! [`share`](share()) is the primitive underneath, and useful by itself. [`Blas`] is a library whose calls are shared.

mod backend;
mod check;
mod grid;
mod level3;
mod policy;
mod ptr;
mod region;
mod run;
mod scalar;
pub mod share;

pub use backend::Blas;
#[doc(hidden)]
pub use backend::Tables;
pub use region::{Pool, Region, region, region_in};
pub use scalar::Scalar;
pub use share::{share, simulate_cores, width};
