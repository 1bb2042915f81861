//! threadctl: finds, reads and limits every BLAS and OpenMP thread pool of a process.
#[cfg(feature = "diagnose")]
pub mod diagnose;
mod error;
pub mod limit;
pub mod runtime;
mod sync;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use limit::{Limits, Outcome, Plan, ProcessGuard, Shortfall, ThreadGuard};
pub use runtime::{
    ConcurrentCallers, Controller, Integers, Interface, LoadedLibrary, Registration, Runtime,
    RuntimeInfo, Runtimes, SetterScope, runtimes,
};
