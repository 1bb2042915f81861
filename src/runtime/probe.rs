//! Whom a setter reaches, found out by setting a value in one thread and reading it in another.
//!
//! Names and documentation do not tell: OpenBLAS built on OpenMP is thread-scoped under the same function that is
//! process-wide in its other builds, BLIS changed sides between versions, and MKL's process-wide setter does nothing
//! over TBB. The question is asked once per loaded library.
//!
//! Both threads are new: the caller may have a value of its own, which would hide the process's from it. The program
//! may set values meanwhile, so a trial counts only when the next ones agree.
//!
//! What the rest of the process may notice: for some microseconds a process-wide setting has another value (one
//! less, or 2 where it was 1), which a call that begins just then uses. A value that the program sets in that moment
//! stays, unless it equals the one that is tried.

use super::setting::Setting;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
    Capped,
    /// No two trials agreed, or they could not be made now: it may be asked again.
    Untold,
}

impl Reach {
    /// Whether asking again would tell the same.
    pub(crate) fn is_final(self) -> bool {
        self != Reach::Untold
    }
}

/// Trials until enough in a row agree, at most this many.
const TRIALS: u32 = 12;

/// How many have to.
const AGREEING: u32 = 3;

/// The new threads cannot start while the caller is inside a library's constructor (the loader's lock), so no answer
/// within this time is no answer.
const PATIENCE: Duration = Duration::from_secs(2);

thread_local! {
    /// This thread is one of a trial: what it calls must not wait for that trial's answer.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is part of a trial: a controller of the user's own may ask for scopes while it is set.
pub(crate) fn is_under_way_here() -> bool {
    TRYING.get()
}

/// Tries `setting`.
pub(crate) fn reach(setting: &Setting) -> Reach {
    let mut before = None;
    let mut agreeing = 0;
    for _ in 0..TRIALS {
        let Some(answer) = trial(setting) else {
            return Reach::Untold;
        };
        agreeing = if before == Some(answer) {
            agreeing + 1
        } else {
            1
        };
        if agreeing == AGREEING {
            return answer;
        }
        before = Some(answer);
    }
    Reach::Untold
}

/// A trial has not begun, runs, or was given up: it moves from the first to one of the others, once.
const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const GIVEN_UP: u8 = 2;

/// `None` when it could not be made.
fn trial(setting: &Setting) -> Option<Reach> {
    let state = Arc::new(AtomicU8::new(WAITING));
    let (tell, told) = mpsc::channel();
    let (setting, its_state) = (setting.clone(), Arc::clone(&state));
    let helper = named(move || {
        TRYING.set(true);
        let begun =
            its_state.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire);
        if begun.is_ok() {
            let _ = tell.send(set_and_look(&setting));
        }
    })?;
    match told.recv_timeout(PATIENCE) {
        Ok(answer) => {
            // It could begin, so nothing keeps it from ending; with it goes its hold on the library.
            let _ = helper.join();
            answer
        }
        // Late, or ended by a panic of a controller. If it has not begun, it never will.
        Err(_) => {
            let _ = state.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
            None
        }
    }
}

/// Sets another value here and lets a second thread look.
fn set_and_look(setting: &Setting) -> Option<Reach> {
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, seen) = mpsc::channel::<u32>();
    let theirs = setting.clone();
    // Twice: before anything is set, and while it is.
    let observer = named(move || {
        TRYING.set(true);
        while asked.recv().is_ok() {
            if tell.send(theirs.own()).is_err() {
                return;
            }
        }
    })?;
    let answer = set_while_observed(setting, || {
        ask.send(()).ok()?;
        seen.recv_timeout(PATIENCE).ok()
    });
    drop(ask);
    if answer.is_some() {
        let _ = observer.join();
    }
    answer
}

/// Sets another value here; `look` tells what the other thread sees.
fn set_while_observed(setting: &Setting, look: impl Fn() -> Option<u32>) -> Option<Reach> {
    let there_before = look()?;
    let before = setting.own();
    let tried = if before >= 2 { before - 1 } else { 2 };
    let saved = setting.save();
    setting.set(tried);
    let here = setting.own();
    let there = look();
    let here_still = setting.own();
    // A value that the program has set meanwhile is the program's.
    if here_still == here {
        setting.restore(saved);
    }
    let there = there?;
    if here_still != here {
        return Some(Reach::Untold);
    }
    Some(match (here == tried, there == tried) {
        (true, true) if there_before != tried => Reach::Process,
        (true, false) if there == there_before => Reach::Thread,
        (false, _) if here == before && tried < before => Reach::Nothing,
        (false, _) if here == before => Reach::Capped,
        // The program set something meanwhile.
        _ => Reach::Untold,
    })
}

fn named(body: impl FnOnce() + Send + 'static) -> Option<thread::JoinHandle<()>> {
    // A process at its limit of threads has none to spare: then nothing is tried.
    thread::Builder::new()
        .name("threadctl-probe".to_owned())
        .spawn(body)
        .ok()
}
