//! What shared calls allocate, counted by an allocator of the test's own: nothing per tile, no more than one offer per call,
//! and nothing that piles up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/watch.rs"]
mod watch;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::SeqCst};
use threadctl::dispatch::share;
use watch::{cores, pool, rounds, until, within};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// The allocations of this thread.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does the work; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        OWN.set(OWN.get() + 1);
        BYTES.fetch_add(layout.size() as isize, SeqCst);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, SeqCst);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What is allocated meanwhile, in all threads: how often, and what stays of it in bytes.
fn allocated(body: impl FnOnce()) -> (usize, isize) {
    let (times, bytes) = (ALLOCATIONS.load(SeqCst), BYTES.load(SeqCst));
    body();
    (ALLOCATIONS.load(SeqCst) - times, BYTES.load(SeqCst) - bytes)
}

/// The pages of this process that are in memory, in KiB.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4
}

/// One worker runs `body`, the others are busy until it is done.
fn beside_busy_workers(threads: usize, body: impl FnOnce() + Send) {
    let pool = pool("mine", threads);
    let (busy, begun) = (AtomicBool::new(true), AtomicUsize::new(0));
    pool.scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| {
                begun.fetch_add(1, SeqCst);
                until(|| !busy.load(SeqCst));
            });
        }
        scope.spawn(|_| {
            until(|| begun.load(SeqCst) == threads - 1);
            let _end = End(&busy);
            body();
        });
    });
}

/// Lets the busy ones go, also when the test has failed.
struct End<'busy>(&'busy AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

#[test]
fn a_million_calls_beside_busy_workers_leave_nothing() {
    let _cores = cores(8);
    within(250, "a million calls", || {
        for threads in [2, 8] {
            beside_busy_workers(threads, || {
                let sum = AtomicUsize::new(0);
                let call = || {
                    share(4, |tile| {
                        sum.fetch_add(tile, SeqCst);
                    });
                };
                (0..100).for_each(|_| call());
                #[cfg(not(miri))]
                let before = resident();
                let (times, bytes) = allocated(|| (0..rounds(1_000_000)).for_each(|_| call()));
                #[cfg(not(miri))]
                assert!(
                    resident() < before + 1024,
                    "{before} KiB before, {} after",
                    resident()
                );
                // The offer of the first call is out all the while.
                assert!(
                    times <= 8 && bytes < 4096,
                    "{times} allocations, {bytes} bytes"
                );
                assert_eq!(sum.load(SeqCst), 6 * (rounds(1_000_000) + 100));
            });
        }
    });
}

#[test]
fn short_lived_threads_leave_nothing() {
    let _cores = cores(8);
    within(250, "many threads", || {
        // All of the global pool's workers are busy: nobody takes offers up.
        let (busy, begun) = (AtomicBool::new(true), AtomicUsize::new(0));
        rayon::scope(|scope| {
            for _ in 0..rayon::current_num_threads() - 1 {
                scope.spawn(|_| {
                    begun.fetch_add(1, SeqCst);
                    until(|| !busy.load(SeqCst));
                });
            }
            until(|| begun.load(SeqCst) == rayon::current_num_threads() - 1);
            let _end = End(&busy);
            let call = || {
                std::thread::spawn(|| share(8, |_| ())).join().unwrap();
            };
            (0..10).for_each(|_| call());
            let (_, bytes) = allocated(|| (0..rounds(2_000)).for_each(|_| call()));
            assert!(bytes < 4096, "{bytes} bytes");
        });
    });
}

#[test]
fn a_caller_allocates_once_at_most_and_nobody_does_so_per_tile() {
    let _cores = cores(8);
    within(120, "calls with idle workers", || {
        for threads in watch::POOLS {
            let pool = pool("mine", threads);
            for tiles in [2, 100, rounds(10_000)] {
                let (calls, before) = (rounds(500), OWN.get());
                let (times, _) = allocated(|| {
                    pool.install(|| {
                        let before = OWN.get();
                        (0..calls).for_each(|_| share(tiles, |_| ()));
                        // A few more: rayon's queues grow, and the thread's own storage is made.
                        assert!(OWN.get() - before <= calls + 20, "{}", OWN.get() - before);
                    });
                });
                assert_eq!(OWN.get() - before, 0, "the thread that installs");
                // And one for each helper that others bring.
                let most = calls * (threads - 1).max(1).min(tiles - 1);
                assert!(
                    times <= most + 50,
                    "{times}, {tiles} tiles, {threads} threads"
                );
            }
        }
    });
}
