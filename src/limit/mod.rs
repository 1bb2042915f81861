//! Layer 3: scoped limits, with one meaning on every runtime.
//!
//! A limit of L on runtime R in scope S: a call into R made within S uses at most L cores, the caller's included. It
//! holds on every runtime, or the guard says which runtime cannot honour it and why.
//!
//! [`Limits`] says what is wanted; [`Plan`] resolves it for the runtimes that are loaded; [`ProcessGuard`] and
//! [`ThreadGuard`] put it in force until they are dropped, on return, on `?` and on panic. What is in force is at every
//! moment the smallest limit alive, and the original comes back when the last goes: see README.md beside this file
//! for the protocol.

mod guard;
mod lasting;
#[cfg(loom)]
#[doc(hidden)]
pub mod ledger;
#[cfg(not(loom))]
mod ledger;
mod outcome;
mod parse;
mod plan;
mod scoped;
mod select;
mod shared;
mod target;
#[cfg(all(test, not(loom)))]
mod tests;
mod thread;

pub(crate) use guard::identity;
pub use guard::{Plan, ProcessGuard, ThreadGuard};
pub use outcome::{Outcome, Shortfall};
pub(crate) use plan::Identity;
pub use select::Limits;
pub(crate) use select::nearest;
pub(crate) use shared::{most, stand};
