//! The answer that is given out again for a while. Why per thread, and why by time: see the module's page.
//!
//! Invariant: an answer is at most [`FRESH`] old, plus a tick of the coarse clock.

use super::{Cores, System};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long an answer is given out again, in nanoseconds.
const FRESH: i64 = 100_000_000;

thread_local! {
    static LAST: RefCell<Option<(i64, Cores)>> = const { RefCell::new(None) };
}

/// How many cores this process and this thread may use, and why.
///
/// Asks the system at most every 100 ms per thread; a call in between costs some tens of nanoseconds. For an answer that
/// is always fresh: [`System::this().cores()`](System::cores). May be called from any thread; nothing is shared.
///
/// ```
/// let cores = threadctl::cores();
/// assert!(cores.count() >= 1);
/// println!("{} cores: {}", cores.count(), cores.binding().detail);
/// ```
pub fn cores() -> Cores {
    let now = coarse_now();
    LAST.try_with(|last| {
        let mut last = last.try_borrow_mut().ok()?;
        match &*last {
            Some((asked, cores)) if now.wrapping_sub(*asked) < FRESH => Some(cores.clone()),
            _ => {
                crate::config::notice();
                let cores = System::this().cores();
                if last.as_ref().is_none_or(|(_, before)| *before != cores) {
                    tell(&cores);
                }
                *last = Some((now, cores.clone()));
                Some(cores)
            }
        }
    })
    // A thread that is being torn down, or a `tracing` subscriber that asks from within the question.
    .ok()
    .flatten()
    .unwrap_or_else(|| System::this().cores())
}

/// Logs an answer that is new to this thread, and what is wrong with the environment once in the process.
fn tell(cores: &Cores) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let binding = cores.binding();
    tracing::debug!(
        count = cores.count(),
        source = binding.source,
        why = binding.detail,
        "cores"
    );
    // What is wrong with the library's own variables is reported by `init` or in its place.
    let problems = cores.problems().iter();
    let mut problems = problems
        .filter(|problem| !problem.starts_with("THREADCTL_"))
        .peekable();
    if problems.peek().is_some() && !TOLD.swap(true, Ordering::Relaxed) {
        for problem in problems {
            tracing::warn!("cores: {problem}");
        }
    }
}

/// Nanoseconds, exact to a tick of the kernel; read without a system call.
fn coarse_now() -> i64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec)
}
