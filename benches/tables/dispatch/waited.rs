//! How long the threads of this process ran, and how long they waited for a CPU, from the kernel's own figures.

use std::collections::HashMap;
use std::sync::Mutex;

/// Run time and wait on a run queue, in nanoseconds.
type Pair = (u64, u64);

/// Of the threads that have ended and said so.
static ENDED: Mutex<Pair> = Mutex::new((0, 0));

/// The figures at one moment.
pub struct Waited {
    alive: HashMap<String, Pair>,
    ended: Pair,
}

impl Waited {
    pub fn now() -> Self {
        let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
        Waited {
            alive: tasks
                .flatten()
                .filter_map(|task| {
                    let pair = read(&task.path().join("schedstat"))?;
                    Some((task.file_name().to_string_lossy().into_owned(), pair))
                })
                .collect(),
            ended: *ENDED.lock().expect("no panic"),
        }
    }

    /// Wait as a share of thread time.
    pub fn share_since(&self, earlier: &Self) -> f64 {
        let (mut ran, mut waited) = (
            self.ended.0 - earlier.ended.0,
            self.ended.1 - earlier.ended.1,
        );
        for (thread, (run, wait)) in &self.alive {
            let (run_before, wait_before) = earlier.alive.get(thread).copied().unwrap_or_default();
            // A thread number can be taken again by a new thread.
            ran += run.checked_sub(run_before).unwrap_or(*run);
            waited += wait.checked_sub(wait_before).unwrap_or(*wait);
        }
        waited as f64 / (ran + waited).max(1) as f64
    }
}

/// To be called by a thread that is about to end: nobody can ask it afterwards.
pub fn ends() {
    let (run, wait) = read("/proc/thread-self/schedstat".as_ref()).expect("schedstat");
    let mut ended = ENDED.lock().expect("no panic");
    ended.0 += run;
    ended.1 += wait;
}

fn read(file: &std::path::Path) -> Option<Pair> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
