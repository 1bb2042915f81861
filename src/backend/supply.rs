//! For the faces that supply BLAS and LAPACK symbols: what a symbol stands for, and who is told when that changes.
//!
//! A face has a slot for each symbol, which holds the address that calls of the symbol jump to. Empty slots hold the face's
//! resolver, which asks [`fill`] at the first call. Not for programs.

use super::active::{active, current, generation};
use super::drivers::Measure;
pub use super::own::{Own, own_symbols};
use super::{Backend, covered};
use crate::dispatch::VectorRoutine;
use crate::dispatch::forward::Watch;
use crate::dispatch::history::{History, Size};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The slots of one face.
///
/// ```
/// use std::sync::atomic::AtomicPtr;
/// use threadctl::backend::supply::Slots;
/// static SLOT: [AtomicPtr<()>; 1] = [AtomicPtr::new(std::ptr::null_mut())];
/// let slots = Slots { slots: &SLOT, empty: std::ptr::null_mut() };
/// assert_eq!(slots.slots.len(), 1);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// They live for good.
    pub slots: &'static [AtomicPtr<()>],
    /// What an empty one holds.
    pub empty: *mut (),
}

// SAFETY: the pointer is the address of code, which is not read through it.
unsafe impl Send for Slots {}

/// Those who have slots.
static FACES: Mutex<Vec<Slots>> = Mutex::new(Vec::new());

/// What ends a call that cannot be computed.
static ON_FAILURE: OnceLock<fn(&Error) -> !> = OnceLock::new();

/// Has the slots emptied at each change of the backend, and calls that cannot be computed ended by `on_failure`: a BLAS
/// routine has no way to return an error, and must not return as if it had computed. The first face's word counts.
///
/// ```
/// use threadctl::backend::supply::{Slots, register};
/// register(Slots { slots: &[], empty: std::ptr::null_mut() }, |error| panic!("{error}"));
/// ```
pub fn register(slots: Slots, on_failure: fn(&Error) -> !) {
    let _ = ON_FAILURE.set(on_failure);
    let mut faces = FACES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |face: &Slots| ptr::eq(face.slots, slots.slots);
    if !faces.iter().any(is_same) {
        faces.push(slots);
    }
}

/// Fills a slot with what calls of `name` are to jump to, and returns that. `name` is that of the reference libraries; its
/// integers have 64 bits if `wide`.
///
/// # Errors
/// As for [`current`](super::current), and [`ErrorKind::Unsupported`] when the backend does not have the routine.
///
/// ```
/// use std::sync::atomic::AtomicPtr;
/// use threadctl::backend::supply::{Slots, fill};
/// static SLOT: [AtomicPtr<()>; 1] = [AtomicPtr::new(std::ptr::null_mut())];
/// let slots = Slots { slots: &SLOT, empty: std::ptr::null_mut() };
/// assert!(fill(slots, 0, "no_such_routine_", false).is_err());
/// ```
pub fn fill(slots: Slots, slot: usize, name: &str, wide: bool) -> Result<*mut ()> {
    filled(slots, slot, name, wide, |_, address| address)
}

/// Fills a slot as [`fill`] does, for a face that can carry calls: where those of `name` must not simply jump, since the
/// backend's own threads have to be watched meanwhile, `carried` is what the slot gets, and `carry` is set before to what
/// the code at `carried` is to run. With `unless_short` the slot gets the code that is second there, where it may: it leads calls on at
/// most [`SHORT`] elements on to the routine itself, which is put in the place before it, and all others to `carried`.
///
/// # Errors
/// As for [`fill`].
///
/// ```
/// use std::sync::atomic::AtomicPtr;
/// use threadctl::backend::supply::{Slots, fill_or_carry};
/// static SLOT: [AtomicPtr<()>; 1] = [AtomicPtr::new(std::ptr::null_mut())];
/// let slots = Slots { slots: &SLOT, empty: std::ptr::null_mut() };
/// let carry = AtomicPtr::new(std::ptr::null_mut());
/// assert!(fill_or_carry(slots, 0, "no_such_routine_", false, (&carry, std::ptr::null_mut()), None).is_err());
/// ```
pub fn fill_or_carry(
    slots: Slots,
    slot: usize,
    name: &str,
    wide: bool,
    (carry, carried): (&AtomicPtr<Carried>, *mut ()),
    unless_short: Option<(&AtomicPtr<()>, *mut ())>,
) -> Result<*mut ()> {
    filled(slots, slot, name, wide, |backend, address| {
        let (Some(watch), false) = (&backend.0.watch, has_no_threads(name)) else {
            return address;
        };
        let routine = Carried::of(backend, watch, address, name, None);
        carry.store(ptr::from_ref(routine).cast_mut(), Ordering::SeqCst);
        match unless_short.filter(|_| backend.blas().tiny_is_free()) {
            Some((own, code)) => {
                own.store(address, Ordering::SeqCst);
                code
            }
            None => carried,
        }
    })
}

