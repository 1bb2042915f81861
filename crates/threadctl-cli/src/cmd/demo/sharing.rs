//! How the runs of the demo call BLAS: as it comes, or under threadctl's limits.
//!
//! [`Shared`] gives every candidate that is being scored an equal part of the cores. While there is work for every
//! worker, that is cores / workers; when fewer candidates are left than workers, those left get more, so that no core
//! idles at the end of the loop. Invariants: the parts of all candidates together are at most the cores (at least one
//! each); widths only grow, and a wider limit is taken before the narrower one is dropped, so that there is no moment
//! without a limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use threadctl::{Limits, Outcome, Plan, ProcessGuard, Runtimes};

use super::gp::Calls;

/// Calls that nobody limits.
pub(crate) struct AsTheyAre;

impl Calls for AsTheyAre {
    fn around<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        call()
    }

    fn candidate_done(&self) -> Result<()> {
        Ok(())
    }
}

/// Calls that share the cores by limits.
pub(crate) struct Shared {
    workers: usize,
    cores: usize,
    /// From narrow to wide.
    steps: Vec<Step>,
    /// Candidates not done yet.
    left: AtomicUsize,
    /// Which of `steps` is in force.
    current: AtomicUsize,
    /// For the runtimes that are set for the process.
    guard: Mutex<ProcessGuard>,
}

/// The limits of one width.
struct Step {
    width: usize,
    /// For the runtimes that are set for the whole process: one guard holds while the width does.
    process: Plan,
    /// For those that each thread can set for itself: a guard around each call, on the thread that makes it. `None`
    /// when there is no such runtime.
    thread: Option<Plan>,
}

impl Shared {
    /// Puts the first limits in force on the BLAS libraries that are loaded now.
    ///
    /// # Errors
    /// When a limit cannot be made.
    pub(crate) fn new(workers: usize, cores: usize, candidates: usize) -> Result<Self> {
        let blas = threadctl::runtimes().select(|runtime| runtime.user_api() == "blas");
        // A limit of one's own is the better one where the library has it: it binds nobody else.
        let own = blas.select(|runtime| runtime.setter_scope().reaches_thread());
        let common = blas.select(|runtime| !runtime.setter_scope().reaches_thread());
        let mut widths: Vec<usize> = (1..=workers).map(|running| width(cores, running)).collect();
        widths.sort_unstable();
        widths.dedup();
        let steps = widths
            .iter()
            .map(|&width| Step::new(width, &common, &own))
            .collect::<Result<Vec<_>>>()?;
        let current = step_for(&steps, workers, cores, candidates);
        let guard = steps
            .get(current)
            .context("there are no workers")?
            .process
            .limit_process()?;
        Ok(Self {
            workers,
            cores,
            steps,
            left: AtomicUsize::new(candidates),
            current: AtomicUsize::new(current),
            guard: Mutex::new(guard),
        })
    }

    /// Limits that do not hold, in words.
    ///
    /// # Errors
    /// When a guard cannot be made.
    pub(crate) fn shortfalls(&self) -> Result<Vec<String>> {
        let words = |outcomes: &[Outcome]| -> Vec<String> {
            outcomes
                .iter()
                .filter(|outcome| !outcome.is_honoured())
                .map(ToString::to_string)
                .collect()
        };
        let mut shortfalls = words(
            self.guard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .outcomes(),
        );
        if let Some(plan) = self.steps.first().and_then(|step| step.thread.as_ref()) {
            shortfalls.extend(words(plan.limit_thread()?.outcomes()));
        }
        Ok(shortfalls)
    }
}

