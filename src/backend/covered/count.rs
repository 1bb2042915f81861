//! Counting the calls that reach dispatch, for those who want to see it: off unless asked for, since tiny calls would notice.
//!
//! Invariant: the names are those of Fortran, by which the routines inside a library call each other, and of CBLAS.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: Mutex<BTreeMap<(&'static str, &'static str), u64>> = Mutex::new(BTreeMap::new());

/// Notes a call; `*` in the name stands for the letter.
#[inline]
pub(in crate::backend) fn count(pattern: &'static str, letter: &'static str) {
    if COUNTING.load(Ordering::Relaxed) {
        note(pattern, letter);
    }
}

#[cold]
fn note(pattern: &'static str, letter: &'static str) {
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    *calls.entry((pattern, letter)).or_default() += 1;
}

/// Whether calls are counted.
pub(super) fn counts() -> bool {
    COUNTING.load(Ordering::Relaxed)
}

/// Starts counting, from 0, or stops.
pub(in crate::backend) fn switch(on: bool) {
    COUNTING.store(on, Ordering::Relaxed);
    if on {
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        calls.clear();
    }
}

/// How often each routine was called since counting began.
pub(in crate::backend) fn calls() -> BTreeMap<String, u64> {
    let calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    calls
        .iter()
        .map(|((pattern, letter), count)| (pattern.replace('*', letter), *count))
        .collect()
}
