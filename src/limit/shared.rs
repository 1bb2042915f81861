//! What limits mean for calls that dispatch shares: how many cores one of them may use.
//!
//! The library behind dispatch uses one thread, whatever its own setter reaches; how many threads a shared call has is
//! dispatch's choice. So limits on such calls are exact in both scopes, on every library: one for a thread holds for the calls
//! of that thread and of no other.
//!
//! A guard costs one addition here and one subtraction, since its plan keeps its place: it is listed with its first guard for
//! the process, and struck off when it and its guards are gone. Where the plan has a lock that each of its guards takes anyway,
//! they are ordered by it, and the count need not be changed by atomic operations, each of which costs as much as the library's
//! own setter.
//!
//! A call asks without a lock: each thread keeps what holds for the process as it was when it last changed.
//!
//! Invariants: a guard is counted as long as it lives, unless the thread that it is for has ended; where no plan has made
//! guards, a call pays for two loads. [`CHANGES`] is counted up under the lock with every change of [`PLANS`], so that who has seen
//! the newest number has what is in force. Plans by which dispatch holds the libraries themselves are not here. What stands
//! ([`stand`]) counts for a library that no guard means.

use super::plan::{Identity, assign};
use super::select::{Limits, Request};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there are in [`PLANS`], what stands included.
static LISTED: AtomicUsize = AtomicUsize::new(0);
/// How often [`PLANS`] has changed.
static CHANGES: AtomicUsize = AtomicUsize::new(0);
static PLANS: Mutex<Plans> = Mutex::new(Plans::NONE);

/// What holds for the process.
#[derive(Clone)]
struct Plans {
    /// Those that have made guards for the process.
    guarded: Vec<Arc<Entries>>,
    /// What holds where no guard says otherwise.
    standing: Option<Arc<[Request]>>,
}

impl Plans {
    const NONE: Plans = Plans {
        guarded: Vec::new(),
        standing: None,
    };

    /// Under the lock, after each change.
    fn changed(&self) {
        let count = self.guarded.len() + usize::from(self.standing.is_some());
        CHANGES.fetch_add(1, Ordering::Release);
        LISTED.store(count, Ordering::Release);
    }

    /// The limit for that library, of guards, and else of what stands.
    fn smallest(&self, here: Option<u32>, identity: &Identity<'_>) -> Option<u32> {
        let alive = (self.guarded.iter()).filter(|plan| plan.alive.load(Ordering::Acquire) > 0);
        let process = alive.filter_map(|plan| limit(&plan.requests, identity));
        let guards = here.into_iter().chain(process).min();
        guards.or_else(|| limit(self.standing.as_ref()?, identity))
    }
}

fn limit(requests: &[Request], identity: &Identity<'_>) -> Option<u32> {
    let (limits, _) = assign(requests, std::slice::from_ref(identity));
    limits.first().copied().flatten()
}

thread_local! {
    /// [`PLANS`] as they were after so many changes.
    static SEEN: RefCell<(usize, Plans)> = const { RefCell::new((0, Plans::NONE)) };
    /// How many guards for this thread are alive.
    static ANY_HERE: Cell<usize> = const { Cell::new(0) };
    /// Of which plans they are, and how many of each. One with none keeps its place until another needs one: mostly it comes
    /// again.
    static HERE: RefCell<Vec<(Arc<Entries>, usize)>> = const { RefCell::new(Vec::new()) };
}

/// A plan's entries.
#[derive(Debug)]
struct Entries {
    requests: Vec<Request>,
    /// How many of its guards for the process are alive.
    alive: AtomicUsize,
    /// Whether it is in [`PLANS`].
    listed: AtomicBool,
}

/// A plan's place here. Its guards keep the plan, and so this.
#[derive(Debug)]
pub(super) struct Shared(Arc<Entries>);

impl Shared {
    pub(super) fn new(requests: Vec<Request>) -> Self {
        Shared(Arc::new(Entries {
            requests,
            alive: AtomicUsize::new(0),
            listed: AtomicBool::new(false),
        }))
    }

    /// A guard for the process begins. Who calls meanwhile is before or after it.
    #[inline]
    pub(super) fn begin(&self) {
        if !self.0.listed.load(Ordering::Acquire) {
            self.list();
        }
        self.0.alive.fetch_add(1, Ordering::Release);
    }

