//! Changes that last, beside limits that do not.

use super::ledger::{Grant, Lasting};
use super::outcome::{Held, Outcome, Shortfall};
use super::select::LARGEST;
use super::target::{ProcessTarget, ThreadTarget};
use super::thread;
use crate::cores::Width;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Runtime;

impl Runtime {
    /// Changes its number of threads for good, for whom its setter reaches: the process, or else the calling thread
    /// (see [`setter_scope`](Runtime::setter_scope)). The number is given as for limits: a `u32`, or
    /// [`Workers`](crate::Workers).
    ///
    /// While limits are alive on it they stay in force, and this becomes the number to which the last of them returns;
    /// the outcome says [`Overridden`](crate::Shortfall::Overridden) then.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0 or more than a C `int` holds, [`ErrorKind::Unsupported`] when it cannot be
    /// set. Nothing is changed then.
    ///
    /// ```
    /// for runtime in &threadctl::runtimes() {
    ///     if runtime.internal_api() == "openblas" {
    ///         let outcome = runtime.set_num_threads(2).unwrap();
    ///         println!("{:?} threads now", outcome.effective);
    ///     }
    /// }
    /// ```
    pub fn set_num_threads(&self, threads: impl Width) -> Result<Outcome> {
        self.set_lasting(threads.number())
    }

    fn set_lasting(&self, threads: u32) -> Result<Outcome> {
        let at_fault = |kind, why: &str| {
            Err(Error::new(
                kind,
                format!(
                    "{} threads for {} ({}): {why}",
                    threads,
                    self.internal_api(),
                    self.filepath().display()
                ),
            ))
        };
        if threads == 0 || threads > LARGEST {
            let why = format!("a number of threads is from 1 to {LARGEST}");
            return at_fault(ErrorKind::InvalidLimit, &why);
        }
        if let Some(why) = self.untouchable() {
            return at_fault(ErrorKind::Unsupported, why);
        }
        let lasting = if let Some(target) = ProcessTarget::of(self) {
            target.ledger.set_lasting(threads)
        } else if let Some(target) = ThreadTarget::of(self) {
            thread::set_lasting(&target, threads)?
        } else {
            let why = format!(
                "it cannot be set (the scope of its setter is {})",
                self.setter_scope()
            );
            return at_fault(ErrorKind::Unsupported, &why);
        };
        let outcome = |effective, shortfall| Outcome {
            runtime: self.clone(),
            requested: threads,
            effective: Some(effective),
            shortfall,
        };
        Ok(match lasting {
            Lasting::Now(effective) => {
                let grant = Grant {
                    smallest: threads,
                    effective,
                };
                outcome(
                    effective,
                    Held { grant, above: 0 }.shortfall(threads, false, self.max_threads()),
                )
            }
            Lasting::Later(grant) => outcome(
                grant.effective,
                Some(if grant.smallest <= threads {
                    Shortfall::Overridden { by: grant.smallest }
                } else {
                    Shortfall::Deferred { by: grant.smallest }
                }),
            ),
        })
    }
}
