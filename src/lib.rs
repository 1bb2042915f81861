//! Finds, reads and limits every native thread pool of a process: OpenBLAS, MKL, BLIS, OpenMP runtimes and others.
//!
//! Numerical programs mix linear algebra with parallel loops; each side starts a thread per core, and nesting multiplies
//! them. This crate tells which pools there are ([`runtimes`]), what each is doing ([`RuntimeInfo`]), and limits them at run
//! time ([`Limits`]) with one meaning everywhere; and it tells how many cores there are for all of them, and why
//! ([`cores()`]):
//!
//! *A limit of L on runtime R in scope S: a call into R made within S uses at most L cores, the caller's included.*
//!
//! ```
//! use threadctl::Limits;
//!
//! # fn main() -> threadctl::Result<()> {
//! for runtime in &threadctl::runtimes() {
//!     println!("{}: {:?} threads", runtime.internal_api(), runtime.num_threads());
//! }
//! let guard = Limits::new().user_api("blas", 1).limit_process()?;
//! // Calls into any BLAS use one core here, in every thread.
//! drop(guard);
//! # Ok(())
//! # }
//! ```
//!
//! # Which scope
//! | | [`ProcessGuard`] | [`ThreadGuard`] |
//! | --- | --- | --- |
//! | limits calls of | every thread | the thread that made it |
//! | may be dropped on | any thread, in any order | that thread, in any order |
//! | where the library can only be set for a thread | not touched, and reported | exact |
//! | where it can only be set for the process | exact | limits the process, and reports it |
//!
//! # Promises
//! The library prints nothing, starts no pool, ends nothing and does not panic; what it finds and decides goes to
//! [`tracing`](https://docs.rs/tracing). All of its types but [`ThreadGuard`] may be used from any thread. Linux only.
//!
//! # Environment variables
//! [`init`] puts in force what `THREADCTL_LIMITS` and its siblings say: see [`config`].
//!
//! # Features
//! - `serde`: the reports serialize, as `threadctl info --json` prints them.
//! - `log` (on by default): [`init`] writes the log to standard error where `THREADCTL_LOG` asks for it and the program has
//!   no subscriber.
//! - `diagnose`: the module `diagnose`, which looks at another process from outside.
//! - `keeper`: `budget::Keeper`, which makes a budget of cores for other processes, as `threadctl share` does.
//! - `mpi`: the module `mpi`, by which the ranks of a node share its cores. Needs an MPI library (`mpicc`) and libclang.

pub mod backend;
pub mod budget;
pub mod config;
pub mod cores;
#[cfg(feature = "diagnose")]
pub mod diagnose;
pub mod dispatch;
mod error;
pub mod limit;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod runtime;
mod sync;
mod sys;

pub use config::{Init, init};
pub use cores::split::{Split, split};
pub use cores::workers::Workers;
pub use cores::{Cores, cores};
pub use error::{Error, ErrorKind, Result};
pub use limit::{Limits, Outcome, Plan, ProcessGuard, Shortfall, ThreadGuard};
pub use runtime::{
    ConcurrentCallers, Controller, Integers, Interface, LoadedLibrary, Registration, Runtime,
    RuntimeInfo, Runtimes, SetterScope, runtimes,
};

/// The README's program, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
