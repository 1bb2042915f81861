//! Putting in force what the variables say.
//!
//! Invariants: with a wrong value anywhere nothing is changed. Limits for the process are lasting changes, the number
//! that a runtime returns to when the last guard goes, so guards and calls go before them as they go before the
//! runtime's own variables; limits for a thread are a guard of that thread. What is loaded later is limited by
//! `standing.rs`, through the same functions.

use super::file::{self, Refused};
use super::log::{self, Logging};
use super::notice;
use super::read::{Scope, Settings};
use super::standing;
use super::table::{LIMITS, NUM_THREADS};
use crate::dispatch::tuning::Tuning;
use crate::error::{ErrorKind, Result};
use crate::limit::{Limits, Outcome, Shortfall};
use crate::runtime::{Runtime, Runtimes, Setting, runtimes};

/// What [`init`] did.
///
/// ```
/// let init = threadctl::init()?;
/// for outcome in init.outcomes() {
///     println!("{outcome}");
/// }
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Init {
    settings: Settings,
    outcomes: Vec<Outcome>,
    unmatched: Vec<String>,
    logging: Logging,
}

impl Init {
    /// What the variables say.
    ///
    /// ```
    /// assert!(threadctl::init().unwrap().settings().limits.is_none());
    /// ```
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What became of `THREADCTL_LIMITS` on each runtime that it means and that was loaded.
    ///
    /// ```
    /// let init = threadctl::init().unwrap();
    /// assert!(init.outcomes().iter().all(|outcome| outcome.is_honoured()));
    /// ```
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The entries of `THREADCTL_LIMITS` that mean no runtime that was loaded; one may come.
    ///
    /// ```
    /// assert!(threadctl::init().unwrap().unmatched().is_empty());
    /// ```
    pub fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    /// Who gets the log.
    ///
    /// ```
    /// println!("{:?}", threadctl::init().unwrap().logging());
    /// ```
    pub fn logging(&self) -> Logging {
        self.logging
    }
}

/// Puts in force what the `THREADCTL_*` variables say: `THREADCTL_LOG`, and `THREADCTL_LIMITS` on the runtimes that are
/// loaded now. Call it once, early in `main`.
///
/// A library that is loaded later is limited as soon as somebody asks: by the first [`runtimes`](crate::runtimes()), guard
/// ([`Limits::limit_process`](crate::Limits::limit_process) ...) or `init` after it was loaded, in whatever thread, once.
/// Until then it has its own number; a program that makes no guards calls `init` again after loading libraries. A call
/// also sets again what was limited before and changed since.
///
/// What it sets lasts: for the process, as if the runtime's own variable had said so, or with `THREADCTL_SCOPE=thread`
/// for as long as the calling thread runs. `THREADCTL_NUM_THREADS` needs no call; it counts wherever cores are counted.
///
/// # Errors
/// [`ErrorKind::Configuration`] for values that cannot be used, all of them in one message, and for a tuning that is none,
/// [`ErrorKind::System`] for one that cannot be read; nothing is changed then.
/// What a runtime cannot do is no error but in [`Init::outcomes`].
///
/// ```
/// fn main() -> threadctl::Result<()> {
///     threadctl::init()?;
///     // ... the program ...
///     Ok(())
/// }
/// ```
pub fn init() -> Result<Init> {
    notice::settle();
    let (settings, refused) = Settings::checked()?;
    Tuning::of(&settings.tuning)?;
    put(settings, &refused)
}

/// [`init`] where nobody would hear of an error, as in the preload library: a wrong value is ignored, and reported in the log.
///
/// ```
/// threadctl::config::init_unattended();
/// ```
pub fn init_unattended() {
    notice::settle();
    let (settings, errors, refused) = Settings::of_process();
    // Before what it is to show.
    log::install(settings.log);
    for error in errors {
        tracing::warn!(%error, "an environment variable is ignored");
    }
    if let Err(error) = put(settings, &refused) {
        tracing::warn!(%error, "{LIMITS} is not in force");
    }
}

