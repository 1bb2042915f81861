//! What became of each limit: asked for, in force, and how the two differ.

use super::ledger::Grant;
use super::plan::{Decision, Reach, Scope};
use crate::runtime::Runtime;
use std::fmt;

/// What became of the limit on one runtime.
///
/// ```
/// let guard = threadctl::Limits::new().all(1).limit_process().unwrap();
/// for outcome in guard.outcomes() {
///     println!("{}: {:?}", outcome.runtime.internal_api(), outcome.effective);
///     if let Some(shortfall) = &outcome.shortfall {
///         println!("  {shortfall}");
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// Who was limited.
    pub runtime: Runtime,
    /// The number of cores that was asked for.
    pub requested: u32,
    /// The number in force after that, read back from the runtime; `None` when it was left alone and its number is
    /// not known or not the same in all threads.
    pub effective: Option<u32>,
    /// How what was done differs from what was asked for; `None` when it does not.
    pub shortfall: Option<Shortfall>,
}

/// How a limit that was asked for differs from what was done about it.
///
/// ```
/// use threadctl::Shortfall;
/// assert!(!Shortfall::ThreadOnly.is_honoured());
/// assert!(Shortfall::Capped.is_honoured());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// The build, or whoever started the pool, fixes the number of threads.
    Fixed,
    /// A limit for the process was asked for, but the runtime's setter holds only for the thread that calls it. The
    /// runtime was not touched: a guard for the thread, made in each thread, is what limits it.
    ThreadOnly,
    /// A change for the process was asked for (`THREADCTL_LIMITS`), but the runtime's setter holds only for the thread
    /// that calls it. It holds for the thread that called [`init`](crate::init), and in no other.
    CallingThreadOnly,
    /// Nothing tells whom the runtime's setter reaches, so it was not used.
    ScopeUnknown,
    /// The runtime must not be called.
    NotAllowed {
        /// Why.
        reason: String,
    },
    /// The runtime was set and reads back a larger number.
    Refused,
    /// Some threads have larger limits of their own, which go before one for the process: calls that they make use
    /// up to as many cores as those allow.
    ThreadLimitsGoBefore {
        /// How many threads.
        threads: u32,
    },
    /// The limit holds, and not for this thread alone: the runtime has only a setter for the whole process.
    WidenedToProcess,
    /// The limit holds: it is more than the build allows.
    Clamped {
        /// The most that the build allows.
        max: u32,
        /// Whether the limit was also [widened to the process](Shortfall::WidenedToProcess).
        widened: bool,
    },
    /// The limit holds: the runtime took a smaller number (MKL: the physical cores, while MKL_DYNAMIC is on).
    Capped,
    /// A lasting change that waits: larger limits are alive, and it takes hold when the last of them goes.
    Deferred {
        /// The smallest limit alive.
        by: u32,
    },
    /// The limit holds: a smaller one is alive. For a lasting change: that is in force until the last limit goes.
    Overridden {
        /// The smallest limit alive.
        by: u32,
    },
}

impl Shortfall {
    /// Whether a call still uses no more cores than were asked for.
    ///
    /// ```
    /// assert!(threadctl::Shortfall::WidenedToProcess.is_honoured());
    /// ```
    pub fn is_honoured(&self) -> bool {
        match self {
            Shortfall::Fixed
            | Shortfall::ThreadOnly
            | Shortfall::CallingThreadOnly
            | Shortfall::ScopeUnknown
            | Shortfall::NotAllowed { .. }
            | Shortfall::Refused
            | Shortfall::Deferred { .. }
            | Shortfall::ThreadLimitsGoBefore { .. } => false,
            Shortfall::WidenedToProcess
            | Shortfall::Clamped { .. }
            | Shortfall::Capped
            | Shortfall::Overridden { .. } => true,
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortfall::Fixed => f.write_str("its number of threads cannot be changed"),
            Shortfall::ThreadOnly => f.write_str(
                "its setter holds only for the thread that calls it, so it was left alone; make a thread-scoped guard \
                 in each thread instead",
            ),
            Shortfall::CallingThreadOnly => f.write_str(
                "its setter holds only for the thread that calls it, so other threads are not limited",
            ),
            Shortfall::ScopeUnknown => {
                f.write_str("nothing tells whom its setter reaches, so it was left alone")
            }
            Shortfall::NotAllowed { reason } => f.write_str(reason),
            Shortfall::Refused => f.write_str("it was set, and reads back a larger number"),
            Shortfall::ThreadLimitsGoBefore { threads } => write!(
                f,
                "larger limits of their own, which {threads} thread(s) have, go before it in those"
            ),
            Shortfall::WidenedToProcess => f.write_str(
                "it has only a setter for the whole process, so other threads are limited too",
            ),
            Shortfall::Clamped { max, widened } => {
                write!(f, "its build allows at most {max}")?;
                match widened {
                    true => write!(f, "; {}", Shortfall::WidenedToProcess),
                    false => Ok(()),
                }
            }
            Shortfall::Deferred { by } => {
                write!(f, "it waits for larger limits to go; one of {by} is in force until then")
            }
            Shortfall::Capped => f.write_str("it took a smaller number"),
            Shortfall::Overridden { by } => write!(f, "a limit of {by} is in force"),
        }
    }
}

