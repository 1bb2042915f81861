//! Whom a setter reaches, found out by setting a value in one thread and reading it in another.
//!
//! Names and documentation do not tell: OpenBLAS built on OpenMP is thread-scoped under the same function that is
//! process-wide in its other builds, BLIS changed sides between versions, and MKL's process-wide setter does nothing
//! over TBB. The question is asked once per loaded library.
//!
//! Both threads are new: the caller may have a value of its own, which would hide the process's from it. The program
//! may set values meanwhile, so a trial counts only when the next ones agree, or when it agrees with what is known of such a
//! library. For the latter one new thread does, which sets while the caller looks (of an OpenBLAS, which calls nobody back): they wait for
//! each other by looking, for to be
//! woken takes some ten times as long as all else here, and every program over the provider starts with such a trial.
//!
//! What the rest of the process may notice: for some microseconds a process-wide setting has another value (one
//! less, or 2 where it was 1), which a call that begins just then uses. A value that the program sets in that moment
//! stays, unless it equals the one that is tried.

use super::setting::Setting;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

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
    /// This thread was made for a trial: what it calls must not wait for that trial's answer.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is part of a trial: a controller of the user's own may ask for scopes while it is set.
pub(crate) fn is_under_way_here() -> bool {
    TRYING.get()
}

/// It has not begun, runs, or was given up: it moves from the first to one of the others, once.
const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Tries `setting`; one trial is enough if it says what is `expected`.
pub(crate) fn reach(setting: &Setting, expected: Option<Reach>) -> Reach {
    if let Some(expected) = expected {
        let seen = seen_from_here(setting);
        if seen.is_none_or(|reach| reach == expected) {
            return seen.unwrap_or(Reach::Untold);
        }
        // The caller may have a value of its own.
    }
    let state = Arc::new(AtomicU8::new(WAITING));
    // What is sent after each trial: the answer, once there is one.
    let (tell, told) = mpsc::channel::<Option<Reach>>();
    let (setting, its_state) = (setting.clone(), Arc::clone(&state));
    let helper = named(move || {
        TRYING.set(true);
        let begun =
            its_state.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire);
        if begun.is_ok() {
            let answer = try_until_sure(&setting, expected, || {
                let _ = tell.send(None);
            });
            let _ = tell.send(Some(answer));
        }
    });
    let Some(helper) = helper else {
        return Reach::Untold;
    };
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                // It could begin, so nothing keeps it from ending; with it goes its hold on the library.
                let _ = helper.join();
                return answer;
            }
            // Late, or ended by a panic of a controller. If it has not begun, it never will.
            Err(_) => {
                let _ =
                    state.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
                return Reach::Untold;
            }
        }
    }
}

/// Where the two threads of [`seen_from_here`] are, in this order; what comes before are [`WAITING`] and [`RUNNING`]. Whoever gives up
/// goes to the last one, from where nobody goes on.
const IS_SET: u8 = 3;
const SEEN: u8 = 4;
const OVER: u8 = 5;

/// For so long somebody is looked out for all the time.
const EAGER: Duration = Duration::from_millis(2);

/// What a trial says that a new thread makes and this one watches; `None` if it could not be made now.
fn seen_from_here(setting: &Setting) -> Option<Reach> {
    let before = setting.own();
    let step = Arc::new(AtomicU8::new(WAITING));
    let seen = Arc::new(AtomicU32::new(before));
    let (answer, told) = mpsc::channel();
    let (its, its_step, its_seen) = (setting.clone(), Arc::clone(&step), Arc::clone(&seen));
    let helper = named(move || {
        TRYING.set(true);
        let goes_on = |from, to| {
            let step = its_step.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
            step.ok()
        };
        if goes_on(WAITING, RUNNING).is_none() {
            return;
        }
        let looks = Cell::new(0);
        let reach = set_while_observed(&its, || {
            // The first time nothing is set yet.
            if looks.replace(1) == 1 {
                goes_on(RUNNING, IS_SET)?;
                wait_for(&its_step, SEEN)?;
            }
            Some(its_seen.load(Ordering::Acquire))
        });
        // With it goes this thread's hold on the library, before anybody goes on.
        drop(its);
        let _ = answer.send(reach);
        its_step.store(OVER, Ordering::Release);
    })?;
    if wait_for(&step, IS_SET).is_none() {
        // If it has not begun, it never will; if it has, it puts back what it sets at once.
        step.store(OVER, Ordering::Release);
        return None;
    }
    seen.store(setting.own(), Ordering::Release);
    // Unless it has given up.
    let _ = step.compare_exchange(IS_SET, SEEN, Ordering::AcqRel, Ordering::Acquire);
    wait_for(&step, OVER)?;
    // It has nothing left to do, and a program that asks how many threads there are does not see it.
    let _ = helper.join();
    told.try_recv().ok()?
}

/// Until that step is reached; `None` if nobody gets there.
fn wait_for(step: &AtomicU8, wanted: u8) -> Option<()> {
    let began = Instant::now();
    while step.load(Ordering::Acquire) < wanted {
        match began.elapsed() {
            time if time < EAGER => thread::yield_now(),
            time if time < PATIENCE => thread::sleep(EAGER / 10),
            _ => return None,
        }
    }
    Some(())
}

/// Sets other values here and lets a second thread look, until the answer is sure.
fn try_until_sure(setting: &Setting, expected: Option<Reach>, tried: impl Fn()) -> Reach {
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, seen) = mpsc::channel::<u32>();
    let theirs = setting.clone();
    // Twice in each trial: before anything is set, and while it is.
    let observer = named(move || {
        TRYING.set(true);
        while asked.recv().is_ok() {
            if tell.send(theirs.own()).is_err() {
                return;
            }
        }
    });
    let Some(observer) = observer else {
        return Reach::Untold;
    };
    let look = || {
        ask.send(()).ok()?;
        seen.recv_timeout(PATIENCE).ok()
    };
    let (mut before, mut agreeing) = (None, 0);
    for _ in 0..TRIALS {
        let Some(answer) = set_while_observed(setting, look) else {
            // The other one does not answer: it is not waited for.
            return Reach::Untold;
        };
        agreeing = if before == Some(answer) {
            agreeing + 1
        } else {
            1
        };
        before = Some(answer);
        if agreeing == AGREEING || expected == before {
            drop(ask);
            let _ = observer.join();
            return answer;
        }
        tried();
    }
    drop(ask);
    let _ = observer.join();
    Reach::Untold
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
