//! One shared call: its tiles, handed out one by one, and what went wrong in them.
//!
//! Lives on the caller's stack. Invariants: every tile is handed out at most once; once a tile has panicked none is
//! handed out any more.

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, lock};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panicking tile left behind.
pub(super) type Payload = Box<dyn Any + Send>;

/// A shared call, for as long as its caller is in it.
pub struct Call<'call> {
    work: &'call (dyn Fn(usize) + Sync),
    tiles: usize,
    wanted: usize,
    /// The next tile to hand out; above `tiles` by at most the number of threads that found none.
    next: AtomicUsize,
    panicked: AtomicBool,
    payload: Mutex<Option<Payload>>,
}

impl<'call> Call<'call> {
    /// A call whose tiles nobody has computed yet.
    pub fn new(tiles: usize, work: &'call (dyn Fn(usize) + Sync), wanted: usize) -> Self {
        Call {
            work,
            tiles,
            wanted,
            next: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            payload: Mutex::new(None),
        }
    }

    /// The most helpers that it has a use for.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// How many tiles nobody has taken; only a hint, since others take them meanwhile.
    pub fn left(&self) -> usize {
        // Relaxed: a hint.
        self.tiles.saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// Computes one tile that nobody else computes; `false` when there is none left.
    ///
    /// Never panics: what a tile panicked with is kept for [`finish`](Call::finish).
    pub fn step(&self) -> bool {
        // Relaxed: the counter alone decides who computes which tile, and what the tiles wrote is handed over when the
        // helpers leave (slot.rs). The load first, so that the counter stays near its end however often it is asked.
        if self.next.load(Ordering::Relaxed) >= self.tiles {
            return false;
        }
        let tile = self.next.fetch_add(1, Ordering::Relaxed);
        if tile >= self.tiles {
            return false;
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.work)(tile))) {
            self.next.store(self.tiles, Ordering::Relaxed);
            // Of several panics the first is passed on, and the others are dropped here. Dropping one may panic in
            // its turn; such a payload is leaked.
            let mut kept = lock(&self.payload);
            if kept.is_none() {
                *kept = Some(payload);
            } else {
                drop(kept);
                std::mem::forget(payload);
            }
            self.panicked.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Passes on the panic of a tile, once every helper has left.
    pub fn finish(&self) -> Option<Payload> {
        // Relaxed: the helpers have left, which ordered their stores before this.
        if !self.panicked.load(Ordering::Relaxed) {
            return None;
        }
        lock(&self.payload).take()
    }
}
