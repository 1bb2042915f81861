//! How a library is held at one thread while its kernels run, and at one caller where it bears no more.
//!
//! Invariants: a kernel that may use threads of its own runs only where the library's number is held at one, for the process
//! where its setter reaches the process, else for the thread that calls; where that cannot be done the kernel runs all the same, and
//! it is told; a library that does not bear concurrent callers has one at a time.

use super::share::turn;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Limits, Outcome, Plan, ProcessGuard, ThreadGuard};
use crate::runtime::{Runtime, Saved, Setting, runtimes};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError};

thread_local! {
    /// Whether this thread has it: a kernel may call back, where a library's own references lead to dispatch.
    static ALONE_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Being the one in a kernel of a library that does not bear concurrent callers. One for the process, since several [`Blas`] may
/// be of one library; a forked child has a turn of its own, since nobody there would end the parent's.
struct Alone {
    _turn: MutexGuard<'static, ()>,
}

impl Alone {
    /// Waits for its turn; `None` where this thread has it already.
    fn wait() -> Option<Self> {
        if ALONE_HERE.get() {
            return None;
        }
        let turn = turn().lock().unwrap_or_else(PoisonError::into_inner);
        ALONE_HERE.set(true);
        Some(Alone { _turn: turn })
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        ALONE_HERE.set(false);
    }
}

/// How the library is held at one thread.
pub(super) enum Hold {
    /// It has no threads, or is held for the whole process.
    Process {
        _guard: Option<ProcessGuard>,
        /// Of MKL: whoever gives a thread a number of its own goes before the one of the process, so it is asked each time.
        own: Option<(Runtime, Plan)>,
    },
    /// Its setter holds for the thread that calls it, so each thread is held while it is in a kernel.
    Thread(Plan),
    /// The same where nothing else is to be seen to: the thread's number is set and put back.
    Number(Setting),
}

/// What a kernel runs under.
pub(super) struct Held {
    _alone: Option<Alone>,
    _narrow: Option<ThreadGuard>,
    _number: Option<OneThread>,
}

/// A thread's number is one until this is dropped. Nothing else changes it meanwhile, for the thread is in a call; so what limits the
/// program has on it are found again as they were.
struct OneThread {
    setting: Setting,
    before: Saved,
}

impl OneThread {
    fn of(setting: &Setting) -> Option<Self> {
        let before = setting.save();
        // A runtime that says one has one already.
        if setting.get() == 1 {
            return None;
        }
        setting.set(1);
        Some(OneThread {
            setting: setting.clone(),
            before,
        })
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        self.setting.restore(self.before);
    }
}

impl Hold {
    pub const NOTHING: Hold = Hold::Process {
        _guard: None,
        own: None,
    };

    pub fn of(runtime: &Runtime) -> Result<Self> {
        let only = runtimes().select(|other| other.filepath() == runtime.filepath());
        let plan = Limits::new().all(1).kernels().plan(&only)?;
        let guard = plan.limit_process()?;
        if guard.outcomes().iter().all(Outcome::is_honoured) {
            return Ok(Hold::Process {
                _guard: Some(guard),
                own: (runtime.internal_api() == "mkl").then(|| (runtime.clone(), plan)),
            });
        }
        drop(guard);
        all_hold(plan.limit_thread()?.outcomes(), ErrorKind::Unsupported)?;
        // A number of the process's that goes before the thread's is for the ledger to know; and a controller of the program's own may
        // refuse, which is told.
        let number = runtime
            .thread_setting()
            .filter(|setting| setting.is_plain() && runtime.process_setting().is_none());
        Ok(match number {
            Some(setting) => Hold::Number(setting.clone()),
            None => Hold::Thread(plan),
        })
    }

    /// Whether each thread is held anew.
    pub fn is_by_thread(&self) -> bool {
        matches!(self, Hold::Thread(_) | Hold::Number(_))
    }

    /// Whether nothing has to be kept while a kernel runs, however large.
    #[inline]
    pub fn needs_nothing(&self) -> bool {
        matches!(self, Hold::Process { own: None, .. })
    }

    /// What has to be kept while a kernel runs that may be large enough for threads of the library's own; `alone` where the library
    /// bears one caller. That a thread cannot be held is `told` once.
    pub fn held(&self, alone: bool, told: &AtomicBool) -> Held {
        let alone = if alone { Alone::wait() } else { None };
        let narrow = match self {
            Hold::Process { own: None, .. } => None,
            Hold::Process {
                own: Some((runtime, plan)),
                ..
            } => (runtime.num_threads() != Some(1))
                .then(|| hold_thread(plan, told))
                .flatten(),
            Hold::Thread(plan) => hold_thread(plan, told),
            Hold::Number(_) => None,
        };
        let number = match self {
            Hold::Number(setting) => OneThread::of(setting),
            _ => None,
        };
        Held {
            _alone: alone,
            _narrow: narrow,
            _number: number,
        }
    }
}

/// Holds the calling thread at one, for work that is done whether it can be held or not; if not, that is told, unless `told`
/// says that it was.
pub(super) fn hold_thread(plan: &Plan, told: &AtomicBool) -> Option<ThreadGuard> {
    let guard = plan.limit_thread();
    if !guard.as_ref().is_ok_and(ThreadGuard::all_hold) {
        tell(&guard, told);
    }
    guard.ok()
}

#[cold]
fn tell(guard: &Result<ThreadGuard>, told: &AtomicBool) {
    // Relaxed: it hands nothing over.
    if told.swap(true, Ordering::Relaxed) {
        return;
    }
    const WHAT: &str = "BLAS calls of a thread are not held at one thread";
    match guard {
        Ok(guard) => {
            for outcome in guard.outcomes().iter().filter(|it| !it.is_honoured()) {
                tracing::warn!(%outcome, "{WHAT}");
            }
        }
        Err(error) => tracing::warn!(%error, "{WHAT}"),
    }
}

/// Refuses limits of one thread of which some do not hold.
pub(super) fn all_hold(outcomes: &[Outcome], kind: ErrorKind) -> Result<()> {
    let Some(bad) = outcomes.iter().find(|outcome| !outcome.is_honoured()) else {
        return Ok(());
    };
    let why = bad.shortfall.as_ref().map(ToString::to_string);
    Err(Error::new(
        kind,
        format!(
            "{}: it cannot be held at one thread: {}",
            bad.runtime.filepath().display(),
            why.unwrap_or_default()
        ),
    ))
}
