//! CPU time and run-queue wait of threads, from the kernel's own figures: `/proc/PID/task/TID/schedstat`.
//!
//! Run-queue wait is the time in which a thread could have run but no CPU was free for it: what oversubscription costs.
//! Threads end while they are looked at, so a file that is gone or half-read is skipped, never an error.

use std::collections::HashMap;
use std::fs;

/// The part of the work that the threads must have done that are asked for their waiting.
const COUNTED: f64 = 0.9;

/// CPU time and run-queue wait, in nanoseconds.
///
/// ```
/// use threadctl::diagnose::QueueTime;
/// assert_eq!(QueueTime { ran: 300, waited: 100 }.share(), 0.25);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueTime {
    /// On a CPU.
    pub ran: u64,
    /// Runnable, but not on a CPU.
    pub waited: u64,
}

impl QueueTime {
    /// Reads the text of a `schedstat` file; `None` if it does not begin with two numbers.
    ///
    /// ```
    /// use threadctl::diagnose::QueueTime;
    /// assert_eq!(QueueTime::parse("10 20 3\n"), Some(QueueTime { ran: 10, waited: 20 }));
    /// assert_eq!(QueueTime::parse("10\n"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace().map(str::parse);
        Some(QueueTime {
            ran: fields.next()?.ok()?,
            waited: fields.next()?.ok()?,
        })
    }

    /// The times of the calling thread so far; `None` where the kernel does not keep them.
    ///
    /// ```
    /// let _ = threadctl::diagnose::QueueTime::of_calling_thread();
    /// ```
    pub fn of_calling_thread() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
    }

    /// Wait as a share of both, from 0 to 1; 0 if there was neither.
    ///
    /// ```
    /// assert_eq!(threadctl::diagnose::QueueTime::default().share(), 0.0);
    /// ```
    pub fn share(self) -> f64 {
        self.waited as f64 / (self.ran as f64 + self.waited as f64).max(1.0)
    }

    /// The same share, unless less than nine tenths of the CPU time of the process (`cpu_seconds`, with that of its ended
    /// threads) is in here: some libraries make threads for each call, and a share of the rest would pass for one of
    /// all.
    ///
    /// ```
    /// let time = threadctl::diagnose::QueueTime { ran: 2_000_000_000, waited: 0 };
    /// assert_eq!(time.share_of(2.1), Some(0.0));
    /// assert_eq!(time.share_of(4.0), None);
    /// ```
    pub fn share_of(self, cpu_seconds: f64) -> Option<f64> {
        (self.ran as f64 * 1e-9 >= COUNTED * cpu_seconds).then(|| self.share())
    }

    /// What was added since `earlier`. A thread that has less than before is another one with the same number, and
    /// counts whole.
    pub(super) fn since(self, earlier: Self) -> Self {
        match (
            self.ran.checked_sub(earlier.ran),
            self.waited.checked_sub(earlier.waited),
        ) {
            (Some(ran), Some(waited)) => QueueTime { ran, waited },
            _ => self,
        }
    }
}

impl std::ops::AddAssign for QueueTime {
    fn add_assign(&mut self, other: Self) {
        self.ran = self.ran.saturating_add(other.ran);
        self.waited = self.waited.saturating_add(other.waited);
    }
}

/// The times of the threads of this process, by thread.
///
/// ```
/// use threadctl::diagnose::QueueTimes;
/// let before = QueueTimes::now();
/// if let Some(added) = QueueTimes::now().since(&before) {
///     assert!((0.0..=1.0).contains(&added.share()));
/// }
/// ```
#[derive(Debug, Default)]
pub struct QueueTimes(HashMap<String, QueueTime>);

impl QueueTimes {
    /// The times so far; empty where the kernel does not keep them.
    ///
    /// ```
    /// let _ = threadctl::diagnose::QueueTimes::now();
    /// ```
    pub fn now() -> Self {
        let tasks = fs::read_dir("/proc/self/task");
        let times = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let name = task.file_name().to_string_lossy().into_owned();
            Some((name, QueueTime::parse(&text)?))
        });
        Self(times.collect())
    }

    /// What was added from `earlier` until these times; `None` if nothing. A thread that is new since then counts whole; one
    /// that has ended cannot be asked, so it does not count.
    ///
    /// ```
    /// let times = threadctl::diagnose::QueueTimes::now();
    /// assert_eq!(times.since(&times), None);
    /// ```
    pub fn since(&self, earlier: &Self) -> Option<QueueTime> {
        let mut sum = QueueTime::default();
        for (thread, time) in &self.0 {
            sum += time.since(earlier.0.get(thread).copied().unwrap_or_default());
        }
        (sum != QueueTime::default()).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(list: &[(&str, u64, u64)]) -> QueueTimes {
        let entry =
            |&(thread, ran, waited): &(&str, _, _)| (thread.to_owned(), QueueTime { ran, waited });
        QueueTimes(list.iter().map(entry).collect())
    }

    #[test]
    fn what_is_no_schedstat_is_nothing() {
        for text in ["", "10", "a b", "1 -1", "99999999999999999999 1"] {
            assert_eq!(QueueTime::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn new_threads_count_whole_and_the_share_is_not_told_for_too_few() {
        let before = times(&[("1", 100, 50), ("2", 7, 7)]);
        let added = times(&[("1", 160, 60), ("3", 20, 10)])
            .since(&before)
            .unwrap();
        assert_eq!((added.ran, added.waited), (80, 20));
        assert_eq!(added.share_of(80e-9), Some(0.2));
        assert_eq!(added.share_of(88e-9), Some(0.2), "thread 2 did a little");
        assert_eq!(added.share_of(90e-9), None, "thread 2 did too much");
    }

    #[test]
    fn a_number_that_a_new_thread_has_taken_counts_from_zero() {
        let added = times(&[("1", 10, 60)])
            .since(&times(&[("1", 100, 50)]))
            .unwrap();
        assert_eq!((added.ran, added.waited), (10, 60));
        assert_eq!(times(&[]).since(&times(&[("1", 100, 50)])), None);
    }
}
