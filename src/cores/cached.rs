//! The answer that is given out again for a while. Why per thread, and why by time: see the module's page.
//!
//! Invariants: an answer is at most [`FRESH`] old, plus a tick of the coarse clock; a thread gets another one's only if all
//! that is a thread's own in it, its affinity and its control groups, is the same.

use super::{Cores, System, pinning};
use rustix::thread::{CpuSet, sched_getaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long an answer is given out again, in nanoseconds.
const FRESH: i64 = 100_000_000;

/// An answer, and when it was asked for.
type Answer = (i64, Cores);

/// The latest of all threads', and for whom it holds.
static LATEST: Mutex<Option<(Asker, Answer)>> = Mutex::new(None);

thread_local! {
    static LAST: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// How many cores this process and this thread may use, and why.
///
/// Asks the system at most every 100 ms per thread; a call in between costs some tens of nanoseconds. A thread whose answer is
/// older takes another one's that is not, if the two have the same affinity and control groups. For an answer that
/// is always fresh: [`System::this().cores()`](System::cores). May be called from any thread, and waits for none.
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
                let (asked, cores) = latest(now);
                if last.as_ref().is_none_or(|(_, before)| *before != cores) {
                    tell(&cores);
                }
                *last = Some((asked, cores.clone()));
                Some(cores)
            }
        }
    })
    // A thread that is being torn down, or a `tracing` subscriber that asks from within the question.
    .ok()
    .flatten()
    .unwrap_or_else(|| System::this().cores())
}

/// What differs between threads that ask at the same time.
#[derive(PartialEq)]
struct Asker {
    affinity: CpuSet,
    groups: Vec<u8>,
}

impl Asker {
    /// The calling thread; `None` where it cannot be compared with others.
    fn this() -> Option<Self> {
        // What was bound by this library counts the cores from before.
        if pinning::is_bound() {
            return None;
        }
        Some(Asker {
            affinity: sched_getaffinity(None).ok()?,
            // None of them where there are no groups.
            groups: fs::read("/proc/thread-self/cgroup").unwrap_or_default(),
        })
    }
}

/// The answer of whoever asked last, if it is fresh and is ours too, else one of our own. Where many threads call now and then,
/// each would find its own too old every time, and a question takes a millisecond of reading files.
fn latest(now: i64) -> Answer {
    let asker = Asker::this();
    // Not waited for: whoever has it may be gone, in a forked child.
    if let Ok(latest) = LATEST.try_lock()
        && let (Some((theirs, answer)), Some(asker)) = (&*latest, &asker)
        && now.wrapping_sub(answer.0) < FRESH
        && theirs == asker
    {
        return answer.clone();
    }
    let answer = (now, System::this().cores());
    if let (Some(asker), Ok(mut latest)) = (asker, LATEST.try_lock()) {
        *latest = Some((asker, answer.clone()));
    }
    answer
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
