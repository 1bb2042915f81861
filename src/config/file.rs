//! The one place that decides whether a variable may name a file: every variable that has code loaded or a file read
//! asks here first.
//!
//! Invariant: in a program that has more rights than its caller (set-uid, set-gid, file capabilities) the answer is no,
//! for the environment is the caller's.

use crate::sys::privilege;

/// Whether the environment comes from somebody who has the rights that the program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Full,
    /// The program has more.
    Names,
}

impl Trust {
    pub(super) fn of_process() -> Self {
        if privilege::is_raised() {
            Trust::Names
        } else {
            Trust::Full
        }
    }
}

/// Whether the file that `variable` names in `value` may be used; says so in the log if not.
pub(super) fn allowed(variable: &str, value: &str, trust: Trust) -> bool {
    if trust == Trust::Names {
        tracing::warn!(
            variable,
            value,
            "ignored: this program has more rights than its caller, whose variables cannot name files"
        );
    }
    trust == Trust::Full
}