    /// [`begin`](Shared::begin) for a plan whose guards all begin and end under one lock, which the caller has.
    #[inline]
    pub(super) fn begin_locked(&self) {
        if !self.0.listed.load(Ordering::Acquire) {
            self.list();
        }
        let alive = self.0.alive.load(Ordering::Relaxed);
        self.0.alive.store(alive + 1, Ordering::Release);
    }

    /// The guard of [`begin_locked`](Shared::begin_locked) ends; the caller has that lock.
    #[inline]
    pub(super) fn end_locked(&self) {
        let alive = self.0.alive.load(Ordering::Relaxed);
        self.0.alive.store(alive - 1, Ordering::Release);
    }

    #[cold]
    fn list(&self) {
        let mut plans = lock();
        // Unless another thread was here first.
        if !self.0.listed.load(Ordering::Relaxed) {
            plans.guarded.push(Arc::clone(&self.0));
            plans.changed();
            self.0.listed.store(true, Ordering::Release);
        }
    }

    /// It ends.
    #[inline]
    pub(super) fn end(&self) {
        self.0.alive.fetch_sub(1, Ordering::Release);
    }

    /// A guard for the calling thread begins.
    #[inline]
    pub(super) fn begin_here(&self) {
        let added = HERE.try_with(|here| {
            let mut here = here.borrow_mut();
            match here.iter_mut().find(|(plan, _)| Arc::ptr_eq(plan, &self.0)) {
                Some((_, alive)) => *alive += 1,
                None => self.settle_here(&mut here),
            }
        });
        if added.is_ok() {
            ANY_HERE.set(ANY_HERE.get() + 1);
        }
    }

    #[cold]
    fn settle_here(&self, here: &mut Vec<(Arc<Entries>, usize)>) {
        here.retain(|(_, alive)| *alive > 0);
        here.push((Arc::clone(&self.0), 1));
    }

    /// It ends.
    #[inline]
    pub(super) fn end_here(&self) {
        let removed = HERE.try_with(|here| {
            let mut here = here.borrow_mut();
            let alive = here.iter_mut().find_map(|(plan, alive)| {
                (Arc::ptr_eq(plan, &self.0) && *alive > 0).then_some(alive)
            });
            alive.map(|alive| *alive -= 1).is_some()
        });
        if removed == Ok(true) {
            ANY_HERE.set(ANY_HERE.get() - 1);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.0.listed.load(Ordering::Acquire) {
            let mut plans = lock();
            plans.guarded.retain(|plan| !Arc::ptr_eq(plan, &self.0));
            plans.changed();
        }
    }
}

/// What holds in the process where no guard says otherwise, from now on: `THREADCTL_LIMITS`. Names that could not be a plan's
/// leave nothing to hold.
pub(crate) fn stand(limits: Option<&Limits>) {
    // As a plan has them, with links resolved.
    let requests = limits.and_then(|limits| limits.checked().ok());
    let mut plans = lock();
    plans.standing = requests.map(Arc::from);
    plans.changed();
}

fn lock() -> MutexGuard<'static, Plans> {
    PLANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most cores that a shared call of the calling thread may use on the library that `identity` tells of; `None` where nothing
/// limits it.
#[inline]
pub(crate) fn most<'a>(identity: impl FnOnce() -> Identity<'a>) -> Option<u32> {
    if ANY_HERE.get() == 0 && LISTED.load(Ordering::Acquire) == 0 {
        return None;
    }
    smallest(&identity())
}

#[cold]
fn smallest(identity: &Identity<'_>) -> Option<u32> {
    let here = HERE.try_with(|here| {
        let here = here.borrow();
        let alive = here.iter().filter(|(_, alive)| *alive > 0);
        alive
            .filter_map(|(plan, _)| limit(&plan.requests, identity))
            .min()
    });
    let here = here.ok().flatten();
    if LISTED.load(Ordering::Acquire) == 0 {
        return here;
    }
    let seen = SEEN.try_with(|seen| {
        let mut seen = seen.borrow_mut();
        let (changes, plans) = &mut *seen;
        if *changes != CHANGES.load(Ordering::Acquire) {
            let new = lock();
            *plans = new.clone();
            *changes = CHANGES.load(Ordering::Relaxed);
        }
        plans.smallest(here, identity)
    });
    // A thread that ends has no place any more to keep them in.
    seen.unwrap_or_else(|_| lock().smallest(here, identity))
}
