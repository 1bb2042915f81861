//! `threadctl info`: on its own process (`load`), on others (`pid`), and against threadpoolctl (`threadpoolctl`).
//!
//! `mapped` are processes that do odd things. `document` is the contract of its JSON, `python` a process to look at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../tests/common/mod.rs"]
mod common;
mod document;
mod load;
mod mapped;
mod pid;
mod python;
#[path = "../../../../tests/common/sleeper.rs"]
mod sleeper;
mod threadpoolctl;
