//! `threadctl cores`: the command and what it refuses (`command`), and what it finds under real constraints (`machine`).
//!
//! `asked` is how it is asked, and the contract of its JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod asked;
mod command;
#[path = "../../../../tests/common/mod.rs"]
mod common;
mod machine;
#[path = "../../../../tests/common/sleeper.rs"]
mod sleeper;
