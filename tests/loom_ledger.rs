//! The ledger's protocol, model-checked: every interleaving of a few threads that take and drop limits.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_ledger`; without that flag this file is empty.
//! The value is a fake that loom watches: two accesses that the ledger's lock does not order fail the model, and what
//! a thread reads while it holds a limit, lock or no lock, must be within it.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use loom::thread;
use threadctl::limit::ledger::{Lasting, Ledger, Value};

/// Between the limits of the models, so that limits lower it and raise it.
const ORIGINAL: u32 = 3;

/// A setting of the process.
#[derive(Debug)]
struct Fake {
    /// What the program's calls would see, at any moment.
    number: AtomicU32,
    writes: AtomicU32,
    /// Loom fails the model when two threads are in here at once.
    alone: UnsafeCell<()>,
}

// SAFETY: `alone` guards nothing; it is there for loom, which ends the model where it is misused.
unsafe impl Sync for Fake {}

impl Fake {
    fn new() -> Self {
        Fake {
            number: AtomicU32::new(ORIGINAL),
            writes: AtomicU32::new(0),
            alone: UnsafeCell::new(()),
        }
    }

    fn write(&self, number: u32) {
        self.alone.with_mut(|_| {
            self.number.store(number, Relaxed);
            self.writes.store(self.writes.load(Relaxed) + 1, Relaxed);
        });
    }
}

impl Value for Fake {
    /// Not the number itself, as with real libraries.
    type Saved = i64;

    fn save(&self) -> i64 {
        -i64::from(self.get())
    }

    fn get(&self) -> u32 {
        self.alone.with_mut(|_| self.number.load(Relaxed))
    }

    fn set(&self, threads: u32) {
        self.write(threads);
    }

    fn restore(&self, saved: i64) {
        self.write(u32::try_from(-saved).unwrap());
    }
}

type Shared = Arc<Ledger<Fake>>;

/// Runs every interleaving with at most `preemptions` changes of thread that nothing forces.
fn model(preemptions: usize, body: impl Fn(Shared) + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || body(Arc::new(Ledger::new(Fake::new()))));
}

/// I2 and I3, under the lock.
fn check(ledger: &Ledger<Fake>) {
    ledger.inspect(|value, smallest| assert_eq!(value.get(), smallest.unwrap_or(ORIGINAL)));
}

/// What a call into the library would be given now: no lock here.
fn seen(ledger: &Ledger<Fake>) -> u32 {
    ledger.value().number.load(Relaxed)
}

/// One limit, held for a moment.
fn hold(ledger: &Ledger<Fake>, limit: u32) {
    let grant = ledger.acquire(limit);
    assert!(grant.smallest <= limit && grant.effective == grant.smallest);
    assert!(seen(ledger) <= limit);
    check(ledger);
    assert!(seen(ledger) <= limit);
    ledger.release(limit);
}

#[test]
fn three_threads_with_a_limit_each() {
    model(3, |ledger| {
        let others = [1, 4].map(|limit| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || hold(&ledger, limit))
        });
        hold(&ledger, 2);
        for other in others {
            other.join().unwrap();
        }
        check(&ledger);
        assert_eq!(seen(&ledger), ORIGINAL);
    });
}

#[test]
fn nested_limits_that_are_dropped_in_opposite_orders() {
    model(3, |ledger| {
        let shared = Arc::clone(&ledger);
        let other = thread::spawn(move || {
            shared.acquire(4);
            shared.acquire(1);
            assert_eq!(seen(&shared), 1);
            shared.release(4);
            assert_eq!(seen(&shared), 1);
            shared.release(1);
        });
        ledger.acquire(2);
        ledger.acquire(5);
        assert!(seen(&ledger) <= 2);
        check(&ledger);
        ledger.release(2);
        assert!(seen(&ledger) <= 5);
        check(&ledger);
        ledger.release(5);
        other.join().unwrap();
        check(&ledger);
        assert_eq!(seen(&ledger), ORIGINAL);
    });
}

#[test]
fn equal_limits_are_counted() {
    model(3, |ledger| {
        let others = [2, 2].map(|limit| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || hold(&ledger, limit))
        });
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(seen(&ledger), ORIGINAL);
    });
}

#[test]
fn a_limit_that_is_dropped_on_another_thread() {
    model(3, |ledger| {
        ledger.acquire(1);
        let shared = Arc::clone(&ledger);
        let other = thread::spawn(move || {
            assert_eq!(seen(&shared), 1);
            shared.release(1);
        });
        hold(&ledger, 2);
        other.join().unwrap();
        assert_eq!(seen(&ledger), ORIGINAL);
    });
}

#[test]
fn a_lasting_change_beside_limits_is_what_remains() {
    model(3, |ledger| {
        let shared = Arc::clone(&ledger);
        let other = thread::spawn(move || {
            shared.acquire(2);
            assert_eq!(seen(&shared), 2);
            shared.release(2);
        });
        match ledger.set_lasting(6) {
            Lasting::Now(number) => assert_eq!(number, 6),
            Lasting::Later(grant) => assert_eq!(grant.effective, 2),
        }
        other.join().unwrap();
        assert_eq!(seen(&ledger), 6);
    });
}

#[test]
fn what_is_never_limited_is_never_written() {
    model(3, |ledger| {
        let shared = Arc::clone(&ledger);
        let other = thread::spawn(move || {
            shared.set_local(None, 4, |_| {});
            shared.clear_local(Some(4), || {});
        });
        ledger.locals_above(1);
        // A release of what was never acquired, which no guard makes.
        ledger.release(1);
        other.join().unwrap();
        assert_eq!(ledger.value().writes.load(Relaxed), 0);
    });
}

#[test]
fn a_threads_own_larger_value_is_capped_or_counted() {
    model(3, |ledger| {
        let shared = Arc::clone(&ledger);
        let other = thread::spawn(move || shared.set_local(None, 4, |_| {}));
        ledger.acquire(2);
        let above = ledger.locals_above(2);
        let own = other.join().unwrap();
        // It was there before the limit and was counted, or it came later and was cut.
        assert!(matches!((own, above), (4, 1) | (2, 0)));
        ledger.release(2);
        ledger.clear_local(Some(own), || {});
        assert_eq!(ledger.locals_above(0), 0);
        assert_eq!(seen(&ledger), ORIGINAL);
    });
}
