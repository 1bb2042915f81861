//! What `THREADCTL_LIMITS` still has to say to libraries that are loaded later.
//!
//! [`init`](crate::init) leaves its limits here; every query of the runtimes, and with it every guard, shows what it found,
//! and what was not there before is limited then, by the thread that asked. There is no thread that watches, and
//! loading a library calls nothing: until somebody asks, a library that came later has its own number.
//!
//! Invariants:
//! - A runtime is limited once, so that what a program sets afterwards stays. What was limited is held from then on, as
//!   by a guard; of everything else, facts are kept alone, and a program may unload it.
//! - No lock is held while a runtime is set: a controller of the user's own may ask for the runtimes again. So of two
//!   threads that ask at the same moment the second may be answered before the first has set the number.

use super::apply;
use super::read::Scope;
use crate::limit::{self, Limits, Outcome};
use crate::runtime::{Facts, Runtime, Runtimes, when_asked};
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

/// Limits, and for which runtimes they have been looked at.
#[derive(Debug)]
struct Standing {
    limits: Option<Limits>,
    seen: Vec<Facts>,
    /// Those that were limited.
    held: Vec<Runtime>,
}

impl Standing {
    const NONE: Standing = Standing {
        limits: None,
        seen: Vec::new(),
        held: Vec::new(),
    };

    fn new(limits: Option<&Limits>, found: &Runtimes, outcomes: &[Outcome]) -> Self {
        let mut standing = Standing {
            limits: limits.cloned(),
            ..Standing::NONE
        };
        if limits.is_some() {
            standing.seen = found.iter().map(Runtime::facts).collect();
            standing.hold(outcomes);
        }
        standing
    }

    /// The limits, and those of `found` that are new to them; they are new once.
    fn news(&mut self, found: &Runtimes) -> Option<(Limits, Runtimes)> {
        let limits = self.limits.as_ref()?;
        let new = found.select(|runtime| {
            !self.seen.iter().any(|facts| facts.are_of(runtime))
                && !self.held.iter().any(|held| held.is_same(runtime))
        });
        if new.is_empty() {
            return None;
        }
        let limits = limits.clone();
        self.seen.retain(Facts::are_known);
        self.seen.extend(new.iter().map(Runtime::facts));
        Some((limits, new))
    }

    fn hold(&mut self, outcomes: &[Outcome]) {
        let limited = outcomes.iter().map(|outcome| outcome.runtime.clone());
        self.held.extend(limited);
    }
}

static OF_PROCESS: Mutex<Standing> = Mutex::new(Standing::NONE);

thread_local! {
    static OF_THREAD: RefCell<Standing> = const { RefCell::new(Standing::NONE) };
}

/// Uses the limits of a scope, briefly. `None` on a thread that is being torn down, which has no later libraries.
fn with<T>(scope: Scope, work: impl FnOnce(&mut Standing) -> T) -> Option<T> {
    match scope {
        Scope::Process => {
            // A panic cannot have come between: nothing foreign is called under the lock.
            let mut standing = OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
            Some(work(&mut standing))
        }
        Scope::Thread => OF_THREAD
            .try_with(|standing| work(&mut standing.borrow_mut()))
            .ok(),
    }
}

/// From now on these limits hold in this scope, and none in the other; they were applied to `found`.
pub(super) fn stand(scope: Scope, limits: Option<&Limits>, found: &Runtimes, outcomes: &[Outcome]) {
    for other in [Scope::Process, Scope::Thread] {
        let limits = limits.filter(|_| other == scope);
        let new = Standing::new(limits, found, outcomes);
        // What it held may go with it, outside the lock.
        drop(with(other, |standing| std::mem::replace(standing, new)));
    }
    // Calls that dispatch shares have their threads from it, whatever the library's own number is.
    limit::stand(limits.filter(|_| scope == Scope::Process));
    if limits.is_some() {
        when_asked(look);
    }
}

/// Limits those of `found` that came since.
fn look(found: &Runtimes) {
    for scope in [Scope::Process, Scope::Thread] {
        let Some((limits, new)) = with(scope, |standing| standing.news(found)).flatten() else {
            continue;
        };
        match apply::to_new(scope, &limits, found, &new) {
            Ok(outcomes) => {
                apply::tell(scope, &outcomes);
                with(scope, |standing| standing.hold(&outcomes));
            }
            Err(error) => tracing::warn!(%error, "a library that came later is not limited"),
        }
    }
}
