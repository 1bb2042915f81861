//! The settings of real runtimes as the ledgers see them, and the one ledger that each process-wide setting has.
//!
//! Invariant: while a ledger has entries, it is the only one for its key, and its library is loaded: guards hold the
//! ledger, and the ledger holds the runtime.

use super::ledger::{Ledger, Value};
use crate::runtime::{Runtime, Saved, Setting};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The ledger of a process-wide setting.
pub(super) type ProcessLedger = Ledger<ProcessValue>;

/// A process-wide setting.
#[derive(Debug)]
pub(super) struct ProcessValue {
    setting: Setting,
    /// The setting by which a thread hides this one from itself.
    local: Option<Setting>,
    /// Keeps what is known of the library as well as the library: with it goes a controller of the user's own, by
    /// which the setting is recognised.
    _runtime: Runtime,
}

impl ProcessValue {
    /// What `ask` reads must be the process's value, not one that the calling thread has for itself.
    fn asked<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.local {
            Some(local) => local.aside(ask),
            None => ask(),
        }
    }
}

impl Value for ProcessValue {
    type Saved = Saved;

    fn save(&self) -> Saved {
        self.asked(|| self.setting.save())
    }

    fn get(&self) -> u32 {
        self.asked(|| self.setting.get())
    }

    fn set(&self, threads: u32) {
        self.setting.set(threads);
    }

    fn restore(&self, saved: Saved) {
        self.setting.restore(saved);
    }
}

/// How a limit for the process is set.
#[derive(Debug, Clone)]
pub(super) struct ProcessTarget {
    pub ledger: Arc<ProcessLedger>,
    /// The thread's setting that goes before it.
    pub local: Option<ThreadTarget>,
}

/// How a limit for a thread is set.
#[derive(Debug, Clone)]
pub(super) struct ThreadTarget {
    pub setting: Setting,
    /// The ledger of the process-wide setting that it goes before.
    pub process: Option<Arc<ProcessLedger>>,
    _runtime: Runtime,
}

impl ProcessTarget {
    /// That of a runtime that has one.
    pub(super) fn of(runtime: &Runtime) -> Option<Self> {
        Some(ProcessTarget {
            ledger: ledger_of(runtime)?,
            local: ThreadTarget::of(runtime),
        })
    }
}

impl ThreadTarget {
    /// That of a runtime that has one.
    pub(super) fn of(runtime: &Runtime) -> Option<Self> {
        Some(ThreadTarget {
            setting: runtime.thread_setting()?.clone(),
            process: ledger_of(runtime),
            _runtime: runtime.clone(),
        })
    }
}

/// Every ledger that somebody holds.
static LEDGERS: Mutex<Vec<(usize, Weak<ProcessLedger>)>> = Mutex::new(Vec::new());

fn ledger_of(runtime: &Runtime) -> Option<Arc<ProcessLedger>> {
    let setting = runtime.process_setting()?;
    let key = setting.key();
    let mut ledgers = LEDGERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody holds it, so it has no entries, and its library may be gone: the key can be another setting's by now.
    ledgers.retain(|(_, ledger)| ledger.strong_count() > 0);
    let known = ledgers.iter().find(|(known, _)| *known == key);
    if let Some(ledger) = known.and_then(|(_, ledger)| ledger.upgrade()) {
        return Some(ledger);
    }
    let ledger = Arc::new(Ledger::new(ProcessValue {
        setting: setting.clone(),
        local: runtime.thread_setting().cloned(),
        _runtime: runtime.clone(),
    }));
    ledgers.push((key, Arc::downgrade(&ledger)));
    Some(ledger)
}
