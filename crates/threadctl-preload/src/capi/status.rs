//! How a call of the C interface ends: its code, and the words for it.
//!
//! Invariants: the codes are those of `enum threadctl_status`; a panic below is a code like any other, never an unwinding
//! into C; the words of a thread stay where they are until its next failure.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use threadctl::{Error, ErrorKind};

/// `enum threadctl_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Status {
    Ok = 0,
    Argument = 1,
    Limit = 2,
    Selection = 3,
    NotHonoured = 4,
    Handle = 5,
    Thread = 6,
    Unsupported = 7,
    Configuration = 8,
    System = 9,
    Internal = 10,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    status: Status,
    words: String,
}

impl Failure {
    pub(super) fn new(status: Status, words: impl Into<String>) -> Self {
        Failure {
            status,
            words: words.into(),
        }
    }

    pub(super) fn argument(words: impl Into<String>) -> Self {
        Failure::new(Status::Argument, words)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidLimit => Status::Limit,
            ErrorKind::InvalidSelection => Status::Selection,
            ErrorKind::NotHonoured => Status::NotHonoured,
            ErrorKind::Configuration => Status::Configuration,
            ErrorKind::System => Status::System,
            // Registrations cannot be made from C, and kinds may be added.
            _ => Status::Unsupported,
        };
        Failure::new(status, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Runs a call, and returns its code; the words of a failure are kept for [`last_error`].
pub(super) fn answer(call: impl FnOnce() -> Result<(), Failure>) -> c_int {
    // What a call changes is behind locks and ledgers that bear a panic (poison is ignored there).
    let call = || {
        crate::report::obey();
        call()
    };
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        // What it panicked with may panic again when it is dropped.
        std::mem::forget(payload);
        Err(Failure::new(
            Status::Internal,
            "threadctl has met a fault of its own; standard error has what it is",
        ))
    });
    match result {
        Ok(()) => Status::Ok as c_int,
        Err(failure) => {
            keep(&failure.words);
            failure.status as c_int
        }
    }
}

fn keep(words: &str) {
    // A file name in it may hold any character.
    let words = CString::new(words.replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that is ending may have no store any more: the code says enough then.
    let _ = LAST.try_with(|last| last.replace(Some(words)));
}

/// The words of this thread's last failure.
pub(super) fn last_error() -> *const c_char {
    const NONE: &CStr = c"";
    LAST.try_with(|last| last.borrow().as_deref().map_or(NONE.as_ptr(), CStr::as_ptr))
        .unwrap_or(NONE.as_ptr())
}
