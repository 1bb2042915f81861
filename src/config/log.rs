//! `THREADCTL_LOG` in a program that has no subscriber: the log goes to standard error.
//!
//! Invariants: nothing is installed unless the variable asks for it and [`init`](crate::init) is called; a subscriber of
//! the program is never replaced; only this library's events are written.

use tracing::Level;

/// Who gets the library's log.
///
/// ```
/// let init = threadctl::init().unwrap();
/// // The tests of this crate's documentation do not set THREADCTL_LOG.
/// assert_eq!(init.logging(), threadctl::config::Logging::NotAsked);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Logging {
    /// `THREADCTL_LOG` is not set, or off: the program's subscriber, if it has one.
    NotAsked,
    /// Standard error, up to the level that `THREADCTL_LOG` names.
    StandardError,
    /// The program has installed a subscriber of its own, whose filter decides what is shown.
    ProgramsOwn,
    /// Nobody: `THREADCTL_LOG` asks for it, but the cargo feature `log` is not built in.
    NotBuiltIn,
}

/// Installs a subscriber for `level` where the program has none.
pub(super) fn install(level: Option<Level>) -> Logging {
    match level {
        None => Logging::NotAsked,
        Some(level) => to_standard_error(level),
    }
}

#[cfg(not(feature = "log"))]
fn to_standard_error(_: Level) -> Logging {
    Logging::NotBuiltIn
}

#[cfg(feature = "log")]
fn to_standard_error(level: Level) -> Logging {
    use std::sync::atomic::{AtomicBool, Ordering};
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::{Layer, SubscriberExt};

    // Ours from an earlier call is not the program's own.
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    let layer = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        // It would be reported by a macro that panics where standard error is closed.
        .log_internal_errors(false)
        .with_filter(Targets::new().with_target("threadctl", level));
    let subscriber = tracing_subscriber::registry().with(layer);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        INSTALLED.store(true, Ordering::Relaxed);
    }
    if INSTALLED.load(Ordering::Relaxed) {
        Logging::StandardError
    } else {
        Logging::ProgramsOwn
    }
}
