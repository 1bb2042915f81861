//! How a BLAS or LAPACK call runs: straight through, or as tiles that idle rayon workers help with.
//!
//! [`share`](share()) is the primitive underneath, and useful by itself. [`Blas`] is a library whose calls are shared.

mod backend;
mod check;
pub(crate) mod forward;
mod grid;
pub(crate) mod history;
mod hold;
pub mod lapack;
mod level1;
mod level2;
mod level3;
mod matrix;
mod packing;
mod policy;
mod pool;
mod ptr;
mod region;
mod run;
mod scalar;
pub mod share;
mod strided;
mod tables;
pub mod tuning;
pub(crate) mod under_way;
mod wedge;
mod workspace;

pub use backend::Blas;
pub(crate) use policy::vector::Routine as VectorRoutine;
pub(crate) use policy::when_small_tiles_change;
pub use pool::PoolBuilder;
pub use region::{Pool, Region, region, region_in};
pub use scalar::Scalar;
pub use share::{share, simulate_cores, width};
