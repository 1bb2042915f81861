//! What calls that are under way have to put back when they end, kept where it is found if they never return.
//!
//! A library tells its caller of a wrong argument by calling `xerbla_`, which programs may define themselves, and which may leave by
//! `longjmp`: R's does. Frames that are left so are not unwound, so nothing that has to be put back lies in them: it lies here, and is put
//! back by [`settle`] before such a handler begins (`backend/errors.rs` leads its calls by there), or else by the next call of the thread that sees it.
//!
//! Invariants: what is kept belongs to calls of this thread, the outermost first; the stack grows downwards, so a call whose frame is not
//! above that of a new one has been left. Where a thread goes on deeper than the frame that it left, or on another stack, that is not
//! seen: its calls are taken to be inside the one that was left, and have one thread, until one comes from above.

use super::forward::Own;
use super::hold::Held;
use super::share::Guests;
use std::cell::{Cell, RefCell};
use std::ptr;

/// What one call puts back, in this order.
pub(super) struct Kept {
    /// The number that this thread had in MKL.
    pub _number: Option<Number>,
    pub _held: Option<Held>,
    /// Last: their cores are given back when nobody else computes there any more.
    pub _guests: Option<Guests>,
}

impl Kept {
    pub(super) fn number(number: Number) -> Self {
        Kept {
            _number: Some(number),
            _held: None,
            _guests: None,
        }
    }

    pub(super) fn held(held: Held) -> Self {
        Kept {
            _number: None,
            _held: Some(held),
            _guests: None,
        }
    }
}

/// The number that a thread of MKL's callers had, put back when this is dropped.
pub(super) struct Number {
    pub own: &'static Own,
    pub before: i32,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.own.put_back(self.before);
    }
}

thread_local! {
    static CALLS: RefCell<Vec<(usize, Kept)>> = const { RefCell::new(Vec::new()) };
    /// The frame of the call of [`forward.rs`](super::forward) that this thread is in; 0 if in none.
    static FORWARDED: Cell<usize> = const { Cell::new(0) };
}

/// To lie in the frame of who makes a call: whatever is called from there has lower frames.
pub(super) struct Mark(pub u8);

impl Mark {
    #[inline]
    fn frame(&self) -> usize {
        // So that it has a place.
        ptr::from_ref(std::hint::black_box(&self.0)).addr()
    }
}

/// A call that is under way, until this is dropped.
pub(super) struct UnderWay {
    /// How many there were before.
    before: usize,
    /// Where a thread at its end has no place any more to keep it in.
    _kept: Option<Kept>,
}

impl UnderWay {
    /// It begins; `keep` says what it has to put back.
    #[inline]
    pub(super) fn begin(mark: &Mark, keep: impl FnOnce() -> Kept) -> Self {
        let here = mark.frame();
        put_back_those_that_were_left(here);
        // The same frame is that of the call that this belongs to.
        if FORWARDED.get() < here {
            FORWARDED.set(0);
        }
        let mut kept = Some(keep());
        let before = CALLS.try_with(|calls| {
            let mut calls = calls.borrow_mut();
            let before = calls.len();
            calls.extend(kept.take().map(|kept| (here, kept)));
            before
        });
        UnderWay {
            before: before.unwrap_or(usize::MAX),
            _kept: kept,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        put_back_from(self.before);
    }
}

/// The call of a routine that dispatch does not cover, until this is dropped; `None` where the thread is in one.
pub(super) struct Forwarded(());

impl Forwarded {
    #[inline]
    pub(super) fn begin(mark: &Mark) -> Option<Self> {
        let here = mark.frame();
        if FORWARDED.get() != 0 {
            see_those_that_were_left(here);
            if FORWARDED.get() != 0 {
                return None;
            }
        }
        FORWARDED.set(here);
        Some(Forwarded(()))
    }
}

impl Drop for Forwarded {
    #[inline]
    fn drop(&mut self) {
        FORWARDED.set(0);
    }
}

/// Puts everything back that calls of this thread have to, because they may not return.
pub(crate) fn settle() {
    put_back_from(0);
    FORWARDED.set(0);
}

/// Puts back what calls of routines that dispatch does not cover have to which were left by a way that unwinds nothing. For calls that
/// have nothing to put back themselves.
#[inline]
pub(super) fn see() {
    if FORWARDED.get() != 0 {
        see_those_that_were_left(Mark(0).frame());
    }
}

/// For a frame in which no call that is kept was begun.
fn see_those_that_were_left(here: usize) {
    put_back_those_that_were_left(here);
    if FORWARDED.get() <= here {
        FORWARDED.set(0);
    }
}

fn put_back_those_that_were_left(here: usize) {
    let first = CALLS.try_with(|calls| calls.borrow().iter().position(|(frame, _)| *frame <= here));
    if let Ok(Some(first)) = first {
        put_back_from(first);
    }
}

/// The innermost first, and outside of the borrow.
fn put_back_from(first: usize) {
    loop {
        let last = CALLS.try_with(|calls| {
            let mut calls = calls.borrow_mut();
            if calls.len() > first {
                calls.pop()
            } else {
                None
            }
        });
        match last {
            Ok(Some(last)) => drop(last),
            _ => return,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn nothing() -> Kept {
        Kept {
            _number: None,
            _held: None,
            _guests: None,
        }
    }

    #[inline(never)]
    fn inner() -> bool {
        Forwarded::begin(&Mark(0)).is_some()
    }

    #[test]
    fn a_call_inside_one_that_keeps_something_is_inside() {
        let mark = Mark(0);
        let outer = Forwarded::begin(&mark);
        assert!(outer.is_some());
        let under_way = UnderWay::begin(&mark, nothing);
        assert!(!inner());
        drop(under_way);
        drop(outer);
        assert!(inner());
    }

    #[test]
    fn a_call_that_was_left_is_over_for_the_next_from_its_frame() {
        let mark = Mark(0);
        std::mem::forget(Forwarded::begin(&mark));
        std::mem::forget(UnderWay::begin(&mark, nothing));
        let next = Forwarded::begin(&mark);
        assert!(next.is_some());
        assert!(CALLS.with_borrow(Vec::is_empty));
    }
}
