//! The hand-out of tiles and the coming and going of helpers, model-checked.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_share`; without that flag this file is empty.
//! What tiles write is watched by loom: two writes of one tile, or a caller that goes on before a helper's write is
//! ordered, fail the model. So does a helper that touches a call after its caller returned: the tiles are gone then.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use threadctl::dispatch::share::{Call, Mailbox};

/// Runs every interleaving with at most `preemptions` changes of thread that nothing forces.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// What the tiles of one call write, each once.
struct Tiles(Vec<UnsafeCell<u32>>);

// SAFETY: there for loom, which ends the model where two threads are at one tile without an order.
unsafe impl Sync for Tiles {}

impl Tiles {
    fn new(count: usize) -> Self {
        Tiles((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    fn compute(&self, tile: usize) {
        // SAFETY: loom watches that nobody else is at it.
        self.0[tile].with_mut(|value| unsafe { *value += 1 });
    }

    fn check(&self) {
        for tile in &self.0 {
            // SAFETY: as above.
            assert_eq!(tile.with(|value| unsafe { *value }), 1);
        }
    }
}

/// A call as `share` makes it: published, worked off, and gone when this returns.
fn call(mailbox: &Mailbox, tiles: usize, wanted: usize) {
    let results = Tiles::new(tiles);
    let work = |tile| results.compute(tile);
    let call = Call::new(tiles, &work, wanted);
    mailbox
        .slot(0)
        .unwrap()
        .publish(&call, || while call.step() {});
    assert!(call.finish().is_none());
    results.check();
}

fn helper(mailbox: &Arc<Mailbox>) -> thread::JoinHandle<()> {
    let mailbox = Arc::clone(mailbox);
    thread::spawn(move || {
        mailbox.help(&|call, slot| {
            while call.step() {}
            slot.exhausted();
        });
    })
}

#[test]
fn every_tile_is_computed_once_and_seen_by_the_caller() {
    model(4, || {
        let mailbox = Arc::new(Mailbox::default());
        let helper = helper(&mailbox);
        call(&mailbox, 3, 1);
        helper.join().unwrap();
    });
}

#[test]
fn two_helpers() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::default());
        let helpers = [helper(&mailbox), helper(&mailbox)];
        call(&mailbox, 2, 2);
        for helper in helpers {
            helper.join().unwrap();
        }
    });
}

#[test]
fn a_late_helper_finds_nothing_or_the_next_call() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::default());
        let helper = helper(&mailbox);
        call(&mailbox, 2, 1);
        call(&mailbox, 1, 1);
        helper.join().unwrap();
    });
}

#[test]
fn a_helper_that_retires_leaves_the_rest_to_the_caller() {
    model(4, || {
        let mailbox = Arc::new(Mailbox::default());
        let shared = Arc::clone(&mailbox);
        let helper = thread::spawn(move || {
            shared.help(&|call, _| {
                call.step();
            });
        });
        call(&mailbox, 3, 1);
        helper.join().unwrap();
    });
}

/// A call that wants one helper has no two inside.
#[test]
fn no_more_helpers_than_are_wanted() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let helpers = [(); 2].map(|()| {
            let (mailbox, inside) = (Arc::clone(&mailbox), Arc::clone(&inside));
            thread::spawn(move || {
                mailbox.help(&|_, _| {
                    assert_eq!(inside.fetch_add(1, Relaxed), 0);
                    inside.fetch_sub(1, Relaxed);
                });
            })
        });
        let call = Call::new(2, &|_| (), 1);
        mailbox.slot(0).unwrap().publish(&call, || ());
        for helper in helpers {
            helper.join().unwrap();
        }
    });
}

/// The offer of an earlier call is still out: either it finds this call, or this call is told to make another.
#[test]
fn an_offer_that_is_out_serves_a_later_call() {
    model(4, || {
        let mailbox = Arc::new(Mailbox::default());
        assert!(mailbox.reserve(1));
        let found = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (Arc::clone(&mailbox), Arc::clone(&found));
        let helper = thread::spawn(move || {
            shared.begin();
            shared.help(&|_, _| {
                count.fetch_add(1, Relaxed);
            });
        });
        let call = Call::new(2, &|_| (), 1);
        let mut told = false;
        mailbox.slot(0).unwrap().publish(&call, || {
            told = mailbox.reserve(1);
            // The call stays open until the helper has looked.
            helper.join().unwrap();
        });
        assert!(told || found.load(Relaxed) == 1);
        assert_eq!(mailbox.offers(), usize::from(told));
    });
}

/// A helper that stays counts as an offer that is out: either it finds the call, or the call is told to make one.
#[test]
fn a_helper_that_watches_serves_a_call_or_is_not_relied_on() {
    model(4, || {
        let mailbox = Arc::new(Mailbox::default());
        let found = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (Arc::clone(&mailbox), Arc::clone(&found));
        let helper = thread::spawn(move || {
            shared.watch();
            let seen = shared.has_calls();
            shared.begin();
            if seen || shared.has_calls() {
                count.fetch_add(1, Relaxed);
            }
        });
        let call = Call::new(2, &|_| (), 1);
        let mut told = false;
        mailbox.slot(0).unwrap().publish(&call, || {
            told = mailbox.reserve(1);
            // The call stays open until the helper has looked.
            helper.join().unwrap();
        });
        assert!(told || found.load(Relaxed) == 1);
        assert_eq!(mailbox.offers(), usize::from(told));
    });
}

/// Both tiles panic, at once or one after the other: one payload arrives.
#[test]
fn of_two_panics_one_arrives() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::default());
        let helper = helper(&mailbox);
        let work = |tile: usize| std::panic::resume_unwind(Box::new(tile));
        let call = Call::new(2, &work, 1);
        mailbox
            .slot(0)
            .unwrap()
            .publish(&call, || while call.step() {});
        assert!(*call.finish().unwrap().downcast_ref::<usize>().unwrap() < 2);
        helper.join().unwrap();
    });
}
