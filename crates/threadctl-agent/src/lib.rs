//! The preload agent of `threadctl run`, compiled and embedded: see the README beside this crate's manifest.
//!
//! Invariant: this crate has no code of its own that runs; what the agent writes is read by `threadctl::diagnose`.

/// The shared library, as the bytes of its file.
///
/// ```
/// assert!(threadctl_agent::LIBRARY.starts_with(b"\x7fELF"));
/// ```
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libthreadctl_agent.so"));
