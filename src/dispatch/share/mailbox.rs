//! What a thread publishes its calls in, and the offers that it has out.
//!
//! Invariant: `offers` is the number of offers that were made and not begun, and of helpers that watch for calls. No offer
//! is made where that would be above the helpers that one call of this thread wants: offers outlive the call that made
//! them and serve a later one, so they do not pile up.

use super::call::{Alone, Call};
use super::slot::Slot;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// How deep shared calls of one thread can be inside each other's tiles and still find helpers.
pub const DEPTH: usize = 4;

/// The calls of one thread, the outermost first.
pub struct Mailbox {
    slots: [Slot; DEPTH],
    offers: Alone<AtomicUsize>,
    /// The owner is in a call.
    under_way: AtomicBool,
    /// How many cores the owner goes by.
    cores: AtomicUsize,
}

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox {
            slots: std::array::from_fn(|_| Slot::new()),
            offers: Alone(AtomicUsize::new(0)),
            under_way: AtomicBool::new(false),
            cores: AtomicUsize::new(1),
        }
    }
}

impl Mailbox {
    /// The slot for a call at this depth; `None` below the last.
    pub fn slot(&self, depth: usize) -> Option<&Slot> {
        self.slots.get(depth)
    }

    /// Notes one more offer, if fewer than `wanted` are out: `true` asks the calling thread to make it.
    pub fn reserve(&self, wanted: usize) -> bool {
        // AcqRel, as in `begin`, and written also where nothing changes: so one of the two comes first. If this does,
        // whoever begins an offer sees what we published before; if `begin` does, the offer that it began is not
        // counted here. The number never goes up for a moment only, which could keep others from offering.
        let mut offers = self.offers.0.load(Ordering::Relaxed);
        loop {
            let more = offers < wanted;
            match self.offers.0.compare_exchange_weak(
                offers,
                offers + usize::from(more),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return more,
                Err(now) => offers = now,
            }
        }
    }

    /// An offer was taken up.
    pub fn begin(&self) {
        self.offers.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// A helper that is still there watches for calls: like an offer that is out, until it [begins](Mailbox::begin).
    pub fn watch(&self) {
        self.offers.0.fetch_add(1, Ordering::AcqRel);
    }

    /// How many offers are out; only a hint.
    pub fn offers(&self) -> usize {
        self.offers.0.load(Ordering::Relaxed)
    }

    /// The owner begins a call, or has ended it.
    pub fn set_under_way(&self, is: bool) {
        // Relaxed, here and below: a hint.
        self.under_way.store(is, Ordering::Relaxed);
    }

    /// Whether the owner is in a call, which may have no tiles left; only a hint.
    pub fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The owner goes by so many cores from now on.
    pub fn set_cores(&self, cores: usize) {
        // Relaxed, here and below: a number by itself, of which an old one does as well.
        self.cores.store(cores, Ordering::Relaxed);
    }

    /// How many cores the owner goes by.
    pub fn cores(&self) -> usize {
        self.cores.load(Ordering::Relaxed)
    }

    /// Helps with every call that is published, the innermost first: the outer ones wait for it.
    pub fn help(&self, help: &dyn Fn(&Call<'_>, &Slot)) {
        for slot in self.slots.iter().rev() {
            slot.enter(|call| help(call, slot));
        }
    }

    /// Whether a call is published. Who has just [begun](Mailbox::begin) sees every call whose owner relied on that offer.
    pub fn has_calls(&self) -> bool {
        self.slots.iter().any(Slot::is_open)
    }
}
