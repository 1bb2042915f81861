//! The ledger of one setting: which limits are alive, what is in force, what comes back when the last one goes.
//!
//! Invariants, at every moment at which the lock is free (README.md proves them):
//! - I1: limits are alive if and only if an original is kept.
//! - I2: while limits are alive, the last value that was set is the smallest of them.
//! - I3: when none is alive, the setting is as it was found, or as a lasting change made it.
//! - I4: a setting that was never limited is never written.
//!
//! The setting is read and written only under the lock, so I2 holds at every moment for whoever looks at it, not only
//! for whoever takes the lock. A panic in the setting's own code (a controller of the user's) breaks I2 and I3 for
//! that setting until the next change, and nothing else.

use crate::sync::{Mutex, MutexGuard, lock};
use smallvec::SmallVec;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A number that can be read, set, and put back. The ledger's user gives it access to nobody else.
pub trait Value {
    /// What has to be handed back to restore it.
    type Saved: Copy;
    /// What [`restore`](Value::restore) needs to bring the present state back.
    fn save(&self) -> Self::Saved;
    /// The number that counts now.
    fn get(&self) -> u32;
    /// Asks for another number; which one it became, `get` tells.
    fn set(&self, threads: u32);
    /// Brings a saved state back.
    fn restore(&self, saved: Self::Saved);
}

/// What a limit got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The limit in force: the smallest of those alive.
    pub smallest: u32,
    /// What the setting made of it, read back.
    pub effective: u32,
}

/// How many limits of each size are alive. Limits of one size are exchangeable, so they need no names.
#[derive(Debug, Default)]
pub struct Counted(SmallVec<[(u32, u32); 4]>);

impl Counted {
    fn add(&mut self, limit: u32) {
        match self.0.binary_search_by_key(&limit, |entry| entry.0) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (limit, 1)),
        }
    }

    /// Whether there was one to remove.
    fn remove(&mut self, limit: u32) -> bool {
        let Ok(at) = self.0.binary_search_by_key(&limit, |entry| entry.0) else {
            return false;
        };
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.remove(at);
        }
        true
    }

    fn smallest(&self) -> Option<u32> {
        self.0.first().map(|entry| entry.0)
    }

    fn above(&self, limit: u32) -> u32 {
        self.0
            .iter()
            .filter(|entry| entry.0 > limit)
            .map(|entry| entry.1)
            .sum()
    }
}

/// What comes back when the last limit goes.
#[derive(Debug, Clone, Copy)]
enum Original<S> {
    /// The state that the first limit found.
    Saved(S),
    /// A lasting change that was asked for meanwhile.
    Asked(u32),
}

/// The ledger without its lock: whoever has it alone may use it as it is, as threads do for their own settings.
#[derive(Debug)]
pub struct Book<S> {
    alive: Counted,
    original: Option<Original<S>>,
    effective: u32,
}

impl<S> Default for Book<S> {
    fn default() -> Self {
        Book {
            alive: Counted::default(),
            original: None,
            effective: 0,
        }
    }
}

impl<S: Copy> Book<S> {
    /// Adds a limit. The book changes last, and a panic of `value` undoes what was set: nothing is added then.
    pub fn acquire(&mut self, value: &impl Value<Saved = S>, limit: u32) -> Grant {
        let smallest = match self.alive.smallest() {
            None => {
                let saved = value.save();
                let undo = Undo(|| value.restore(saved));
                value.set(limit);
                self.effective = value.get();
                undo.not_needed();
                self.original = Some(Original::Saved(saved));
                limit
            }
            Some(smallest) if limit < smallest => {
                let undo = Undo(|| value.set(smallest));
                value.set(limit);
                let effective = value.get();
                undo.not_needed();
                self.effective = effective;
                limit
            }
            Some(smallest) => smallest,
        };
        self.alive.add(limit);
        Grant {
            smallest,
            effective: self.effective,
        }
    }

    /// Takes a limit away that [`acquire`](Book::acquire) added. The book changes first, so that a panic of `value`
    /// does not keep the limit alive.
    pub fn release(&mut self, value: &impl Value<Saved = S>, limit: u32) {
        if !self.alive.remove(limit) {
            return;
        }
        match self.alive.smallest() {
            None => match self.original.take() {
                Some(Original::Saved(saved)) => value.restore(saved),
                Some(Original::Asked(threads)) => value.set(threads),
                None => {}
            },
            Some(smallest) if smallest > limit => {
                value.set(smallest);
                self.effective = value.get();
            }
            Some(_) => {}
        }
    }

    /// Sets the smallest limit again, for a value that also depends on something else. `None` when none is alive.
    pub fn renew(&mut self, value: &impl Value<Saved = S>) -> Option<Grant> {
        let smallest = self.alive.smallest()?;
        value.set(smallest);
        self.effective = value.get();
        Some(Grant {
            smallest,
            effective: self.effective,
        })
    }

