//! Whom a setter reaches, found out by setting a value in one thread and reading it in another.
//!
//! Names and documentation do not tell: OpenBLAS built on OpenMP is thread-scoped under the same function that is
//! process-wide in its other builds, BLIS changed sides between versions, and MKL's process-wide setter does nothing
//! over TBB. The question is asked once per loaded library.
//!
//! What the rest of the process may notice: for some microseconds a process-wide setting has another value (one
//! less, or 2 where it was 1), which a call that begins just then uses. A limit that is in force is set only after
//! the scope is known, so the two never mix.

use super::setting::Setting;
use std::sync::mpsc;
use std::thread;

/// The answer for one setter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Another thread saw it.
    Process,
    /// Only the thread that set it saw it.
    Thread,
    /// Nobody saw it, not even the setter: a lower number was refused.
    Nothing,
    /// A higher number was refused, which may be a cap: nothing follows.
    Untold,
}

/// Tries `setting`.
pub(crate) fn reach(setting: &Setting) -> Reach {
    // Before the other thread can have changed anything.
    let here_before = setting.get();
    let (go, told) = mpsc::channel::<()>();
    let (tell, seen) = mpsc::channel::<(u32, u32)>();
    let other = setting.clone();
    let helper = thread::Builder::new()
        .name("threadctl-probe".to_owned())
        .spawn(move || {
            let before = other.get();
            let tried = if before >= 2 { before - 1 } else { 2 };
            let saved = other.save();
            other.set(tried);
            let _ = tell.send((tried, other.get()));
            // Until the first thread has looked, or is gone.
            let _ = told.recv();
            other.restore(saved);
            before
        });
    // A process at its limit of threads: nothing was tried, nothing is known.
    let Ok(helper) = helper else {
        return Reach::Untold;
    };
    let answer = seen.recv().ok();
    let here = setting.get();
    drop(go);
    let Ok(there_before) = helper.join() else {
        return Reach::Untold;
    };
    match answer {
        Some((tried, there)) if there == tried && here == here_before && here != tried => {
            Reach::Thread
        }
        Some((tried, there)) if there == tried && here == tried && here_before != tried => {
            Reach::Process
        }
        Some((tried, _)) if tried < there_before => Reach::Nothing,
        _ => Reach::Untold,
    }
}