/// Vectors of at most so many elements no library computes with threads of its own, unless even tiny calls have to be watched.
///
/// ```
/// assert!(threadctl::backend::supply::SHORT > 0);
/// ```
pub const SHORT: i32 = VectorRoutine::SHORT as i32;

/// A routine of a backend whose own threads have to be watched while it runs.
pub struct Carried {
    backend: Backend,
    watch: &'static Watch,
    address: *mut (),
    measure: Option<(Measure, bool)>,
    history: History,
    /// What its calls are counted as, if they are.
    counted: Option<[&'static str; 2]>,
    next: *mut Carried,
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried")
            .field("backend", &self.backend)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The last one that was made, as it is in all of them: read without a lock, in forked children too.
static KEPT: AtomicPtr<Carried> = AtomicPtr::new(ptr::null_mut());

// SAFETY: the address of code, and of another one that is never freed and does not change; the rest is shared by all threads.
unsafe impl Sync for Carried {}

impl Carried {
    /// The one of this routine of the backend: it is made once and kept for good.
    pub(super) fn of(
        backend: Backend,
        watch: &'static Watch,
        address: *mut (),
        name: &str,
        counted: Option<[&'static str; 2]>,
    ) -> &'static Self {
        let mut first = KEPT.load(Ordering::Acquire);
        let mut new: Option<Box<Carried>> = None;
        loop {
            let mut at = first;
            // SAFETY: null, or a box that is never freed, published after it was made.
            while let Some(known) = unsafe { at.as_ref() } {
                if known.backend.is(backend) && known.address == address && known.counted == counted
                {
                    return known;
                }
                at = known.next;
            }
            let mut added = new.take().unwrap_or_else(|| {
                let routine = name.strip_prefix("LAPACKE_").unwrap_or(name);
                let complex = routine.starts_with(['c', 'z']);
                Box::new(Carried {
                    backend,
                    watch,
                    address,
                    measure: Measure::of(name).map(|measure| (measure, complex)),
                    history: History::new(),
                    counted,
                    next: ptr::null_mut(),
                })
            });
            added.next = first;
            let added = Box::into_raw(added);
            match KEPT.compare_exchange(first, added, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: made above, and never freed.
                Ok(_) => return unsafe { &*added },
                Err(now) => {
                    // Somebody added one, maybe this one.
                    first = now;
                    // SAFETY: made above, and nobody else has it.
                    new = Some(unsafe { Box::from_raw(added) });
                }
            }
        }
    }

    /// Has `call` call the routine, which is at the address that it is given, once and on this thread. `argument` gives the word
    /// that was passed for the argument of that number, from 0, if that can be known.
    ///
    /// # Safety
    /// The words are those of a call of this routine.
    ///
    /// ```
    /// // SAFETY: no words.
    /// let run = |carried: &'static threadctl::backend::supply::Carried| unsafe {
    ///     carried.run(|_| None, |address| assert!(!address.is_null()));
    /// };
    /// # let _ = run;
    /// ```
    pub unsafe fn run(
        &'static self,
        argument: impl Fn(usize) -> Option<usize>,
        call: impl FnOnce(*mut ()),
    ) {
        let address = self.address;
        if let Some([pattern, letter]) = self.counted {
            covered::count::count(pattern, letter);
        }
        let size = match self.measure {
            // SAFETY: our caller's promise.
            Some((measure, complex)) => unsafe { measure.size(complex, argument) },
            None => Size::Unknown,
        };
        self.backend
            .blas()
            .forwarded(self.watch, &self.history, size, || call(address));
    }
}

/// Whether no library has threads for a routine: functions of a few numbers, which are called from inner loops.
fn has_no_threads(name: &str) -> bool {
    const SMALL: &[&str] = &[
        "lamch_", "lapy2_", "lapy3_", "ladiv_", "rotg_", "rotmg_", "lartg_", "lartgp_",
    ];
    const OTHER: &[&str] = &["lsame_", "ilaenv_", "ieeeck_", "iparmq_", "ilaver_"];
    OTHER.contains(&name) || name.get(1..).is_some_and(|rest| SMALL.contains(&rest))
}

fn filled(
    slots: Slots,
    slot: usize,
    name: &str,
    wide: bool,
    forwarded: impl FnOnce(Backend, *mut ()) -> *mut (),
) -> Result<*mut ()> {
    let backend = current()?;
    let before = generation();
    // Asked again, for it may have changed before the generation was read.
    let backend = active().unwrap_or(backend);
    let address = covered::entry(name, wide)
        .or_else(|| {
            let address = backend.routine(name, wide)?.as_ptr().cast();
            Some(forwarded(backend, address))
        })
        .ok_or_else(|| missing(backend, name, wide))?;
    if let Some(slot) = slots.slots.get(slot) {
        slot.store(address, Ordering::SeqCst);
        if generation() != before {
            slot.store(slots.empty, Ordering::SeqCst);
        }
    }
    Ok(address)
}

/// Counts calls that reach dispatch from now on, from 0, or stops counting: those of the program, and those of routines
/// inside the backend that were bound to dispatch. For tests and diagnosis; counted calls take longer.
///
/// ```
/// threadctl::backend::supply::count_calls(true);
/// assert!(threadctl::backend::supply::calls().is_empty());
/// ```
pub fn count_calls(on: bool) {
    covered::count::switch(on);
    covered::direct::renew();
}

/// How often each routine was called since counting began, by its name.
///
/// ```
/// let calls = threadctl::backend::supply::calls();
/// println!("{:?}", calls.get("dgemm_"));
/// ```
pub fn calls() -> BTreeMap<String, u64> {
    covered::count::calls()
}

/// Has every symbol ask again.
pub(super) fn empty_slots() {
    let faces = FACES.lock().unwrap_or_else(PoisonError::into_inner);
    for face in &*faces {
        for slot in face.slots {
            // Most are empty. Who fills one that was looks at the generation afterwards.
            if slot.load(Ordering::SeqCst) != face.empty {
                slot.store(face.empty, Ordering::SeqCst);
            }
        }
    }
}

/// Ends a call that cannot be computed.
#[cold]
pub(super) fn fail(error: &Error) -> ! {
    match ON_FAILURE.get() {
        Some(on_failure) => on_failure(error),
        // Not reached: covered routines are handed out by `fill`, which faces call after `register`.
        None => std::process::abort(),
    }
}

pub(super) fn missing(backend: Backend, name: &str, wide: bool) -> Error {
    let bits = if wide { 64 } else { 32 };
    let why = if backend.routine(name, !wide).is_some() {
        format!("it has {name} with {}-bit integers only", 96 - bits)
    } else {
        format!("it has no {name}")
    };
    let c_interface = name.starts_with("LAPACKE_");
    let (package, add) = match (c_interface, wide) {
        (true, false) => ("liblapacke", "liblapacke.so.3"),
        (true, true) => ("liblapacke64", "liblapacke64.so.3"),
        (false, true) => ("libopenblas64-0-pthread", "libopenblas64.so.0"),
        (false, false) if name.starts_with("cblas_") => {
            ("libopenblas0-pthread or libblas3", "libblas.so.3")
        }
        (false, false) => ("libopenblas0-pthread or liblapack3", "liblapack.so.3"),
    };
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "{name} with {bits}-bit integers was called, and the backend {backend} cannot compute it: {why}. Debian and \
             Ubuntu have it in {package}; a library is added by THREADCTL_BACKEND={}:{add}",
            backend.name()
        ),
    )
}
