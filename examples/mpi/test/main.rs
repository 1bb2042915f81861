//! The programs under Debian's `mpirun`: the same bits on any number of ranks, the cores of all ranks, errors and deaths, two hosts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

mod ends;
mod hosts;
mod launch;
mod same;
mod sharing;
