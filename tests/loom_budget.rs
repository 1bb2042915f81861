//! The ledger of a budget, model-checked.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_budget`; without that flag this file is empty.
//! Loom watches what each core is used for: two owners of one core at once, or a next owner that does not come after the one
//! before, fail the model.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;
use loom::thread;
use threadctl::budget::{Client, Ledger, Lent, length};

/// A budget, and what its cores are used for.
struct World {
    ledger: Ledger<Vec<AtomicU32>>,
    used: Vec<UnsafeCell<u32>>,
}

// SAFETY: there for loom, which ends the model where two threads use one core without an order.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn new(cores: usize) -> Arc<Self> {
        let words = (0..length(cores)).map(|_| AtomicU32::new(0)).collect();
        Arc::new(World {
            ledger: Ledger::begin(words, cores, 0, [0; 2]),
            used: (0..cores).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn compute(&self, core: usize) {
        // SAFETY: loom watches that nobody else is at it.
        self.used[core].with_mut(|value| unsafe { *value += 1 });
    }
}

/// Runs every interleaving with at most `preemptions` changes of thread that nothing forces.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(body);
}

const A: usize = 0;
const B: usize = 1;

/// A call with a token, if there is one.
fn call(world: &World, me: Client) {
    if let Some(core) = world.ledger.take(me) {
        world.compute(core);
        world.ledger.give(me, core);
    }
}

#[test]
fn a_core_has_one_owner_at_a_time() {
    model(3, || {
        let world = World::new(1);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || call(&other, Client::at(B)));
        call(&world, Client::at(A));
        thread.join().unwrap();
        assert_eq!(world.ledger.free(), 1);
    });
}

#[test]
fn what_was_put_aside_is_taken_up_or_lent_but_not_both() {
    model(3, || {
        let world = World::new(1);
        let (a, b) = (Client::at(A), Client::at(B));
        let core = world.ledger.take(a).unwrap();
        world.compute(core);
        world.ledger.put_aside(a, core);
        let keeper = Arc::clone(&world);
        let keeper = thread::spawn(move || keeper.ledger.lapse(a));
        let other = Arc::clone(&world);
        let other = thread::spawn(move || call(&other, b));
        if world.ledger.take_up(a, core) {
            world.compute(core);
            world.ledger.give(a, core);
        }
        keeper.join().unwrap();
        other.join().unwrap();
        assert_eq!(world.ledger.free(), 1);
    });
}

/// Dies after so many steps of a call that puts its core aside; the keeper learns of it by its end alone.
fn dies_after(world: &World, me: Client, steps: usize) {
    world.ledger.claim(me);
    if steps == 0 {
        return;
    }
    let Some(core) = world.ledger.take(me) else {
        return;
    };
    if steps == 1 {
        return;
    }
    world.compute(core);
    world.ledger.unclaim(me);
    if steps == 2 {
        return;
    }
    world.ledger.put_aside(me, core);
}

#[test]
fn what_the_dead_had_comes_back_once() {
    for steps in 0..4 {
        model(3, move || {
            let world = World::new(1);
            let victim = Arc::clone(&world);
            let victim = thread::spawn(move || dies_after(&victim, Client::at(A), steps));
            let other = Arc::clone(&world);
            let other = thread::spawn(move || call(&other, Client::at(B)));
            victim.join().unwrap();
            world.ledger.reap(Client::at(A));
            other.join().unwrap();
            assert_eq!(world.ledger.free(), 1);
            assert!(!world.ledger.is_claimed(None));
            call(&world, Client::at(B));
        });
    }
}

#[test]
fn a_core_is_lent_to_the_fifo_or_taken_but_not_both() {
    model(3, || {
        let world = World::new(1);
        let other = Arc::clone(&world);
        let other = thread::spawn(move || call(&other, Client::at(A)));
        if world.ledger.lend(Lent::Fifo) {
            assert_eq!(world.ledger.lent(Lent::Fifo), 1);
            assert!(world.ledger.return_from(Lent::Fifo));
        }
        other.join().unwrap();
        assert_eq!(world.ledger.free(), 1);
    });
}

/// A call of the first process that finds no core.
fn claims(world: &World) {
    let me = Client::at(A);
    for _ in 0..2 {
        world.ledger.claim(me);
    }
    world.ledger.unclaim(me);
}

/// Callers of one process have one bit: whoever ends takes back what another one says, who says it again if he must, but when the
/// last has ended nothing is claimed.
#[test]
fn a_claim_ends_with_the_last_caller_of_its_process() {
    model(3, || {
        let world = World::new(1);
        let other = Arc::clone(&world);
        let other = thread::spawn(move || claims(&other));
        claims(&world);
        other.join().unwrap();
        assert!(!world.ledger.is_claimed(None));
    });
}
