//! What a thread publishes its calls in, and the offers that it has out.
//!
//! Invariant: `offers` is the number of offers that were made and not begun, and never above the helpers that one call
//! of this thread wants: offers outlive the call that made them and serve a later one, so they do not pile up.

use super::call::Call;
use super::slot::Slot;
use crate::sync::{AtomicUsize, Ordering};

/// How deep shared calls of one thread can be inside each other's tiles and still find helpers.
pub const DEPTH: usize = 4;

/// The calls of one thread, the outermost first.
pub struct Mailbox {
    slots: [Slot; DEPTH],
    offers: AtomicUsize,
}

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox {
            slots: std::array::from_fn(|_| Slot::new()),
            offers: AtomicUsize::new(0),
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
        // AcqRel, as in `begin`: one of the two comes first. If this does, whoever begins an offer sees what we
        // published before; if `begin` does, the offer that it began is not counted here.
        if self.offers.fetch_add(1, Ordering::AcqRel) < wanted {
            return true;
        }
        self.offers.fetch_sub(1, Ordering::AcqRel);
        false
    }

    /// An offer was taken up.
    pub fn begin(&self) {
        self.offers.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many offers are out.
    pub fn offers(&self) -> usize {
        // Relaxed: for reports.
        self.offers.load(Ordering::Relaxed)
    }

    /// Helps with every call that is published, the innermost first: the outer ones wait for it.
    pub fn help(&self, help: &dyn Fn(&Call<'_>)) {
        for slot in self.slots.iter().rev() {
            slot.enter(help);
        }
    }
}
