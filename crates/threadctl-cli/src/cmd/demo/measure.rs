//! Reading `/proc/PID/task`: how many threads want to run (from outside) and how long they waited (from inside).
//!
//! Threads end while they are looked at, so a file that is gone or half-read is skipped, never an error.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// Time between two samples: a BLAS call of interest lasts longer, and looking costs well below 1 % of this.
const PERIOD: Duration = Duration::from_millis(5);

/// The part of the work that the threads must have done that are asked for their waiting.
const COUNTED: f64 = 0.9;

/// CPU time and run-queue wait of the threads of this process, in nanoseconds, by thread.
#[derive(Debug, Default)]
pub(crate) struct QueueTimes(HashMap<String, (u64, u64)>);

impl QueueTimes {
    /// The times so far; empty where the kernel does not keep them.
    pub(crate) fn now() -> Self {
        let mut times = HashMap::new();
        for entry in fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten()
        {
            let read = fs::read_to_string(entry.path().join("schedstat"));
            if let Some(time) = read.ok().and_then(|text| parse_schedstat(&text)) {
                times.insert(entry.file_name().to_string_lossy().into_owned(), time);
            }
        }
        Self(times)
    }

    /// What was added from `earlier` until these times; `None` if nothing. A thread that is new since then counts
    /// whole; one that has ended cannot be asked, so it does not count.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Waited> {
        let (mut ran, mut waited) = (0, 0);
        for (thread, &(run, wait)) in &self.0 {
            let (run_before, wait_before) = earlier.0.get(thread).copied().unwrap_or_default();
            ran += run.saturating_sub(run_before);
            waited += wait.saturating_sub(wait_before);
        }
        (ran + waited > 0).then_some(Waited { ran, waited })
    }
}

/// CPU time and run-queue wait, in nanoseconds, of the threads that could be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waited {
    ran: u64,
    waited: u64,
}

impl Waited {
    /// Wait as a share of CPU time plus wait. `None` when less than [`COUNTED`] of the CPU time of the process
    /// (`cpu_seconds`, which has the ended threads in it) is that of threads that could be asked: some libraries make
    /// threads for each call, and a share of the rest would pass for one of all.
    pub(crate) fn share(self, cpu_seconds: f64) -> Option<f64> {
        let ran = self.ran as f64;
        (ran * 1e-9 >= COUNTED * cpu_seconds)
            .then(|| self.waited as f64 / (ran + self.waited as f64))
    }
}

/// The first two fields: time on a CPU, time runnable but not on one.
fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Whether a line of `stat` says that its thread is runnable. The name before the state may hold anything, even
/// brackets, so the state is what follows the last one.
fn is_runnable(stat: &[u8]) -> bool {
    let after_name = stat.iter().rposition(|&byte| byte == b')');
    after_name.is_some_and(|at| stat.get(at + 2) == Some(&b'R'))
}

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

/// The `stat` files of a process's threads, kept open: re-reading is several times cheaper than re-opening.
struct Tasks {
    folder: PathBuf,
    open: HashMap<std::ffi::OsString, File>,
}

impl Tasks {
    fn of(pid: u32) -> Self {
        Self {
            folder: PathBuf::from(format!("/proc/{pid}/task")),
            open: HashMap::new(),
        }
    }

    fn runnable(&mut self) -> usize {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !self.open.contains_key(&name)
                && let Ok(file) = File::open(entry.path().join("stat"))
            {
                self.open.insert(name, file);
            }
        }
        let mut buffer = [0; 256];
        let mut runnable = 0;
        // Reading fails once the thread has ended; its file is dropped then.
        self.open
            .retain(|_, file| match file.read_at(&mut buffer, 0) {
                Ok(len) => {
                    runnable += usize::from(is_runnable(&buffer[..len]));
                    len > 0
                }
                Err(_) => false,
            });
        runnable
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::cmd::demo::test_libraries as libraries;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert!(is_runnable(b"12 (a) R 1 2"));
        assert!(is_runnable(b"12 (R) S) R 1 2"));
        assert!(!is_runnable(b"12 (x) R) S 1 2"));
        assert!(!is_runnable(b"12 (cut off"));
        assert!(!is_runnable(b"12 (cut)"));
        assert!(!is_runnable(b""));
    }

    #[test]
    fn schedstat_needs_two_numbers() {
        assert_eq!(parse_schedstat("10 20 3\n"), Some((10, 20)));
        assert_eq!(parse_schedstat("10\n"), None);
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn the_share_counts_new_threads_and_is_not_told_for_too_few() {
        let times = |list: &[(&str, u64, u64)]| {
            QueueTimes(
                list.iter()
                    .map(|&(thread, run, wait)| (thread.to_owned(), (run, wait)))
                    .collect(),
            )
        };
        let before = times(&[("1", 100, 50), ("2", 7, 7)]);
        let after = times(&[("1", 160, 60), ("3", 20, 10)]);
        let waited = after.since(&before).unwrap();
        assert_eq!((waited.ran, waited.waited), (80, 20));
        assert_eq!(waited.share(80e-9), Some(0.2));
        assert_eq!(waited.share(88e-9), Some(0.2), "thread 2 did a little");
        assert_eq!(waited.share(90e-9), None, "thread 2 did too much");
        assert_eq!(times(&[]).since(&before), None);
    }

    /// Keeps a core busy until it is told to stop; tells the number of its thread.
    fn spin(stop: &Arc<AtomicBool>) -> (JoinHandle<()>, std::ffi::OsString) {
        let seen = Arc::clone(stop);
        let (tell, told) = std::sync::mpsc::channel();
        let spinning = thread::spawn(move || {
            // A link to PID/task/TID.
            let own = fs::read_link("/proc/thread-self").unwrap();
            tell.send(own.file_name().unwrap().to_owned()).unwrap();
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        (spinning, told.recv().unwrap())
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
            let (spinning, number) = spin(&stop);
            let sampler = Sampler::start(std::process::id()).unwrap();
            assert!(settled(&mut tasks, 2), "the spinning one too");
            assert!(tasks.open.contains_key(&number));
            thread::sleep(PERIOD * 4);
            let peak = sampler.stop();
            // The sampler is runnable while it looks.
            assert!(peak.runnable >= 2 && peak.samples >= 2, "{peak:?}");

            stop.store(true, Ordering::Relaxed);
            spinning.join().unwrap();
            assert!(settled(&mut tasks, 1), "it has ended");
            assert!(!tasks.open.contains_key(&number));
        });
    }

    #[test]
    fn the_work_of_threads_that_have_ended_makes_the_share_unknown() {
        let test = name_of("the_work_of_threads_that_have_ended_makes_the_share_unknown");
        libraries::in_own_process(&test, &[], || {
            let work = |most: Duration| {
                let stop = Arc::new(AtomicBool::new(false));
                let (spinning, _) = spin(&stop);
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
            let share = while_it_lives.share(cpu_seconds() - cpu_before);
            assert!(share.is_some(), "{while_it_lives:?}");

            stop.store(true, Ordering::Relaxed);
            spinning.join().unwrap();
            // Joined is not yet gone from /proc.
            thread::sleep(Duration::from_millis(100));
            let ended = QueueTimes::now().since(&before).unwrap();
            let cpu = cpu_seconds() - cpu_before;
            assert_eq!(ended.share(cpu), None, "{ended:?} of {cpu} s");
        });
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_runnable_threads() {
        assert_eq!(Tasks::of(u32::MAX).runnable(), 0);
    }
}
