//! The buffers of an OpenBLAS, given out in a way that bears what the library itself does not.
//!
//! Each of its routines takes a buffer from a table of its own (`blas_memory_alloc`) and gives it back. Two things go wrong there:
//! - Without threads and without locks, two callers at once can get the same one, and then compute wrong numbers. All its other state is
//!   settled when it is loaded, so a lock around those two functions is all that its build option for concurrent callers
//!   (`USE_LOCKING`) adds.
//! - With locks, a child that is forked while another thread has one waits for ever at its first call. So whoever forks waits until
//!   nobody is in these functions, and meanwhile nobody begins one.
//!
//! It calls them by name, through slots that can be led elsewhere (`rebind.rs`).
//!
//! Invariants: a pair of functions here belongs to one library, which is never unloaded; each library's table is used under
//! its lock only, or counted, once its slots are bound; nothing is called there but the library's own function, which calls
//! nobody back; in a forked child nobody is there, whatever the parent's threads did (the buffers that they had are lost to the child, no
//! more).

use super::call::GetInt;
use super::gate::{Gate, watch_forks};
use super::library::Library;
use super::objects::{self, LoadedObject};
use super::rebind::{rebind, values};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

const ALLOC: &str = "blas_memory_alloc";
const FREE: &str = "blas_memory_free";
/// Ends the library's threads, which it starts again when it needs them; its own handler of forks does that.
const SHUTDOWN: &str = "blas_thread_shutdown_";

/// What `openblas_get_parallel` says of a build with threads of its own (`OPENBLAS_THREAD`).
const PTHREADS: c_int = 1;

type Alloc = unsafe extern "C" fn(c_int) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Shutdown = unsafe extern "C" fn() -> c_int;

/// What the library needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A lock: it has none.
    Lock,
    /// That nobody forks meanwhile.
    NoFork,
}

/// The table of one library.
struct Table {
    /// It has a lock of its own.
    has_lock: AtomicBool,
    taken: AtomicBool,
    /// Who is in its functions.
    gate: Gate,
    /// Its own functions; 0 until a library has this table.
    alloc: AtomicUsize,
    free: AtomicUsize,
    /// 0 where it has none.
    shutdown: AtomicUsize,
}

/// As many such libraries as a process can have: narrow and wide integers, and some more.
static TABLES: [Table; 6] = [const {
    Table {
        has_lock: AtomicBool::new(false),
        taken: AtomicBool::new(false),
        gate: Gate::new(),
        alloc: AtomicUsize::new(0),
        free: AtomicUsize::new(0),
        shutdown: AtomicUsize::new(0),
    }
}; 6];

/// The functions that stand before those of the library of each table.
const BEFORE: [(Alloc, Free); 6] = [
    (alloc::<0>, free::<0>),
    (alloc::<1>, free::<1>),
    (alloc::<2>, free::<2>),
    (alloc::<3>, free::<3>),
    (alloc::<4>, free::<4>),
    (alloc::<5>, free::<5>),
];

impl Table {
    fn guarded<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.has_lock.load(Ordering::Relaxed) {
            self.gate.enter();
            let result = work();
            self.gate.leave();
            return result;
        }
        // Held for some hundred instructions, so those who wait keep asking, as they do in OpenBLAS's own lock.
        while self.taken.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        let result = work();
        self.taken.store(false, Ordering::Release);
        result
    }
}

unsafe extern "C" fn alloc<const N: usize>(position: c_int) -> *mut c_void {
    let table = &TABLES[N];
    let own = table.alloc.load(Ordering::Acquire);
    // SAFETY: slots lead here after `claim` has written the library's own function, which has this type.
    let own = unsafe { std::mem::transmute::<usize, Alloc>(own) };
    // SAFETY: the caller is the library, which would have called it so.
    table.guarded(|| unsafe { own(position) })
}

unsafe extern "C" fn free<const N: usize>(buffer: *mut c_void) {
    let table = &TABLES[N];
    let own = table.free.load(Ordering::Acquire);
    // SAFETY: as in `alloc`.
    let own = unsafe { std::mem::transmute::<usize, Free>(own) };
    // SAFETY: the caller is the library, which would have called it so.
    table.guarded(|| unsafe { own(buffer) });
}

