//! The ledgers of the calling thread: one for each thread-scoped setting that it has limited.
//!
//! Invariant: a slot with entries belongs to guards of this thread, which hold the library, so its key is no other
//! setting's. The store has no destructor, so guards that the thread drops while it ends still find it; with the
//! last guard its memory goes.

use super::ledger::{Book, Grant, Lasting, Value};
use super::target::ThreadTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Saved;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

struct Slot {
    key: usize,
    book: Book<Saved>,
    /// What the ledger of the process-wide setting knows as this thread's own value, where there is such a ledger.
    registered: Cell<Option<u32>>,
}

type Slots = SmallVec<[Slot; 2]>;

thread_local! {
    static SLOTS: ManuallyDrop<RefCell<Slots>> = ManuallyDrop::new(RefCell::default());
}

/// A thread's setting, no larger than the limit of the process where there is one.
struct LocalValue<'a> {
    target: &'a ThreadTarget,
    registered: &'a Cell<Option<u32>>,
}

impl Value for LocalValue<'_> {
    type Saved = Saved;

    fn save(&self) -> Saved {
        self.target.setting.save()
    }

    fn get(&self) -> u32 {
        self.target.setting.get()
    }

    fn set(&self, threads: u32) {
        let setting = &self.target.setting;
        match &self.target.process {
            Some(ledger) => {
                let applied = ledger.set_local(self.registered.get(), threads, |threads| {
                    setting.set(threads)
                });
                self.registered.set(Some(applied));
            }
            None => setting.set(threads),
        }
    }

    fn restore(&self, saved: Saved) {
        let setting = &self.target.setting;
        match &self.target.process {
            Some(ledger) => ledger.clear_local(self.registered.take(), || setting.restore(saved)),
            None => setting.restore(saved),
        }
    }
}

/// Adds a limit for the calling thread.
pub(super) fn acquire(target: &ThreadTarget, limit: u32) -> Result<Grant> {
    with_slots(|slots| {
        let slot = slot_for(slots, target.setting.key());
        let value = LocalValue {
            target,
            registered: &slot.registered,
        };
        let nested = !slot.book.is_empty();
        let mut grant = slot.book.acquire(&value, limit);
        if target.process.is_some() {
            // The limit of the process may have changed since this thread's value was set.
            if nested {
                grant = slot.book.renew(&value).unwrap_or(grant);
            }
            grant.smallest = slot.registered.get().unwrap_or(grant.smallest);
        }
        grant
    })
    .ok_or_else(busy)
}

/// Takes a limit away that [`acquire`] added in this thread.
pub(super) fn release(target: &ThreadTarget, limit: u32) {
    with_slots(|slots| {
        let key = target.setting.key();
        let Some(at) = slots.iter().position(|slot| slot.key == key) else {
            return;
        };
        let slot = &mut slots[at];
        let value = LocalValue {
            target,
            registered: &slot.registered,
        };
        slot.book.release(&value, limit);
        if slot.book.is_empty() {
            slots.swap_remove(at);
            if slots.is_empty() && slots.spilled() {
                slots.shrink_to_fit();
            }
        }
    });
}

/// Sets the calling thread's value again, after the limit of the process has changed; whether it has one.
pub(super) fn refresh(target: &ThreadTarget) -> bool {
    let refreshed = with_slots(|slots| {
        let key = target.setting.key();
        let slot = slots.iter_mut().find(|slot| slot.key == key)?;
        let value = LocalValue {
            target,
            registered: &slot.registered,
        };
        slot.book.renew(&value)
    });
    refreshed.flatten().is_some()
}

/// A lasting change of the calling thread's value, at once or when its last limit goes.
pub(super) fn set_lasting(target: &ThreadTarget, threads: u32) -> Result<Lasting> {
    with_slots(|slots| {
        let key = target.setting.key();
        let slot = slots.iter_mut().find(|slot| slot.key == key);
        let setting = &target.setting;
        let later = slot.and_then(|slot| {
            let value = LocalValue {
                target,
                registered: &slot.registered,
            };
            (!slot.book.is_empty())
                .then(|| slot.book.set_lasting(&value, threads))
                .flatten()
        });
        match later {
            Some(grant) => Lasting::Later(grant),
            None => {
                setting.set(threads);
                Lasting::Now(setting.get())
            }
        }
    })
    .ok_or_else(busy)
}

fn slot_for(slots: &mut Slots, key: usize) -> &mut Slot {
    let at = slots
        .iter()
        .position(|slot| slot.key == key)
        .unwrap_or_else(|| {
            slots.push(Slot {
                key,
                book: Book::default(),
                registered: Cell::new(None),
            });
            slots.len() - 1
        });
    &mut slots[at]
}

/// `None` when this thread is inside here already: a controller of the user's own that makes guards itself.
fn with_slots<T>(work: impl FnOnce(&mut Slots) -> T) -> Option<T> {
    SLOTS
        .try_with(|slots| {
            slots
                .try_borrow_mut()
                .ok()
                .map(|mut slots| work(&mut slots))
        })
        .ok()
        .flatten()
}

fn busy() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "a controller must not make limits while it is asked or set itself",
    )
}
