//! The workloads that people bring from NumPy, SciPy and Numba, each a folder to read, run and copy.
//!
//! Each module is ordinary code over rayon, ndarray and threadctl, without any use of the others, so that it can be copied alone.
//! The page beside it (`README.md`) says when to use it and how to take it over.

pub mod arrays;
pub mod batched;
pub mod contaminants;
pub mod cookbook;
pub mod jobs;
pub mod loops;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod neighbours;
pub mod workers;
