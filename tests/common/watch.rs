//! What the tests of shared calls have in common: an end to tests that stall, one test at a time, numbers for Miri.
#![allow(
    dead_code,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a stalled test says so before it is ended"
)]

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, mpsc};
use std::time::{Duration, Instant};
use threadctl::dispatch::simulate_cores;

/// The sizes of pools that every rule is tried with.
pub const POOLS: [usize; 3] = [1, 2, 8];

/// `rounds`, or a few where each takes a thousand times as long.
pub const fn rounds(rounds: usize) -> usize {
    if cfg!(miri) && rounds > 20 {
        20
    } else {
        rounds
    }
}

/// Runs `body`; if that takes longer than any machine needs, says what stalled and ends the test program.
pub fn within<R>(seconds: u64, what: &str, body: impl FnOnce() -> R) -> R {
    let (done, watched) = mpsc::channel::<()>();
    let what = what.to_owned();
    let watchdog = std::thread::spawn(move || {
        let limit = if cfg!(miri) { 100 * seconds } else { seconds };
        // Second by second: time for which the whole process, or the machine, was stopped counts as one.
        let tick = || watched.recv_timeout(Duration::from_secs(1));
        if (0..limit).all(|_| tick() == Err(mpsc::RecvTimeoutError::Timeout)) {
            eprintln!("stalled for {limit} s: {what}");
            std::process::abort();
        }
    });
    let result = body();
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
    result
}

/// Waits until something that other threads do has happened.
pub fn until(happened: impl Fn() -> bool) {
    let since = Instant::now();
    while !happened() {
        // Whoever waits for long leaves the processor to the others.
        if since.elapsed() < Duration::from_millis(1) {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// So many cores, and no other test at the same time: the number and the callers are counted for the whole process.
pub struct Cores(#[allow(dead_code, reason = "held")] MutexGuard<'static, ()>);

pub fn cores(count: usize) -> Cores {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    global_pool();
    simulate_cores(NonZeroUsize::new(count));
    Cores(alone)
}

impl Drop for Cores {
    fn drop(&mut self) {
        simulate_cores(None);
    }
}

/// The global pool, of 8.
fn global_pool() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| builder("global", 8).build_global().unwrap());
}

/// A pool whose threads are named after it.
pub fn pool(name: &'static str, threads: usize) -> ThreadPool {
    builder(name, threads).build().unwrap()
}

fn builder(name: &'static str, threads: usize) -> ThreadPoolBuilder {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |index| format!("{name}-{index}"))
}

/// The name of this thread's pool, or of the thread.
pub fn pool_name() -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    name.split('-').next().unwrap_or(name).to_owned()
}

/// How many threads are in a stretch of code, and the most that were.
#[derive(Default)]
pub struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    pub fn during<R>(&self, body: impl FnOnce() -> R) -> R {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let result = body();
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }

    pub fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Some work that nothing can leave out.
pub fn spin(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        std::hint::spin_loop();
    }
}
