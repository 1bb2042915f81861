//! Many independent jobs on one machine: processes, each with its share of the cores, and a queue for those that do not fit.
//!
//! Invariants: at no time do the shares of the jobs that run add up to more than the cores; a job that fails, or cannot even
//! be started, is reported and the rest run; outcomes are in the order of the jobs. A job is told its share by
//! environment variables, so it may be a program in any language.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use threadctl::cores::ChildCores;
use threadctl::{Workers, split};

/// How a job ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status; an error if it could not be started.
    pub status: io::Result<ExitStatus>,
    /// The cores that it had.
    pub cores: u32,
    /// From its start to its end.
    pub took: Duration,
}

impl Outcome {
    /// Whether it was started and ended with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.as_ref().is_ok_and(ExitStatus::success)
    }

    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.status {
            Ok(status) if status.success() => "done".to_owned(),
            // `exit status: 3`, `signal: 9 (SIGKILL)`.
            Ok(status) => format!("FAILED ({status})"),
            Err(error) => format!("NOT STARTED ({error})"),
        }
    }
}

/// Runs all jobs on so many cores and waits for them. `ended` hears of each when it ends, one at a time.
///
/// With more jobs than cores, as many run at once as there are cores, one core each; with fewer, they share all cores.
pub fn run(
    jobs: Vec<Command>,
    cores: Workers<'_>,
    ended: impl Fn(usize, &Outcome) + Sync,
) -> Vec<Outcome> {
    let shares = split(cores, jobs.len());
    let jobs: Vec<Mutex<Command>> = jobs.into_iter().map(Mutex::new).collect();
    let outcomes: Vec<Mutex<Option<Outcome>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let (next, telling) = (AtomicUsize::new(0), Mutex::new(()));
    // A thread for each share, which waits for its job; it takes no core.
    std::thread::scope(|scope| {
        for cores in shares.widths() {
            let (jobs, outcomes, next, telling, ended) =
                (&jobs, &outcomes, &next, &telling, &ended);
            scope.spawn(move || {
                loop {
                    // Relaxed: a number that nobody else gets.
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let outcome = run_one(&mut lock(job), cores);
                    {
                        let _alone = lock(telling);
                        ended(index, &outcome);
                    }
                    *lock(&outcomes[index]) = Some(outcome);
                }
            });
        }
    });
    let outcome = |slot: Mutex<Option<Outcome>>| {
        slot.into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    outcomes.into_iter().filter_map(outcome).collect()
}

fn run_one(job: &mut Command, cores: u32) -> Outcome {
    let begun = Instant::now();
    // As `threadctl env` prints them.
    let variables = ChildCores::new(cores).variables();
    let status = job
        .envs(variables.map(|variable| (variable.name, variable.value)))
        .status();
    Outcome {
        status,
        cores,
        took: begun.elapsed(),
    }
}

/// Nothing that is locked here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
