//! How long the threads of this process ran, and how long they waited for a CPU, ended ones included.

use std::sync::Mutex;
use threadctl::diagnose::{QueueTime, QueueTimes};

/// Of the threads that have ended and said so.
static ENDED: Mutex<QueueTime> = Mutex::new(QueueTime { ran: 0, waited: 0 });

/// The figures at one moment.
pub struct Waited {
    alive: QueueTimes,
    ended: QueueTime,
}

impl Waited {
    pub fn now() -> Self {
        Waited {
            alive: QueueTimes::now(),
            ended: *ENDED.lock().expect("no panic"),
        }
    }

    /// Wait as a share of thread time.
    pub fn share_since(&self, earlier: &Self) -> f64 {
        let mut sum = self.alive.since(&earlier.alive).unwrap_or_default();
        sum += QueueTime {
            ran: self.ended.ran - earlier.ended.ran,
            waited: self.ended.waited - earlier.ended.waited,
        };
        sum.share()
    }
}

/// To be called by a thread that is about to end: nobody can ask it afterwards.
pub fn ends() {
    let own = QueueTime::of_calling_thread().expect("schedstat");
    *ENDED.lock().expect("no panic") += own;
}
