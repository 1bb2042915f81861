//! What limits mean for calls that dispatch shares: how many cores one of them may use.
//!
//! The library behind dispatch uses one thread, whatever its own setter reaches; how many threads a shared call has is
//! dispatch's choice. So limits on such calls are exact in both scopes, on every library: one for a thread holds for the calls
//! of that thread and of no other.
//!
//! Invariants: an entry is here exactly as long as its guard lives, unless the thread that it is for has ended; whoever makes
//! no guards pays for two loads per call. Entries of guards by which dispatch holds the libraries themselves are not here.

use super::plan::{Identity, assign};
use super::select::Request;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The entries of one guard's plan.
type Requests = Arc<[Request]>;

/// How many are in [`PROCESS`].
static ANY: AtomicUsize = AtomicUsize::new(0);
static PROCESS: Mutex<Vec<Requests>> = Mutex::new(Vec::new());

thread_local! {
    /// How many are in [`HERE`].
    static ANY_HERE: Cell<usize> = const { Cell::new(0) };
    static HERE: RefCell<Vec<Requests>> = const { RefCell::new(Vec::new()) };
}

/// A guard for the process begins.
pub(super) fn begin(requests: &Requests) {
    lock().push(Arc::clone(requests));
    // Under the lock's order; who calls meanwhile is before or after this guard.
    ANY.fetch_add(1, Ordering::Release);
}

/// It ends.
pub(super) fn end(requests: &Requests) {
    let mut entries = lock();
    if remove(&mut entries, requests) {
        ANY.fetch_sub(1, Ordering::Release);
    }
}

/// A guard for the calling thread begins.
pub(super) fn begin_here(requests: &Requests) {
    let added = HERE.try_with(|here| here.borrow_mut().push(Arc::clone(requests)));
    if added.is_ok() {
        ANY_HERE.set(ANY_HERE.get() + 1);
    }
}

/// It ends.
pub(super) fn end_here(requests: &Requests) {
    if HERE.try_with(|here| remove(&mut here.borrow_mut(), requests)) == Ok(true) {
        ANY_HERE.set(ANY_HERE.get() - 1);
    }
}

fn lock() -> MutexGuard<'static, Vec<Requests>> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(entries: &mut Vec<Requests>, requests: &Requests) -> bool {
    let place = entries
        .iter()
        .position(|entry| Arc::ptr_eq(entry, requests));
    place.map(|place| entries.swap_remove(place)).is_some()
}

/// The most cores that a shared call of the calling thread may use on the library that `identity` tells of; `None` where nothing
/// limits it.
#[inline]
pub(crate) fn most<'a>(identity: impl FnOnce() -> Identity<'a>) -> Option<u32> {
    if ANY_HERE.get() == 0 && ANY.load(Ordering::Acquire) == 0 {
        return None;
    }
    smallest(&identity())
}

#[cold]
fn smallest(identity: &Identity<'_>) -> Option<u32> {
    let of = |requests: &Requests| {
        let (limits, _) = assign(requests, std::slice::from_ref(identity));
        limits.first().copied().flatten()
    };
    let here = HERE.try_with(|here| here.borrow().iter().filter_map(of).min());
    let process = lock().iter().filter_map(of).min();
    here.ok().flatten().into_iter().chain(process).min()
}
