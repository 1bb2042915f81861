//! Who computes in shared calls, in one word, so that a single operation looks and acts.
//!
//! Invariants: `running` counts the threads that are callers or helpers, each once, however deep its calls; `helpers` those
//! of them that are helpers; `waiting` the threads in the gate's queue. A helper comes only while a core is left and nobody
//! waits for one. Whoever lowers `running` while somebody waits is told, and calls the first of the queue.

use std::sync::atomic::{AtomicU64, Ordering};

// 21 bits each: two million threads.
const RUNNING: u64 = 1;
const HELPERS: u64 = 1 << 21;
const WAITING: u64 = 1 << 42;
const FIELD: u64 = HELPERS - 1;

/// The threads in shared calls of one process.
#[derive(Default)]
pub struct Load(AtomicU64);

/// What the word says at one moment.
#[derive(Clone, Copy)]
struct Counts {
    running: u64,
    helpers: u64,
    waiting: u64,
}

impl Counts {
    fn of(word: u64) -> Self {
        Counts {
            running: word & FIELD,
            helpers: (word / HELPERS) & FIELD,
            waiting: word / WAITING,
        }
    }

    fn core_left(self, cores: usize) -> bool {
        self.running < cores as u64
    }

    /// A thread that no pool knows may begin: a core is left, or no helper is there whose core it could have.
    fn admits(self, cores: usize) -> bool {
        self.core_left(cores) || self.helpers == 0
    }

    /// One of the helpers must go.
    fn too_many(self, cores: usize) -> bool {
        self.helpers > 0
            && (self.running > cores as u64 || (self.waiting > 0 && self.running >= cores as u64))
    }
}

// Relaxed throughout: one word, through which nothing but itself is handed over.
impl Load {
    /// A caller begins that need not wait.
    pub fn begin(&self) {
        self.0.fetch_add(RUNNING, Ordering::Relaxed);
    }

    /// A caller has ended: `true` if somebody waits.
    pub fn end(&self) -> bool {
        Counts::of(self.0.fetch_sub(RUNNING, Ordering::Relaxed)).waiting > 0
    }

    /// A helper wants to begin: counted if a core is left and nobody waits for it.
    pub fn join(&self, cores: usize) -> bool {
        self.change(
            |counts| counts.core_left(cores) && counts.waiting == 0,
            |word| word + RUNNING + HELPERS,
        )
        .is_some()
    }

    /// A helper has ended: `true` if somebody waits.
    pub fn leave(&self) -> bool {
        Counts::of(self.0.fetch_sub(RUNNING + HELPERS, Ordering::Relaxed)).waiting > 0
    }

    /// A helper asks whether it must go because others need the core: then it is not counted any more, and is told
    /// whether somebody waits.
    pub fn retire(&self, cores: usize) -> Option<bool> {
        self.change(
            |counts| counts.too_many(cores),
            |word| word - RUNNING - HELPERS,
        )
        .map(|counts| counts.waiting > 0)
    }

    /// Whether a helper could begin now; only a hint.
    pub fn core_left(&self, cores: usize) -> bool {
        let counts = Counts::of(self.0.load(Ordering::Relaxed));
        counts.core_left(cores) && counts.waiting == 0
    }

    /// A caller that no pool knows begins, if it may.
    pub fn enter(&self, cores: usize) -> bool {
        self.change(|counts| counts.admits(cores), |word| word + RUNNING)
            .is_some()
    }

    /// What `enter` would say; only a hint.
    pub fn admits(&self, cores: usize) -> bool {
        Counts::of(self.0.load(Ordering::Relaxed)).admits(cores)
    }

    /// A caller queues. What `enter` says after this is not out of date: whoever makes room from now on is told.
    pub fn queue(&self) {
        self.0.fetch_add(WAITING, Ordering::Relaxed);
    }

    /// A caller that has queued begins, if it may.
    pub fn enter_queued(&self, cores: usize) -> bool {
        self.change(
            |counts| counts.admits(cores),
            |word| word - WAITING + RUNNING,
        )
        .is_some()
    }

    /// A caller that has queued begins whatever the load.
    pub fn force_queued(&self) {
        self.change(|_| true, |word| word - WAITING + RUNNING);
    }

    /// Changes the word if it is as wanted, and returns what it was. Looks before it writes: helpers ask at every tile.
    fn change(&self, wanted: impl Fn(Counts) -> bool, to: impl Fn(u64) -> u64) -> Option<Counts> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                wanted(Counts::of(word)).then(|| to(word))
            })
            .ok()
            .map(Counts::of)
    }
}
