//! The public operations of ndarray-linalg on matrices whose results are well determined, whatever BLAS the program that
//! calls them is linked with: `bin/operations.rs` has the provider, `bin/operations-openblas.rs` openblas-src.

pub mod operations;