fn put(settings: Settings, refused: &[Refused]) -> Result<Init> {
    let logging = log::install(settings.log);
    file::report(refused);
    notice::strangers();
    if let Some(workers) = settings.num_threads {
        tracing::info!(%workers, "{NUM_THREADS} bounds the cores of this process");
    }
    let (found, outcomes, unmatched) = match &settings.limits {
        None => Default::default(),
        Some(limits) => {
            let found = runtimes();
            let unmatched = limits.plan(&found)?.unmatched().to_vec();
            let outcomes = to_new(settings.scope, limits, &found, &found)?;
            (found, outcomes, unmatched)
        }
    };
    standing::stand(settings.scope, settings.limits.as_ref(), &found, &outcomes);
    tell(settings.scope, &outcomes);
    for name in &unmatched {
        tracing::info!("{LIMITS}: no runtime that {name} means is loaded");
    }
    Ok(Init {
        settings,
        outcomes,
        unmatched,
        logging,
    })
}

/// Puts `limits` in force on `new`, a part of `found`.
pub(super) fn to_new(
    scope: Scope,
    limits: &Limits,
    found: &Runtimes,
    new: &Runtimes,
) -> Result<Vec<Outcome>> {
    match scope {
        Scope::Process => for_process(limits, found, new),
        Scope::Thread => for_thread(limits, new),
    }
}

/// Logs what became of limits.
pub(super) fn tell(scope: Scope, outcomes: &[Outcome]) {
    for outcome in outcomes {
        tracing::info!(
            ?scope,
            honoured = outcome.is_honoured(),
            "{LIMITS}: {outcome}"
        );
    }
}

fn for_process(limits: &Limits, found: &Runtimes, new: &Runtimes) -> Result<Vec<Outcome>> {
    let plan = limits.plan(found)?;
    let wanted: Vec<(&Runtime, u32)> = plan.assignments().collect();
    wanted
        .iter()
        .filter(|(runtime, _)| new.iter().any(|new| new.is_same(runtime)))
        .map(|(runtime, limit)| lasting(runtime, *limit, least(runtime, *limit, &wanted)))
        .collect()
}

/// The smallest limit of those runtimes that lead to the setting of this one.
fn least(runtime: &Runtime, limit: u32, wanted: &[(&Runtime, u32)]) -> u32 {
    let key = |runtime: &Runtime| {
        let setting = runtime
            .process_setting()
            .or_else(|| runtime.thread_setting());
        setting.map(Setting::key)
    };
    let own = key(runtime);
    wanted
        .iter()
        .filter(|(other, _)| own.is_some() && key(other) == own)
        .map(|(_, limit)| *limit)
        .fold(limit, u32::min)
}

/// Sets the number of a runtime, `least` where another one's limit is smaller than its own.
fn lasting(runtime: &Runtime, limit: u32, least: u32) -> Result<Outcome> {
    let mut outcome = match runtime.set_num_threads(least) {
        Ok(outcome) => outcome,
        Err(error) if error.kind() == ErrorKind::Unsupported => Outcome::left(
            runtime,
            limit,
            Shortfall::NotAllowed {
                reason: error.to_string(),
            },
        ),
        Err(error) => return Err(error),
    };
    outcome.requested = limit;
    let here_only = runtime.process_setting().is_none() && runtime.thread_setting().is_some();
    if here_only && outcome.is_honoured() {
        outcome.shortfall = Some(Shortfall::CallingThreadOnly);
    } else if least < limit && outcome.shortfall.is_none() {
        outcome.shortfall = Some(Shortfall::Overridden { by: least });
    }
    Ok(outcome)
}

fn for_thread(limits: &Limits, new: &Runtimes) -> Result<Vec<Outcome>> {
    let guard = limits.plan(new)?.limit_thread()?;
    let outcomes = guard.outcomes().to_vec();
    // In force for as long as the thread runs.
    std::mem::forget(guard);
    Ok(outcomes)
}
