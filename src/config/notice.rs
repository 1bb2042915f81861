//! Variables of programs that do not call [`init`](crate::init): looked at once, when the library is first used for
//! something that they would bear on.

use super::file;
use super::read::Settings;
use super::table::{LIMITS, VARIABLES};
use crate::limit::nearest;
use std::sync::atomic::{AtomicBool, Ordering};

static DONE: AtomicBool = AtomicBool::new(false);

/// Nothing remains to be reported: [`init`](crate::init) tells its caller.
pub(super) fn settle() {
    DONE.store(true, Ordering::Relaxed);
}

/// Reports wrong values, once in the process, through the log. Costs a load after that.
pub(crate) fn notice() {
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let (settings, errors, refused) = Settings::of_process();
    for error in errors {
        tracing::warn!(%error, "an environment variable is ignored");
    }
    file::report(&refused);
    if let Some(limits) = settings.limits {
        tracing::info!(%limits, "{LIMITS} is not in force: threadctl::init() has not been called");
    }
    strangers();
}

/// Reports variables that look like the library's own and are none: a slip there would otherwise go unnoticed.
pub(super) fn strangers() {
    let known: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("THREADCTL_")) else {
            continue;
        };
        if known.contains(&name) {
            continue;
        }
        if let Some(near) = nearest(name, &known) {
            tracing::warn!(variable = name, "unknown variable; did you mean {near}?");
        }
    }
}