    /// A lasting change: at once when no limit is alive (`None`), otherwise when the last one goes; then the grant is
    /// that of the limits.
    pub fn set_lasting(&mut self, value: &impl Value<Saved = S>, threads: u32) -> Option<Grant> {
        let Some(smallest) = self.alive.smallest() else {
            value.set(threads);
            return None;
        };
        self.original = Some(Original::Asked(threads));
        Some(Grant {
            smallest,
            effective: self.effective,
        })
    }

    /// The smallest limit alive.
    pub fn smallest(&self) -> Option<u32> {
        self.alive.smallest()
    }

    /// Whether no limit is alive.
    pub fn is_empty(&self) -> bool {
        self.alive.smallest().is_none()
    }
}

/// Runs its function when it is dropped by a panic of foreign code.
struct Undo<F: FnMut()>(F);

impl<F: FnMut()> Undo<F> {
    fn not_needed(self) {
        std::mem::forget(self);
    }
}

impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        // The same foreign code may panic again, which must not end the process.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(&mut self.0)) {
            std::mem::forget(payload);
        }
    }
}

/// The ledger of one process-wide setting.
#[derive(Debug)]
pub struct Ledger<V: Value> {
    value: V,
    state: Mutex<State<V::Saved>>,
}

#[derive(Debug)]
struct State<S> {
    book: Book<S>,
    /// What threads have set for themselves, where such a setting goes before this one (MKL).
    locals: Counted,
}

impl<V: Value> Ledger<V> {
    /// An empty ledger; does not touch the value.
    pub fn new(value: V) -> Self {
        Ledger {
            value,
            state: Mutex::new(State {
                book: Book::default(),
                locals: Counted::default(),
            }),
        }
    }

    /// Adds a limit, and does something more under the lock. Besides the grant it returns what
    /// [`locals_above`](Ledger::locals_above) would.
    pub fn acquire_and(&self, limit: u32, also: impl FnOnce()) -> (Grant, u32) {
        let mut state = self.locked();
        let grant = state.book.acquire(&self.value, limit);
        also();
        (grant, state.locals.above(limit))
    }

    /// Takes a limit away that [`acquire_and`](Ledger::acquire_and) added, after something more under the lock, which is done
    /// even if the setting's code panics.
    pub fn release_and(&self, limit: u32, also: impl FnOnce()) {
        let mut state = self.locked();
        also();
        state.book.release(&self.value, limit);
    }

    /// Adds a limit.
    #[cfg(any(loom, test))]
    pub fn acquire(&self, limit: u32) -> Grant {
        self.acquire_and(limit, || ()).0
    }

    /// Takes a limit away that [`acquire`](Ledger::acquire) added.
    #[cfg(any(loom, test))]
    pub fn release(&self, limit: u32) {
        self.release_and(limit, || ());
    }

    /// A lasting change, at once or when the last limit goes, and what is in force after it.
    pub fn set_lasting(&self, threads: u32) -> Lasting {
        let mut state = self.locked();
        match state.book.set_lasting(&self.value, threads) {
            Some(grant) => Lasting::Later(grant),
            None => Lasting::Now(self.value.get()),
        }
    }

    /// Lets a thread set its own value, which goes before this one: no more than the limit in force here. `old` is
    /// what it had set before. Returns what `set` was given.
    pub fn set_local(&self, old: Option<u32>, threads: u32, set: impl FnOnce(u32)) -> u32 {
        let mut state = self.locked();
        let applied = state
            .book
            .smallest()
            .map_or(threads, |limit| limit.min(threads));
        set(applied);
        if let Some(old) = old {
            state.locals.remove(old);
        }
        state.locals.add(applied);
        applied
    }

    /// Lets a thread put back what it set by [`set_local`](Ledger::set_local).
    pub fn clear_local(&self, old: Option<u32>, restore: impl FnOnce()) {
        let mut state = self.locked();
        if let Some(old) = old {
            state.locals.remove(old);
        }
        restore();
    }

    /// How many threads have set themselves more than `limit`.
    pub fn locals_above(&self, limit: u32) -> u32 {
        self.locked().locals.above(limit)
    }

    /// What is limited; for tests, which look at it from outside.
    #[cfg(any(loom, test))]
    pub fn value(&self) -> &V {
        &self.value
    }

    /// Shows the value and the smallest limit alive to `look`, under the lock.
    #[cfg(loom)]
    pub fn inspect<T>(&self, look: impl FnOnce(&V, Option<u32>) -> T) -> T {
        let state = self.locked();
        look(&self.value, state.book.smallest())
    }

    fn locked(&self) -> MutexGuard<'_, State<V::Saved>> {
        lock(&self.state)
    }
}

/// When a lasting change takes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// It did; this is what it became.
    Now(u32),
    /// When the last limit goes; this is in force until then.
    Later(Grant),
}
