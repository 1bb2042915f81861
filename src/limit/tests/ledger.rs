//! The ledger against a model of it: a list of limits.

use crate::limit::ledger::{Lasting, Ledger, Value};
use proptest::prelude::*;
use std::cell::Cell;

/// A library that takes at most so many threads.
const MAX: u32 = 6;

/// Like a C library's number: not every raw value is a number of threads.
#[derive(Debug, Default)]
struct Fake {
    raw: Cell<i32>,
    reads: Cell<u32>,
    writes: Cell<u32>,
}

impl Fake {
    fn write(&self, raw: i32) {
        self.writes.set(self.writes.get() + 1);
        self.raw.set(raw.min(MAX as i32));
    }
}

impl Value for Fake {
    type Saved = i32;

    fn save(&self) -> i32 {
        self.reads.set(self.reads.get() + 1);
        self.raw.get()
    }

    fn get(&self) -> u32 {
        self.reads.set(self.reads.get() + 1);
        u32::try_from(self.raw.get()).unwrap_or(1).max(1)
    }

    fn set(&self, threads: u32) {
        self.write(threads as i32);
    }

    fn restore(&self, saved: i32) {
        self.write(saved);
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Acquire(u32),
    /// Of those alive, the one at this place, counted round and round.
    Release(usize),
    SetLasting(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..9_u32).prop_map(Step::Acquire),
        4 => any::<usize>().prop_map(Step::Release),
        1 => (1..9_u32).prop_map(Step::SetLasting),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn the_smallest_alive_is_in_force_and_the_original_returns(
        original in -1..=MAX as i32,
        steps in steps(),
    ) {
        let fake = Fake::default();
        fake.raw.set(original);
        let ledger = Ledger::new(&fake);
        let mut alive: Vec<u32> = Vec::new();
        // What has to be there once nothing is alive.
        let mut last = original;
        for step in steps {
            let before = alive.iter().min().copied();
            let (reads, writes) = (fake.reads.get(), fake.writes.get());
            match step {
                Step::Acquire(limit) => {
                    let grant = ledger.acquire(limit);
                    alive.push(limit);
                    let smallest = before.map_or(limit, |before| before.min(limit));
                    prop_assert_eq!(grant.smallest, smallest);
                    prop_assert_eq!(grant.effective, smallest.min(MAX));
                }
                Step::Release(place) if !alive.is_empty() => {
                    let limit = alive.swap_remove(place % alive.len());
                    ledger.release(limit);
                }
                Step::Release(_) => {}
                Step::SetLasting(threads) => {
                    let lasting = ledger.set_lasting(threads);
                    last = threads.min(MAX) as i32;
                    prop_assert_eq!(matches!(lasting, Lasting::Later(_)), before.is_some());
                }
            }
            let after = alive.iter().min().copied();
            let expected = after.map_or(last, |limit| limit.min(MAX) as i32);
            prop_assert_eq!(fake.raw.get(), expected, "after {:?}", step);
            // Nothing is read or written that need not be.
            if before == after && before.is_some() {
                prop_assert_eq!((fake.reads.get(), fake.writes.get()), (reads, writes));
            }
        }
        for limit in alive {
            ledger.release(limit);
        }
        prop_assert_eq!(fake.raw.get(), last);
    }

    #[test]
    fn a_thread_gets_no_more_than_the_process_has_and_is_counted(
        limits in proptest::collection::vec(1..9_u32, 0..4),
        own in proptest::collection::vec(1..9_u32, 0..8),
        asked in 1..9_u32,
    ) {
        let fake = Fake::default();
        let ledger = Ledger::new(&fake);
        for &limit in &limits {
            ledger.acquire(limit);
        }
        let smallest = limits.iter().min().copied().unwrap_or(u32::MAX);
        let applied: Vec<u32> =
            own.iter().map(|&threads| ledger.set_local(None, threads, |_| {})).collect();
        for (applied, own) in applied.iter().zip(&own) {
            prop_assert_eq!(*applied, smallest.min(*own));
        }
        let above = applied.iter().filter(|applied| **applied > asked).count();
        prop_assert_eq!(ledger.locals_above(asked) as usize, above);
        for applied in applied {
            ledger.clear_local(Some(applied), || {});
        }
        prop_assert_eq!(ledger.locals_above(0), 0);
    }
}

impl Value for &Fake {
    type Saved = i32;

    fn save(&self) -> i32 {
        (**self).save()
    }

    fn get(&self) -> u32 {
        (**self).get()
    }

    fn set(&self, threads: u32) {
        (**self).set(threads);
    }

    fn restore(&self, saved: i32) {
        (**self).restore(saved);
    }
}

/// A controller of the user's own that fails when it is set.
#[derive(Default)]
struct Fails {
    fake: Fake,
    broken: Cell<bool>,
}

impl Value for Fails {
    type Saved = i32;

    fn save(&self) -> i32 {
        self.fake.save()
    }

    fn get(&self) -> u32 {
        self.fake.get()
    }

    #[expect(clippy::panic, reason = "it stands for somebody else's code that does")]
    fn set(&self, threads: u32) {
        if self.broken.get() {
            panic!("cannot set");
        }
        self.fake.set(threads);
    }

    fn restore(&self, saved: i32) {
        self.fake.restore(saved);
    }
}

#[test]
fn a_panic_while_setting_adds_no_limit_and_blocks_nobody() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let fails = Fails::default();
    fails.fake.raw.set(4);
    let ledger = Ledger::new(fails);
    ledger.value().broken.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| ledger.acquire(2))).is_err());
    ledger.value().broken.set(false);
    // The lock is poisoned by now; the ledger is not.
    assert_eq!(ledger.acquire(3).effective, 3);
    ledger.release(3);
    assert_eq!(ledger.value().fake.raw.get(), 4);

    ledger.acquire(3);
    ledger.acquire(2);
    ledger.value().broken.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| ledger.release(2))).is_err());
    ledger.value().broken.set(false);
    ledger.release(3);
    assert_eq!(ledger.value().fake.raw.get(), 4);
}
