//! The C interface: the header beside the library, what the functions do, and the examples in C, Python and Julia.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../tests/common/mod.rs"]
mod libraries;

#[path = "../common/mod.rs"]
mod common;

mod api;
mod examples;
mod functions;
mod header;
