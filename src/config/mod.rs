//! The library's own environment variables: what they are, what they say, and putting it in force.
//!
//! Invariants: loading the library reads nothing and changes nothing; a variable takes effect through [`init`], or by
//! being asked for ([`Settings::from_env`], [`Workers::from_env`](crate::Workers::from_env)); a wrong value is an error
//! there and is otherwise reported once through the log. Everything a variable can name that would be opened or run
//! goes through `file.rs`, which refuses it in set-uid programs.
//!
//! For users: `docs/CONFIGURATION.md`.

mod apply;
mod file;
mod log;
mod notice;
mod read;
mod standing;
mod table;
#[cfg(all(test, not(loom)))]
mod tests;
mod tuning;

pub use apply::{Init, init, init_unattended};
pub use log::Logging;
pub use read::{Scope, Settings};
pub use table::{VARIABLES, Variable};
pub use tuning::TuningFile;

pub(crate) use notice::notice;
pub(crate) use read::backend_of_process as backend;
pub(crate) use read::jobserver_of_process as jobserver;
pub(crate) use read::num_threads_of_process as num_threads;
pub(crate) use read::pin_of_process as pin;
pub(crate) use table::JOBSERVER;
pub(crate) use tuning::of_process as tuning_file;
