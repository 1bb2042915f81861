//! Putting in force what the variables say.
//!
//! Invariants: with a wrong value anywhere nothing is changed. Limits for the process are lasting changes, the number
//! that a runtime returns to when the last guard goes, so guards and calls go before them as they go before the
//! runtime's own variables; limits for a thread are a guard of that thread.

use super::log::{self, Logging};
use super::notice;
use super::read::{Scope, Settings};
use super::table::{LIMITS, NUM_THREADS};
use crate::error::{ErrorKind, Result};
use crate::limit::{Limits, Outcome, Shortfall};
use crate::runtime::{Runtime, runtimes};
use std::cmp::Reverse;

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

    /// What became of `THREADCTL_LIMITS` on each loaded runtime that it means.
    ///
    /// ```
    /// let init = threadctl::init().unwrap();
    /// assert!(init.outcomes().iter().all(|outcome| outcome.is_honoured()));
    /// ```
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The entries of `THREADCTL_LIMITS` that mean no loaded runtime.
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
/// loaded now. Call it once, early in `main`; after loading more libraries it may be called again.
///
/// What it sets lasts: for the process, as if the runtime's own variable had said so, or with `THREADCTL_SCOPE=thread`
/// for as long as the calling thread runs. `THREADCTL_NUM_THREADS` needs no call; it counts wherever cores are counted.
///
/// # Errors
/// [`ErrorKind::Configuration`] for values that cannot be used, all of them in one message; nothing is changed then.
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
    let settings = Settings::from_env()?;
    let logging = log::install(settings.log);
    notice::strangers();
    if let Some(workers) = settings.num_threads {
        tracing::info!(%workers, "{NUM_THREADS} bounds the cores of this process");
    }
    let (outcomes, unmatched) = match &settings.limits {
        None => Default::default(),
        Some(limits) => match settings.scope {
            Scope::Process => for_process(limits)?,
            Scope::Thread => for_thread(limits)?,
        },
    };
    for outcome in &outcomes {
        tracing::info!(scope = ?settings.scope, honoured = outcome.is_honoured(), "{LIMITS}: {outcome}");
    }
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

fn for_process(limits: &Limits) -> Result<(Vec<Outcome>, Vec<String>)> {
    let plan = limits.plan(&runtimes())?;
    let mut wanted: Vec<_> = plan.assignments().collect();
    // Where two runtimes lead to one setting, the smallest limit is set last.
    wanted.sort_by_key(|(_, limit)| Reverse(*limit));
    let outcomes = wanted
        .into_iter()
        .map(|(runtime, limit)| lasting(runtime, limit))
        .collect::<Result<_>>()?;
    Ok((outcomes, plan.unmatched().to_vec()))
}

fn lasting(runtime: &Runtime, limit: u32) -> Result<Outcome> {
    let mut outcome = match runtime.set_num_threads(limit) {
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
    let here_only = runtime.process_setting().is_none() && runtime.thread_setting().is_some();
    if here_only && outcome.is_honoured() {
        outcome.shortfall = Some(Shortfall::CallingThreadOnly);
    }
    Ok(outcome)
}

fn for_thread(limits: &Limits) -> Result<(Vec<Outcome>, Vec<String>)> {
    let guard = limits.limit_thread()?;
    let report = (guard.outcomes().to_vec(), guard.unmatched().to_vec());
    // In force for as long as the thread runs.
    std::mem::forget(guard);
    Ok(report)
}
