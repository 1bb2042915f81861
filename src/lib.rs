//! threadctl: finds, reads and limits every BLAS and OpenMP thread pool of a process.
mod error;
pub mod runtime;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use runtime::{
    ConcurrentCallers, Controller, Integers, Interface, LoadedLibrary, Registration, Runtime,
    RuntimeInfo, Runtimes, SetterScope, runtimes,
};
