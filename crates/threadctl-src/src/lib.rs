//! BLAS, CBLAS, LAPACK and LAPACKE for Rust programs, over a library that is chosen when the program runs.
//!
//! ```toml
//! [dependencies]
//! ndarray = { version = "0.17", features = ["blas"] }
//! ndarray-linalg = { version = "0.18", default-features = false }
//! threadctl-src = "0.1"
//! ```
//! ```
//! use threadctl_src as _; // once, anywhere in the program
//! ```
//!
//! Nothing is linked but this crate: the library that computes is opened at the first call. Which one: what
//! `THREADCTL_BACKEND` says, else the first that works of OpenBLAS, MKL, BLIS with LAPACK, and the system's `libblas.so.3`
//! with `liblapack.so.3` (see [`threadctl::backend`]). The BLAS routines that threadctl covers run as tiles that idle rayon
//! workers help with; all others run in that library.
//!
//! The symbols are those of gfortran's libraries with 32-bit integers; with 64-bit integers, the same names with `64_` after
//! them (`dgemm_64_`, `cblas_dgemm64_`). `xerbla_`, `cblas_xerbla` and `LAPACKE_xerbla` are not among them: programs may
//! bring their own.
//!
//! # Errors
//! A routine that the backend does not have is no error until it is called. BLAS has no way to return one, so the process
//! is aborted then, after a message that names the routine, the backend, and the package that has it; likewise where there
//! is no backend at all. A program that wants an error in hand calls [`threadctl::backend::current`] first.

#[cfg(target_arch = "x86_64")]
mod carry;
mod names;
mod resolve;
mod trampolines;
