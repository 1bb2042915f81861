//! The unsafe floor: loaded objects, their symbols, and calls through them.
//!
//! Everything above this module speaks in safe types. Invariants kept here:
//! - nothing is opened inside a `dl_iterate_phdr` callback: objects are collected first, opened afterwards
//!   (the callback runs under the loader's lock);
//! - an address is called only through a value that keeps the object it came from loaded ([`library::Library`]).

pub(crate) mod blas;
pub(crate) mod buffers;
pub(crate) mod call;
pub(crate) mod caller;
#[cfg(feature = "keeper")]
pub(crate) mod clock;
pub(crate) mod elf;
pub(crate) mod fit;
pub(crate) mod fork;
pub(crate) mod fresh;
pub(crate) mod gate;
pub(crate) mod lapack;
pub(crate) mod library;
pub(crate) mod locks;
pub(crate) mod mapped;
pub(crate) mod memory;
pub(crate) mod naming;
pub(crate) mod objects;
pub(crate) mod privilege;
pub(crate) mod rebind;
pub(crate) mod shared;
