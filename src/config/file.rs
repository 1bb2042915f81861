//! The one place that decides whether a variable may name a file: every variable that has code loaded or a file read
//! asks here first.
//!
//! Invariant: in a program that has more rights than its caller (set-uid, set-gid, file capabilities) the answer is no,
//! for the environment is the caller's.

use super::read::Context;
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

/// A file that a variable names and that is not used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    variable: &'static str,
    value: String,
}

/// Whether the file that `variable` names in `value` may be used; if not, it is kept in the context.
pub(super) fn allowed(variable: &'static str, value: &str, context: &Context) -> bool {
    if context.trust == Trust::Names {
        let value = value.to_owned();
        context
            .refused
            .borrow_mut()
            .push(Refused { variable, value });
    }
    context.trust == Trust::Full
}

/// Says in the log what is not used. Apart from [`allowed`], since the log may be installed only after all is read.
pub(super) fn report(refused: &[Refused]) {
    for Refused { variable, value } in refused {
        tracing::warn!(
            variable,
            value,
            "ignored: this program has more rights than its caller, whose variables cannot name files"
        );
    }
}