impl Calls for Shared {
    fn around<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let step = self.steps.get(self.current.load(Ordering::Relaxed));
        let guard = step
            .and_then(|step| step.thread.as_ref())
            .map(Plan::limit_thread)
            .transpose()?;
        let result = call();
        drop(guard);
        result
    }

    fn candidate_done(&self) -> Result<()> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        let wanted = step_for(&self.steps, self.workers, self.cores, left);
        if wanted <= self.current.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        // Two workers may arrive in either order; the wider one wins.
        if let Some(step) = self.steps.get(wanted)
            && wanted > self.current.load(Ordering::Relaxed)
        {
            // The old guard is dropped after the new one is made. Until then the narrower limit is in force.
            *guard = step.process.limit_process()?;
            self.current.store(wanted, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Step {
    fn new(width: usize, common: &Runtimes, own: &Runtimes) -> Result<Self> {
        let limits = Limits::new().user_api("blas", u32::try_from(width)?);
        let thread = if own.is_empty() {
            None
        } else {
            Some(limits.plan(own)?)
        };
        Ok(Self {
            width,
            process: limits.plan(common)?,
            thread,
        })
    }
}

/// The part of each of `running` candidates.
fn width(cores: usize, running: usize) -> usize {
    (cores / running.max(1)).max(1)
}

/// The step for when `left` candidates are not done.
fn step_for(steps: &[Step], workers: usize, cores: usize, left: usize) -> usize {
    let width = width(cores, left.min(workers));
    steps
        .iter()
        .position(|step| step.width == width)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::cmd::demo::blas::Blas;
    use crate::cmd::demo::test_libraries as libraries;

    /// The limit inside a call, as a thread sees it that did not make the limits.
    fn seen(calls: &impl Calls) -> Option<u32> {
        let ask = || {
            let blas = threadctl::runtimes().select(|runtime| runtime.user_api() == "blas");
            Ok(blas
                .iter()
                .filter_map(threadctl::Runtime::num_threads)
                .max())
        };
        std::thread::scope(|scope| scope.spawn(|| calls.around(ask).unwrap()).join().unwrap())
    }

    /// In a process with one BLAS: what a worker's calls see, from many candidates to the last.
    fn calls_see_their_part(test: &str, key: &str) {
        let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        let folder = libraries::mkl_folder();
        libraries::in_own_process(&test, &[("LD_LIBRARY_PATH", &folder)], || {
            let blas = Blas::open(&[libraries::library(key)]).unwrap();
            blas.gram(1, 1, &[1.0], &mut [0.0]).unwrap();
            let before = seen(&AsTheyAre);
            // 2 cores, because MKL gives no more than the physical ones.
            let shared = Shared::new(2, 2, 3).unwrap();
            assert_eq!(shared.shortfalls().unwrap(), [""; 0]);
            assert_eq!(seen(&shared), Some(1), "three are left");
            shared.candidate_done().unwrap();
            assert_eq!(seen(&shared), Some(1), "two are left");
            shared.candidate_done().unwrap();
            assert_eq!(seen(&shared), Some(2), "one is left");
            shared.candidate_done().unwrap();
            assert_eq!(seen(&shared), Some(2), "none is left");
            drop(shared);
            drop(Shared::new(2, 2, 3).unwrap());
            assert_eq!(seen(&AsTheyAre), before);
        });
    }

    #[test]
    fn calls_see_their_part_of_openblas_with_pthreads() {
        calls_see_their_part(
            "calls_see_their_part_of_openblas_with_pthreads",
            "openblas-pthread",
        );
    }

    #[test]
    fn calls_see_their_part_of_openblas_with_openmp() {
        calls_see_their_part(
            "calls_see_their_part_of_openblas_with_openmp",
            "openblas-openmp",
        );
    }

    #[test]
    fn calls_see_their_part_of_mkl() {
        calls_see_their_part("calls_see_their_part_of_mkl", "mkl-rt");
    }

    #[test]
    fn the_parts_together_are_the_cores_at_most_and_one_at_least() {
        for cores in 1..20 {
            for running in 1..20 {
                let width = width(cores, running);
                assert!(width >= 1);
                assert!(
                    width * running <= cores.max(running),
                    "{cores} cores, {running} running: {width}"
                );
            }
        }
        assert_eq!(width(4, 0), 4);
    }

    #[test]
    fn widths_grow_only_when_fewer_candidates_are_left_than_workers() {
        let none = Runtimes::default();
        let steps: Vec<Step> = [1, 2, 4]
            .iter()
            .map(|&width| Step::new(width, &none, &none).unwrap())
            .collect();
        let widths = |workers| -> Vec<usize> {
            (1..=6)
                .rev()
                .map(|left| steps[step_for(&steps, workers, 4, left)].width)
                .collect()
        };
        assert_eq!(widths(4), [1, 1, 1, 1, 2, 4]);
        assert_eq!(widths(2), [2, 2, 2, 2, 2, 4]);
        assert_eq!(widths(1), [4, 4, 4, 4, 4, 4]);
    }
}