pub(super) fn gates() -> impl Iterator<Item = &'static Gate> {
    TABLES.iter().map(|table| &table.gate)
}

/// Before a fork: the libraries' own threads give their buffers back when they end, and are to end before it. A library's handler waits
/// for that, and may come after ours.
pub(super) fn end_threads() {
    for table in &TABLES {
        let shutdown = table.shutdown.load(Ordering::Acquire);
        if shutdown != 0 {
            // SAFETY: what `claim` wrote: the library's function of this name, which its own handler calls at this very moment too.
            unsafe { std::mem::transmute::<usize, Shutdown>(shutdown)() };
        }
    }
}

/// In a child that was forked while another thread had a lock nobody would ever give it back.
pub(super) fn give_back() {
    for table in &TABLES {
        table.taken.store(false, Ordering::Relaxed);
    }
}

/// The functions to be called in place of a library's own; the same ones when asked again.
fn claim(need: Need, own_alloc: usize, own_free: usize, shutdown: usize) -> Option<(Alloc, Free)> {
    static CLAIM: Mutex<()> = Mutex::new(());
    let _claim = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = |table: &Table| [0, own_alloc].contains(&table.alloc.load(Ordering::Acquire));
    let index = TABLES.iter().position(is_ours)?;
    let table = &TABLES[index];
    table
        .has_lock
        .store(need == Need::NoFork, Ordering::Relaxed);
    table.shutdown.store(shutdown, Ordering::Release);
    table.free.store(own_free, Ordering::Release);
    table.alloc.store(own_alloc, Ordering::Release);
    Some(BEFORE[index])
}

/// Has the buffers of an OpenBLAS given out as it needs, to itself and to `library`, which may be linked with it
/// rather than be it. Returns whether that could be done: the library must take its buffers by name.
///
/// # Safety
/// Both stay loaded for good, and what is called `blas_memory_alloc` there is OpenBLAS's.
pub(crate) unsafe fn guard_buffers(library: &Library, need: Need) -> bool {
    let address = |name| library.symbol(name).map(|it| it.as_ptr() as usize);
    let (Some(own_alloc), Some(own_free)) = (address(ALLOC), address(FREE)) else {
        return false;
    };
    let owner = objects::origin(own_alloc);
    // There are few tables: one that calls its own functions directly has no use for any.
    // Whether it calls the other one by name too is seen when both are bound.
    let Some(owner) = owner.filter(|owner| !values(owner, ALLOC).is_empty()) else {
        return false;
    };
    watch_forks();
    // SAFETY: OpenBLAS declares it so.
    let parallel = unsafe { GetInt::find(library, "openblas_get_parallel") };
    // That of OpenMP builds takes from those that compute what they compute with.
    // SAFETY: the library stays loaded.
    let kind = parallel.map(|parallel| unsafe { parallel.call() });
    let has_threads = kind == Some(PTHREADS);
    let shutdown = has_threads.then(|| address(SHUTDOWN)).flatten();
    let shutdown = shutdown.unwrap_or(0);
    let Some((alloc, free)) = claim(need, own_alloc, own_free, shutdown) else {
        return false;
    };
    let bind = |object: &LoadedObject| {
        let targets = [(ALLOC, alloc as usize), (FREE, free as usize)];
        // SAFETY: our caller's promise; each function does what that of its name does.
        unsafe { rebind(object, &targets) }.unwrap_or(0)
    };
    let bound = bind(&owner);
    if let Some(own) = library.handle().and_then(objects::of_handle)
        && own.base != owner.base
    {
        bind(&own);
    }
    // One reference to each, from which all its calls go.
    bound >= 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_library_has_one_table_and_another_has_another() {
        let addresses = |own: usize| {
            let (alloc, free) = claim(Need::Lock, own, own + 1, 0).unwrap();
            (alloc as usize, free as usize)
        };
        let first = addresses(16);
        assert_eq!(first, addresses(16));
        assert_ne!(first, addresses(32));
        assert_eq!(TABLES[0].alloc.load(Ordering::Relaxed), 16);
        for own in 3..=TABLES.len() {
            claim(Need::Lock, 16 * own, 16 * own, 0).unwrap();
        }
        let another = claim(Need::Lock, 1 << 10, 1 << 10, 0);
        assert!(another.is_none(), "a seventh library cannot be bound");
    }
}
