//! The runtime that a test is about, as the library finds it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use threadctl::{Runtime, runtimes};

/// The runtime of this name; there must be no other.
#[track_caller]
pub fn the_one(internal_api: &str) -> Runtime {
    let found = runtimes().select(|runtime| runtime.internal_api() == internal_api);
    assert_eq!(found.len(), 1, "{internal_api} in {:?}", runtimes().info());
    found.iter().next().unwrap().clone()
}
