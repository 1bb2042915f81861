//! The limits that C has begun, by their handles.
//!
//! Invariants: a handle is given out once, so a stale one is never another's. A limit of process scope is in [`ALL`]; one of
//! thread scope is in its thread's [`HERE`], and [`ALL`] has a mark that says so, as long as it is there: the mark goes when
//! the limit is ended, or when the thread ends, which ends its limits. While a runtime is set, no lock is held but the
//! limit's own, so that who ends it returns when it has ended, whoever asks for its outcome meanwhile.

use super::documents;
use super::status::{Failure, Status};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use threadctl::{Limits, ProcessGuard, ThreadGuard};

/// Where a limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Process,
    Thread,
}

impl Scope {
    /// By its number in `enum threadctl_scope`.
    pub(super) fn of_code(code: c_int) -> Result<Self, Failure> {
        match code {
            0 => Ok(Scope::Process),
            1 => Ok(Scope::Thread),
            _ => Err(Failure::argument(format!(
                "scope {code}: there is THREADCTL_PROCESS (0) and THREADCTL_THREAD (1)"
            ))),
        }
    }
}

enum Entry {
    /// Shared with whoever is asking it for its outcomes; `None` once it has ended.
    Process(Arc<Mutex<Option<ProcessGuard>>>),
    InItsThread,
}

type Entries = HashMap<u64, Entry>;

static ALL: OnceLock<Mutex<Entries>> = OnceLock::new();
static LAST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HERE: RefCell<Here> = RefCell::new(Here(HashMap::new()));
}

/// The limits of a thread.
struct Here(HashMap<u64, ThreadGuard>);

impl Drop for Here {
    fn drop(&mut self) {
        let mut all = all();
        for handle in self.0.keys() {
            all.remove(handle);
        }
    }
}

fn all() -> MutexGuard<'static, Entries> {
    let all = ALL.get_or_init(Mutex::default);
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins limits.
pub(super) fn begin(limits: &Limits, scope: Scope) -> Result<u64, Failure> {
    // Relaxed: it has to be unique, and hands nothing over.
    let handle = || LAST.fetch_add(1, Ordering::Relaxed) + 1;
    match scope {
        Scope::Process => {
            let guard = Arc::new(Mutex::new(Some(limits.limit_process()?)));
            let handle = handle();
            all().insert(handle, Entry::Process(guard));
            Ok(handle)
        }
        Scope::Thread => {
            let guard = limits.limit_thread()?;
            let handle = handle();
            let kept = HERE.try_with(|here| here.borrow_mut().0.insert(handle, guard));
            if kept.is_err() {
                return Err(Failure::new(
                    Status::Unsupported,
                    "this thread is ending: it can begin no more limits of thread scope",
                ));
            }
            all().insert(handle, Entry::InItsThread);
            Ok(handle)
        }
    }
}

/// Ends limits.
pub(super) fn end(handle: u64) -> Result<(), Failure> {
    let here = HERE.try_with(|here| here.borrow_mut().0.remove(&handle));
    if let Ok(Some(guard)) = here {
        all().remove(&handle);
        drop(guard);
        return Ok(());
    }
    let guard = {
        let mut all = all();
        match all.remove(&handle) {
            Some(Entry::Process(guard)) => guard,
            Some(Entry::InItsThread) => {
                all.insert(handle, Entry::InItsThread);
                return Err(elsewhere(handle));
            }
            None => return Err(invalid(handle)),
        }
    };
    drop(guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    Ok(())
}

/// What became of limits.
pub(super) fn outcome(handle: u64) -> Result<String, Failure> {
    let here = HERE.try_with(|here| {
        let here = here.borrow();
        let guard = here.0.get(&handle)?;
        Some(documents::outcomes(
            "thread",
            guard.outcomes(),
            guard.unmatched(),
        ))
    });
    if let Ok(Some(document)) = here {
        return document;
    }
    let guard = match all().get(&handle) {
        Some(Entry::Process(guard)) => Arc::clone(guard),
        Some(Entry::InItsThread) => return Err(elsewhere(handle)),
        None => return Err(invalid(handle)),
    };
    let guard = guard.lock().unwrap_or_else(PoisonError::into_inner);
    let guard = guard.as_ref().ok_or_else(|| invalid(handle))?;
    documents::outcomes("process", guard.outcomes(), guard.unmatched())
}

fn elsewhere(handle: u64) -> Failure {
    Failure::new(
        Status::Thread,
        format!("limit {handle} has thread scope and belongs to another thread: it is ended there"),
    )
}

fn invalid(handle: u64) -> Failure {
    // Handles count up, so what is not there was ended, or never was.
    let known = (1..=LAST.load(Ordering::Relaxed)).contains(&handle);
    let why = if known {
        "has ended before"
    } else {
        "was never begun"
    };
    Failure::new(Status::Handle, format!("limit {handle} {why}"))
}
