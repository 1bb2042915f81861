//! The buffers of an OpenBLAS that was built without threads and without locks, given out under a lock.
//!
//! Each of its routines takes a buffer from a table of its own (`blas_memory_alloc`) and gives it back. Without a lock two
//! callers at once can get the same one, and then compute wrong numbers. All its other state is settled when it is loaded, so
//! a lock around those two functions is all that its build option for concurrent callers (`USE_LOCKING`) adds. It calls them
//! by name, through slots that can be led elsewhere (`rebind.rs`).
//!
//! Invariants: a pair of functions here belongs to one library, which is never unloaded; each library's table is used under
//! its lock only, once its slots are bound; nothing is called under the lock but the library's own function, which calls
//! nobody back; in a forked child the lock is free, whatever the parent's threads did (what one of them was about to take
//! is lost to the child, no more).

use super::library::Library;
use super::objects::{self, LoadedObject};
use super::rebind::rebind;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

const ALLOC: &str = "blas_memory_alloc";
const FREE: &str = "blas_memory_free";

type Alloc = unsafe extern "C" fn(c_int) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);

/// The table of one library.
struct Table {
    taken: AtomicBool,
    /// Its own functions; 0 until a library has this table.
    alloc: AtomicUsize,
    free: AtomicUsize,
}

/// As many such libraries as a process can have: narrow and wide integers, and two more.
static TABLES: [Table; 4] = [const {
    Table {
        taken: AtomicBool::new(false),
        alloc: AtomicUsize::new(0),
        free: AtomicUsize::new(0),
    }
}; 4];

/// The functions that stand before those of the library of each table.
const BEFORE: [(Alloc, Free); 4] = [
    (alloc::<0>, free::<0>),
    (alloc::<1>, free::<1>),
    (alloc::<2>, free::<2>),
    (alloc::<3>, free::<3>),
];

impl Table {
    fn locked<R>(&self, work: impl FnOnce() -> R) -> R {
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
    table.locked(|| unsafe { own(position) })
}

unsafe extern "C" fn free<const N: usize>(buffer: *mut c_void) {
    let table = &TABLES[N];
    let own = table.free.load(Ordering::Acquire);
    // SAFETY: as in `alloc`.
    let own = unsafe { std::mem::transmute::<usize, Free>(own) };
    // SAFETY: the caller is the library, which would have called it so.
    table.locked(|| unsafe { own(buffer) });
}

/// In a child that was forked while another thread had a lock nobody would ever give it back.
extern "C" fn in_child() {
    for table in &TABLES {
        table.taken.store(false, Ordering::Relaxed);
    }
}

/// The functions to be called in place of a library's own; the same ones when asked again.
fn claim(own_alloc: usize, own_free: usize) -> Option<(Alloc, Free)> {
    static CLAIM: Mutex<()> = Mutex::new(());
    static WATCHING: Once = Once::new();
    // SAFETY: the handler only stores to atomics, which is allowed in a forked child. If it cannot be registered for want of
    // memory, a child that was forked at such a moment waits.
    WATCHING.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
    let _claim = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = |table: &Table| [0, own_alloc].contains(&table.alloc.load(Ordering::Acquire));
    let index = TABLES.iter().position(is_ours)?;
    TABLES[index].free.store(own_free, Ordering::Release);
    TABLES[index].alloc.store(own_alloc, Ordering::Release);
    Some(BEFORE[index])
}

/// Has the buffers of a serial OpenBLAS given out under a lock, to itself and to `library`, which may be linked with it
/// rather than be it. Returns whether that could be done: the library must take its buffers by name.
///
/// # Safety
/// Both stay loaded for good, and what is called `blas_memory_alloc` there is OpenBLAS's.
pub(crate) unsafe fn lock_buffers(library: &Library) -> bool {
    let address = |name| library.symbol(name).map(|it| it.as_ptr() as usize);
    let (Some(own_alloc), Some(own_free)) = (address(ALLOC), address(FREE)) else {
        return false;
    };
    let Some((alloc, free)) = claim(own_alloc, own_free) else {
        return false;
    };
    let owner = objects::origin(own_alloc);
    let bind = |object: &LoadedObject| {
        let target = |name: &str| match name {
            ALLOC => Some(alloc as usize),
            FREE => Some(free as usize),
            _ => None,
        };
        // SAFETY: our caller's promise; each function does what that of its name does.
        unsafe { rebind(object, &target) }.unwrap_or(0)
    };
    // `dladdr` and the loader's list write names differently, so the object is taken from the latter.
    let (_, loaded) = objects::loaded_objects();
    let owner = owner.and_then(|owner| loaded.into_iter().find(|it| it.base == owner.base));
    let Some(owner) = owner else {
        return false;
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
            let (alloc, free) = claim(own, own + 1).unwrap();
            (alloc as usize, free as usize)
        };
        let first = addresses(16);
        assert_eq!(first, addresses(16));
        assert_ne!(first, addresses(32));
        assert_eq!(TABLES[0].alloc.load(Ordering::Relaxed), 16);
        for own in [48, 64] {
            claim(own, own).unwrap();
        }
        assert!(claim(80, 80).is_none(), "a fifth library cannot be bound");
    }
}
