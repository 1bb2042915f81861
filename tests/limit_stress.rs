//! A million guards on the real OpenBLAS: 64 threads that take, pass on and drop limits in random order, and panic.
//!
//! Checked all the time by every thread that holds limits: the number in force is within them. Checked exactly,
//! whenever a thread has stopped all others between two steps: it is the smallest limit alive, or the original.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use threadctl::{Limits, Plan, ProcessGuard, runtimes};

const THREADS: u64 = 64;
const GUARDS: u64 = 1_000_000;
/// Limits are from 1 to this; the original is among them, so that limits raise it and lower it.
const LARGEST: usize = 32;
const ORIGINAL: i32 = 11;
/// The most guards that a thread keeps.
const KEPT: usize = 4;
/// Each thread stops everybody once in so many of its steps.
const OBSERVED_EVERY: u32 = 200;

/// SplitMix64: the same numbers for the same seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

struct Arena {
    /// By limit, less one.
    plans: Vec<Plan>,
    in_force: unsafe extern "C" fn() -> i32,
    /// How many guards of each limit are alive. Exact for whoever holds `steps` for writing.
    alive: [AtomicU32; LARGEST],
    /// Held for reading during a step: a guard is made or dropped, and `alive` says so.
    steps: RwLock<()>,
    /// Guards that go from thread to thread.
    passed_on: Mutex<Vec<(usize, ProcessGuard)>>,
    made: AtomicU64,
    /// How often everybody was stopped while limits were alive.
    observed: AtomicU64,
    seed: u64,
}

impl Arena {
    fn in_force(&self) -> i32 {
        // SAFETY: OpenBLAS's `int openblas_get_num_threads(void)`, of a library that is never closed here.
        unsafe { (self.in_force)() }
    }

    fn make(&self, limit: usize) -> ProcessGuard {
        let _step = self.steps.read().unwrap();
        let guard = self.plans[limit - 1].limit_process().unwrap();
        self.alive[limit - 1].fetch_add(1, Ordering::Relaxed);
        self.made.fetch_add(1, Ordering::Relaxed);
        guard
    }

    fn dropped(&self, limit: usize, guard: ProcessGuard) {
        let _step = self.steps.read().unwrap();
        drop(guard);
        self.alive[limit - 1].fetch_sub(1, Ordering::Relaxed);
    }

    /// What a thread may expect that holds these.
    fn within(&self, held: &[(usize, ProcessGuard)]) {
        if let Some(smallest) = held.iter().map(|(limit, _)| *limit).min() {
            let now = self.in_force();
            assert!(
                now <= smallest as i32,
                "{now} in force under a limit of {smallest}; seed {}",
                self.seed
            );
        }
    }

    /// Makes a guard within a scope that panics. Unwinding drops it while steps go on, so the count brackets it.
    fn panics(&self, limit: usize) {
        let _step = self.steps.read().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = self.plans[limit - 1].limit_process().unwrap();
            self.made.fetch_add(1, Ordering::Relaxed);
            assert!(self.in_force() <= limit as i32, "seed {}", self.seed);
            // Not `panic!`: the hook's message would be printed ten thousand times.
            std::panic::resume_unwind(Box::new("expected"));
        }));
        let what = panicked.unwrap_err();
        if what.downcast_ref::<&str>() != Some(&"expected") {
            std::panic::resume_unwind(what);
        }
    }

    fn work(&self, number: u64) {
        let mut random = Random(
            self.seed
                .wrapping_add(number.wrapping_mul(0x1234_5678_9ABC_DEF1)),
        );
        let mut held: Vec<(usize, ProcessGuard)> = Vec::new();
        let mut turn = 0_u32;
        while self.made.load(Ordering::Relaxed) < GUARDS {
            let limit = 1 + random.below(LARGEST);
            match random.below(100) {
                0..2 => self.panics(limit),
                2..10 if !held.is_empty() => {
                    let mine = held.swap_remove(random.below(held.len()));
                    let mut passed_on = self.passed_on.lock().unwrap();
                    let other = (passed_on.len() > 8)
                        .then(|| random.below(passed_on.len()))
                        .map(|at| passed_on.swap_remove(at));
                    passed_on.push(mine);
                    drop(passed_on);
                    held.extend(other);
                }
                10..55 if held.len() < KEPT => held.push((limit, self.make(limit))),
                _ if !held.is_empty() => {
                    let (limit, guard) = held.swap_remove(random.below(held.len()));
                    self.dropped(limit, guard);
                }
                _ => held.push((limit, self.make(limit))),
            }
            self.within(&held);
            turn += 1;
            if turn.is_multiple_of(OBSERVED_EVERY) {
                self.observe();
            }
        }
        for (limit, guard) in held {
            self.dropped(limit, guard);
        }
    }

    /// Compares while nobody is in a step.
    fn observe(&self) {
        let _nobody = self.steps.write().unwrap();
        let smallest = self
            .alive
            .iter()
            .position(|count| count.load(Ordering::Relaxed) > 0)
            .map(|at| at as i32 + 1);
        assert_eq!(
            self.in_force(),
            smallest.unwrap_or(ORIGINAL),
            "the smallest limit alive is {smallest:?}; seed {}",
            self.seed
        );
        self.observed
            .fetch_add(u64::from(smallest.is_some()), Ordering::Relaxed);
    }
}

#[test]
fn a_million_guards_in_64_threads_leave_the_original() {
    const TEST: &str = "a_million_guards_in_64_threads_leave_the_original";
    common::in_own_process(TEST, &[], || {
        let blas = common::load("openblas-pthread");
        common::set(blas, "openblas_set_num_threads", ORIGINAL);
        // SAFETY: its declaration in OpenBLAS's header.
        let in_force =
            unsafe { blas.get::<unsafe extern "C" fn() -> i32>("openblas_get_num_threads") };
        let found = runtimes();
        let seed = std::env::var("THREADCTL_TEST_SEED")
            .map_or_else(|_| std::process::id().into(), |text| text.parse().unwrap());
        let arena = Arena {
            plans: (1..=LARGEST as u32)
                .map(|limit| Limits::new().user_api("blas", limit).plan(&found).unwrap())
                .collect(),
            in_force: *in_force.unwrap(),
            alive: Default::default(),
            steps: RwLock::new(()),
            passed_on: Mutex::new(Vec::new()),
            made: AtomicU64::new(0),
            observed: AtomicU64::new(0),
            seed,
        };
        let arena = &arena;
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                scope.spawn(move || arena.work(number));
            }
        });
        let left = std::mem::take(&mut *arena.passed_on.lock().unwrap());
        let smallest = left.iter().map(|(limit, _)| *limit as i32).min();
        assert_eq!(
            arena.in_force(),
            smallest.unwrap_or(ORIGINAL),
            "seed {seed}"
        );
        drop(left);
        assert_eq!(arena.in_force(), ORIGINAL, "seed {seed}");
        assert!(arena.made.load(Ordering::Relaxed) >= GUARDS);
        let observed = arena.observed.load(Ordering::Relaxed);
        assert!(
            observed > 1000,
            "limits were alive in {observed} observations only"
        );
    });
}
