//! How many threads of the measured process want to run, seen from outside; the reading is the library's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use threadctl::diagnose::Tasks;

/// Time between two samples: a BLAS call of interest lasts longer, and looking costs well below 1 % of this.
const PERIOD: Duration = Duration::from_millis(5);

/// What a [`Sampler`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// The most threads that one sample saw runnable. A sample visits one thread after another, so it can be off by
    /// threads that woke or slept within these microseconds.
    pub(crate) runnable: usize,
    /// How many samples were taken.
    pub(crate) samples: usize,
}

/// A thread that counts another process's runnable threads until it is stopped.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Peak>>,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // A run that failed has nobody to ask for the peak; the thread must end all the same.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Sampler {
    /// Starts sampling process `pid`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(pid: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || {
                let mut tasks = Tasks::of(pid);
                let mut peak = Peak::default();
                while !seen.load(Ordering::Relaxed) {
                    peak.runnable = peak.runnable.max(tasks.runnable());
                    peak.samples += 1;
                    thread::sleep(PERIOD);
                }
                peak
            })
            .context("cannot start the sampling thread")?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends sampling and tells what was seen.
    pub(crate) fn stop(mut self) -> Peak {
        self.stop.store(true, Ordering::Relaxed);
        // The sampling loop has nothing that panics; if it did, there would be no peak to report.
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::cmd::demo::test_libraries as libraries;
    use threadctl::diagnose::QueueTimes;

    /// Keeps a core busy until it is told to stop.
    fn spin(stop: &Arc<AtomicBool>) -> JoinHandle<()> {
        let seen = Arc::clone(stop);
        thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    }

    fn name_of(test: &str) -> String {
        format!("{}::{test}", module_path!().split_once("::").unwrap().1)
    }

    #[test]
    fn a_spinning_thread_of_this_process_is_seen_and_gone_when_it_ends() {
        let test = name_of("a_spinning_thread_of_this_process_is_seen_and_gone_when_it_ends");
        // Where no other test has threads.
        libraries::in_own_process(&test, &[], || {
            let settled = |tasks: &mut Tasks, wanted: usize| {
                // A thread that was just made or has just ended is not asleep or gone at once.
                (0..400).any(|_| {
                    thread::sleep(PERIOD);
                    tasks.runnable() == wanted
                })
            };
            let mut tasks = Tasks::of(std::process::id());
            assert!(settled(&mut tasks, 1), "only the thread that looks");
            let stop = Arc::new(AtomicBool::new(false));
            let spinning = spin(&stop);
            let sampler = Sampler::start(std::process::id()).unwrap();
            assert!(settled(&mut tasks, 2), "the spinning one too");
            thread::sleep(PERIOD * 4);
            let peak = sampler.stop();
            // The sampler is runnable while it looks.
            assert!(peak.runnable >= 2 && peak.samples >= 2, "{peak:?}");

            stop.store(true, Ordering::Relaxed);
            spinning.join().unwrap();
            assert!(settled(&mut tasks, 1), "it has ended");
        });
    }

    #[test]
    fn the_work_of_threads_that_have_ended_makes_the_share_unknown() {
        let test = name_of("the_work_of_threads_that_have_ended_makes_the_share_unknown");
        libraries::in_own_process(&test, &[], || {
            let work = |most: Duration| {
                let stop = Arc::new(AtomicBool::new(false));
                let spinning = spin(&stop);
                thread::sleep(most);
                (stop, spinning)
            };
            let cpu_seconds = || {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
                time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
            };
            let (before, cpu_before) = (QueueTimes::now(), cpu_seconds());
            let (stop, spinning) = work(Duration::from_millis(300));
            let while_it_lives = QueueTimes::now().since(&before).unwrap();
            let share = while_it_lives.share_of(cpu_seconds() - cpu_before);
            assert!(share.is_some(), "{while_it_lives:?}");

            stop.store(true, Ordering::Relaxed);
            spinning.join().unwrap();
            // Joined is not yet gone from /proc.
            thread::sleep(Duration::from_millis(100));
            let ended = QueueTimes::now().since(&before).unwrap();
            let cpu = cpu_seconds() - cpu_before;
            assert_eq!(ended.share_of(cpu), None, "{ended:?} of {cpu} s");
        });
    }
}