impl Outcome {
    /// Whether a call uses no more cores than were asked for.
    ///
    /// ```
    /// let guard = threadctl::Limits::new().all(1).limit_process().unwrap();
    /// let broken = guard.outcomes().iter().filter(|outcome| !outcome.is_honoured());
    /// println!("{} limits do not hold", broken.count());
    /// ```
    pub fn is_honoured(&self) -> bool {
        self.shortfall.as_ref().is_none_or(Shortfall::is_honoured)
    }

    /// Of a runtime that was left alone.
    pub(crate) fn left(runtime: &Runtime, requested: u32, why: Shortfall) -> Self {
        Outcome {
            runtime: runtime.clone(),
            requested,
            effective: runtime.num_threads(),
            shortfall: Some(why),
        }
    }

    pub(super) fn new(
        runtime: &Runtime,
        requested: u32,
        decision: &Decision,
        held: Option<Held>,
        scope: Scope,
    ) -> Self {
        let (effective, shortfall) = match (decision, held) {
            (Decision::Hold { reach, .. }, Some(held)) => {
                let widened = *reach == Reach::Process && scope == Scope::Thread;
                let max = runtime.max_threads();
                // Some builds repeat whatever they are told.
                let effective = held.grant.effective.min(max.unwrap_or(u32::MAX));
                (Some(effective), held.shortfall(requested, widened, max))
            }
            // A plan that was not carried out.
            (Decision::Hold { .. }, None) => (None, None),
            (Decision::Within { threads }, _) => {
                let max = runtime.max_threads().filter(|max| *max < requested);
                let clamped = |max| Shortfall::Clamped {
                    max,
                    widened: false,
                };
                (Some(*threads), max.map(clamped))
            }
            (Decision::Left { threads, why }, _) => (*threads, Some(why.clone())),
        };
        Outcome {
            runtime: runtime.clone(),
            requested,
            effective,
            shortfall,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): at most {} asked for",
            self.runtime.internal_api(),
            self.runtime.filepath().display(),
            self.requested
        )?;
        if let Some(effective) = self.effective {
            write!(f, ", {effective} in force")?;
        }
        match &self.shortfall {
            Some(shortfall) => write!(f, ": {shortfall}"),
            None => Ok(()),
        }
    }
}

/// What a hold got when its guard was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub grant: Grant,
    /// How many threads have larger limits of their own, which go before this one.
    pub above: u32,
}

impl Held {
    /// Whether a limit of `requested` holds through it.
    pub(super) fn honours(&self, requested: u32) -> bool {
        self.grant.effective <= requested && self.above == 0
    }

    /// The one difference that says most.
    pub(super) fn shortfall(
        &self,
        requested: u32,
        widened: bool,
        max: Option<u32>,
    ) -> Option<Shortfall> {
        let Grant {
            smallest,
            effective,
        } = self.grant;
        let max = max.filter(|max| *max < requested);
        if effective > requested {
            Some(Shortfall::Refused)
        } else if self.above > 0 {
            Some(Shortfall::ThreadLimitsGoBefore {
                threads: self.above,
            })
        } else if let Some(max) = max.filter(|_| smallest >= requested) {
            Some(Shortfall::Clamped { max, widened })
        } else if widened {
            Some(Shortfall::WidenedToProcess)
        } else if effective == requested {
            None
        } else if smallest < requested {
            Some(Shortfall::Overridden { by: smallest })
        } else {
            Some(Shortfall::Capped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(smallest: u32, effective: u32) -> Held {
        Held {
            grant: Grant {
                smallest,
                effective,
            },
            above: 0,
        }
    }

    #[test]
    fn a_difference_is_named_by_its_cause() {
        let max = Some(64);
        assert_eq!(got(2, 2).shortfall(2, false, max), None);
        assert_eq!(got(2, 3).shortfall(2, false, max), Some(Shortfall::Refused));
        assert_eq!(
            got(1, 1).shortfall(2, false, max),
            Some(Shortfall::Overridden { by: 1 })
        );
        assert_eq!(
            got(100, 64).shortfall(100, false, max),
            Some(Shortfall::Clamped {
                max: 64,
                widened: false
            })
        );
        assert_eq!(
            got(100, 100).shortfall(100, true, max),
            Some(Shortfall::Clamped {
                max: 64,
                widened: true
            }),
            "an echo is no effect"
        );
        assert_eq!(got(3, 2).shortfall(3, false, max), Some(Shortfall::Capped));
        assert_eq!(
            got(2, 2).shortfall(2, true, max),
            Some(Shortfall::WidenedToProcess)
        );
        let above = Held {
            above: 3,
            ..got(2, 2)
        };
        assert_eq!(
            above.shortfall(2, false, max),
            Some(Shortfall::ThreadLimitsGoBefore { threads: 3 })
        );
    }

    #[test]
    fn strict_mode_and_the_report_agree_on_what_holds() {
        for requested in 1..5 {
            for smallest in 1..5 {
                for effective in 1..5 {
                    for above in 0..2 {
                        let held = Held {
                            above,
                            ..got(smallest, effective)
                        };
                        let reported = held.shortfall(requested, false, None);
                        let honoured = reported.as_ref().is_none_or(Shortfall::is_honoured);
                        assert_eq!(honoured, held.honours(requested));
                    }
                }
            }
        }
    }
}
