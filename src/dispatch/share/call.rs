//! One shared call: its tiles, handed out one by one, and what went wrong in them.
//!
//! Lives on the caller's stack. Invariants: every tile is handed out at most once; once a tile has panicked none is
//! handed out any more; whoever turns `panicked` on, and nobody else, writes the payload, and nobody reads it before the
//! call is over.

use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panicking tile left behind.
pub(super) type Payload = Box<dyn Any + Send>;

/// Alone on its cache lines (two of 64 bytes: processors fetch them in pairs), so that those who write it do not slow
/// down those who read its neighbours.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Alone<T>(pub T);

/// A shared call, for as long as its caller is in it.
pub struct Call<'call> {
    work: &'call (dyn Fn(usize) + Sync),
    tiles: usize,
    wanted: usize,
    panicked: AtomicBool,
    payload: UnsafeCell<Option<Payload>>,
    /// The next tile to hand out; above `tiles` by at most the number of threads that found none.
    next: Alone<AtomicUsize>,
}

// SAFETY: `work` may be called by several threads at once, as its type says; the payload is written by one thread (see the
// page's invariants), and may go from thread to thread.
unsafe impl Sync for Call<'_> {}

impl<'call> Call<'call> {
    /// The most tiles that a call can have: the counter goes somewhat past them and must not start again.
    pub const MOST: usize = usize::MAX / 2;

    /// A call whose tiles nobody has computed yet, at most [`MOST`](Call::MOST) of them.
    pub fn new(tiles: usize, work: &'call (dyn Fn(usize) + Sync), wanted: usize) -> Self {
        Call {
            work,
            tiles,
            wanted,
            panicked: AtomicBool::new(false),
            payload: UnsafeCell::new(None),
            next: Alone(AtomicUsize::new(0)),
        }
    }

    /// The most helpers that it has a use for.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// How many tiles nobody has taken; only a hint, since others take them meanwhile.
    pub fn left(&self) -> usize {
        // Relaxed: a hint.
        self.tiles
            .saturating_sub(self.next.0.load(Ordering::Relaxed))
    }

    /// Computes one tile that nobody else computes; `false` when there is none left.
    ///
    /// Never panics: what a tile panicked with is kept for [`finish`](Call::finish).
    pub fn step(&self) -> bool {
        // Relaxed: the counter alone decides who computes which tile, and what the tiles wrote is handed over when the
        // helpers leave (slot.rs). The load first, so that the counter stays near its end however often it is asked.
        if self.next.0.load(Ordering::Relaxed) >= self.tiles {
            return false;
        }
        let tile = self.next.0.fetch_add(1, Ordering::Relaxed);
        if tile >= self.tiles {
            return false;
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.work)(tile))) {
            // Nothing is handed out after this: the counter only grows from here.
            self.next.0.store(self.tiles, Ordering::Relaxed);
            // Relaxed: it only tells who is first; what that one writes is handed over when it leaves. Of several
            // panics the first is passed on.
            if self.panicked.swap(true, Ordering::Relaxed) {
                drop_quietly(payload);
            } else {
                // SAFETY: of all threads we turned `panicked` on, so only we are here; nobody reads, since a call
                // that can be entered is only borrowed, and `finish` takes it.
                unsafe { *self.payload.get() = Some(payload) };
            }
        }
        true
    }

    /// The panic of a tile, once every helper has left.
    pub fn finish(self) -> Option<Payload> {
        self.payload.into_inner()
    }
}

/// Drops a payload. Its destructor is foreign code and may panic in its turn; what it panics with then is leaked, since
/// one could go on like this for ever.
fn drop_quietly(payload: Payload) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(next);
    }
}
