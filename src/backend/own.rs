//! The backends of a program that keeps its own libraries: for the preload library, whose symbols stand before theirs.
//!
//! A program may have several BLAS at once, even under the same names (two extensions of Python that each bring theirs). So a
//! call goes to the library that it would have reached anyway, and dispatch computes it with the kernels of that one.
//!
//! Invariants: what is not sure to be a whole BLAS is left alone: such calls reach their library as they are. A backend is
//! never freed; a library that one was tried on is not tried again. The backend that a thread chose by [`Own::choose`] is used
//! up by the covered routine that it calls next.

use super::active::adopt;
use super::choice::{Choice, Part};
use super::layer::Layer;
use super::supply::Carried;
use super::{Backend, Inner, carried, covered};
use crate::dispatch::Blas;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::caller::{Definition, beyond, definitions};
use crate::sys::fork::Turn;
use crate::sys::library::Library;
use crate::sys::naming::{Naming, wide_integers};
use crate::sys::objects::{self, LoadedObject};
use crate::sys::privilege;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// What calls of a symbol from one place lead to.
#[derive(Debug, Clone, Copy)]
pub struct Own {
    address: *mut (),
    by: By,
}

/// Who makes the call.
#[derive(Debug, Clone, Copy)]
enum By {
    /// The library, as it is called.
    Library,
    /// Dispatch.
    Dispatch(Backend),
    /// The library, while its threads are watched.
    Carried(&'static Carried),
}

// SAFETY: the pointer is the address of code in a library that stays loaded; it is not read through.
unsafe impl Send for Own {}
// SAFETY: as above.
unsafe impl Sync for Own {}

/// A library that was looked at, and what came of it.
struct Kept {
    base: usize,
    naming: Naming,
    backend: Option<Backend>,
    next: *mut Kept,
}

/// The last one; they are added in turns and never change, so that they are read at any moment.
static KEPT: AtomicPtr<Kept> = AtomicPtr::new(std::ptr::null_mut());

/// Whether there is any, lest those who have no preload library look for a choice.
static IN_USE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The backend of the covered routine that this thread calls next.
    static CHOSEN: Cell<Option<Backend>> = const { Cell::new(None) };
    /// This thread is trying a library: what it calls there is not to be tried in turn.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

impl Own {
    /// What `symbol` (`dgemm_`, `scipy_cblas_dgemm64_` ...) stands for where the code at `caller` calls it: a covered routine
    /// over the library that the caller would have reached, else the routine of that library itself.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if no other library in this process has the symbol.
    ///
    /// ```
    /// assert!(threadctl::backend::supply::Own::of("no_such_routine_", 0).is_err());
    /// ```
    pub fn of(symbol: &str, caller: usize) -> Result<Own> {
        let mixed = mixed_widths();
        let Some(definition) = beyond(symbol, caller, mixed) else {
            let why = if mixed {
                "libraries with 32-bit and with 64-bit integers have it, and from where it was called cannot be told"
            } else {
                "no library in this process has it but the preload library"
            };
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{symbol} was called, and {why}"),
            ));
        };
        let own = definition.address.as_ptr().cast();
        let found = backend_for(symbol, &definition).and_then(|(backend, reference)| {
            let layer = backend.layers().first()?;
            if let Some(address) = covered::entry(&reference, layer.wide()) {
                let by = By::Dispatch(backend);
                return Some(Own { address, by });
            }
            let (address, counted) = carried::entry(&reference)?;
            let watch = backend.0.watch.as_ref()?;
            let by = By::Carried(Carried::of(backend, watch, own, &reference, Some(counted)));
            Some(Own { address, by })
        });
        Ok(found.unwrap_or(Own {
            address: own,
            by: By::Library,
        }))
    }

    /// Where calls go.
    ///
    /// ```
    /// let own = threadctl::backend::supply::Own::of("strlen", 0);
    /// assert!(own.is_ok_and(|own| !own.address().is_null()));
    /// ```
    #[inline]
    pub fn address(&self) -> *mut () {
        self.address
    }

    /// Has the call that this thread makes next, which is one of [`address`](Own::address), computed by this library.
    ///
    /// ```
    /// if let Ok(own) = threadctl::backend::supply::Own::of("dgemm_", 0) {
    ///     own.choose();
    ///     // and now a call of `own.address()`
    /// }
    /// ```
    #[inline]
    pub fn choose(&self) {
        match self.by {
            By::Library => {}
            By::Dispatch(backend) => CHOSEN.set(Some(backend)),
            By::Carried(carried) => carried::choose(carried),
        }
    }
}

/// The symbols that a preload library has to have: all that dispatch covers, and drivers of LAPACK during which some libraries'
/// own threads have to be watched, under all names that libraries give them.
/// Without functions that return complex numbers: how they do that differs between libraries, and the reference CBLAS
/// computes its own by calling them, so they would call themselves.
///
/// ```
/// assert!(threadctl::backend::supply::own_symbols().any(|symbol| symbol == "scipy_dgesv_64_"));
/// ```
pub fn own_symbols() -> impl Iterator<Item = String> {
    let mut symbols: Vec<String> = Naming::decorated()
        .flat_map(|naming| {
            let names = covered::inner(false).map(|(name, _)| name);
            let names = names.chain(carried::names());
            names.map(move |name| naming.of_reference(&name))
        })
        .collect();
    symbols.sort();
    symbols.dedup();
    symbols.into_iter()
}

/// Whether calls may be for other libraries than the current backend.
pub(super) fn in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

/// What this thread chose for the call that it is in, once.
#[inline]
pub(super) fn chosen() -> Option<Backend> {
    // Relaxed: who has chosen has seen it set, on this thread.
    if IN_USE.load(Ordering::Relaxed) {
        CHOSEN.take()
    } else {
        None
    }
}

/// The backend of the library that has the definition, by the names that the symbol is one of, and what the reference
/// libraries call the symbol.
fn backend_for(symbol: &str, definition: &Definition) -> Option<(Backend, String)> {
    if TRYING.get() || privilege::is_raised() {
        return None;
    }
    Naming::decorated().find_map(|naming| {
        let reference = naming.reference_of(symbol)?;
        let backend = kept(&definition.object, naming)?;
        Some((backend, reference))
    })
}

/// Whether there are libraries under the same names whose integers differ, so that it matters which one is meant. Looked at
/// anew when something was loaded.
fn mixed_widths() -> bool {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    static MIXED: AtomicBool = AtomicBool::new(false);
    let loads = objects::generation().loads();
    // Several may look at once, and find the same.
    if LOADS.load(Ordering::Acquire) != loads && !MIXED.load(Ordering::Relaxed) {
        let plain = Naming::of_reference_libraries();
        let widths = definitions(&plain.fortran("dgemm")).into_iter();
        let widths = widths.filter_map(|definition| {
            let library = Library::hold(&definition.object.name)?;
            // SAFETY: what a library calls `dgemm_` and `idamax_` are these routines: a program called it by such names.
            unsafe { wide_integers(&library, plain) }
        });
        let widths: BTreeSet<bool> = widths.collect();
        MIXED.store(widths.len() > 1, Ordering::Relaxed);
        // After the answer: who reads this number has it.
        LOADS.store(loads, Ordering::Release);
    }
    MIXED.load(Ordering::Relaxed)
}

fn kept(object: &LoadedObject, naming: Naming) -> Option<Backend> {
    if let Some(known) = known(object, naming) {
        return known;
    }
    let _turn = Turn::wait();
    if let Some(known) = known(object, naming) {
        return known;
    }
    TRYING.set(true);
    // Whom a setter reaches is tried out against a clock, and what comes of it here is for good: once more, lest a machine that
    // stood still for a moment leave a whole program undispatched.
    let backend = open(object, naming).or_else(|_| open(object, naming));
    TRYING.set(false);
    if let Err(why) = &backend {
        tracing::info!(library = %object.name.display(), %why, "its calls are left as they are");
    }
    let backend = backend.ok();
    if let Some(backend) = backend {
        tracing::info!(%backend, "its calls go through dispatch");
        adopt(backend);
        IN_USE.store(true, Ordering::Relaxed);
        // Short calls would not look for a choice.
        covered::direct::renew();
    }
    let kept = Kept {
        base: object.base,
        naming,
        backend,
        next: KEPT.load(Ordering::Acquire),
    };
    KEPT.store(Box::into_raw(Box::new(kept)), Ordering::Release);
    backend
}

/// What came of a library that was tried; `None` if it was not.
fn known(object: &LoadedObject, naming: Naming) -> Option<Option<Backend>> {
    let mut at = KEPT.load(Ordering::Acquire);
    // SAFETY: null, or a box that is never freed, published after it was made.
    while let Some(kept) = unsafe { at.as_ref() } {
        if (kept.base, kept.naming) == (object.base, naming) {
            return Some(kept.backend);
        }
        at = kept.next;
    }
    None
}

/// A backend of a loaded library as it is: it is neither loaded again nor shown to anybody who did not see it.
fn open(object: &LoadedObject, naming: Naming) -> Result<Backend> {
    let held = || {
        Library::hold(&object.name).ok_or_else(|| {
            Error::new(
                ErrorKind::System,
                format!("{}: it is not loaded any more", object.name.display()),
            )
        })
    };
    // SAFETY: the program itself calls the library's routines by these names.
    let (layer, blas) = unsafe { (Layer::of(held()?, naming)?, Blas::named(held()?, naming)?) };
    if let Err(why) = layer.make_safe() {
        // Calls through dispatch take turns all the same; of the others the program has always had what it has.
        tracing::warn!(library = %object.name.display(), %why, "routines that dispatch does not cover are left as they are");
    }
    layer.lead_errors();
    let inner = Inner {
        choice: Choice(vec![Part::File(object.name.clone())]),
        layers: vec![layer],
        // Of what is not covered, drivers of LAPACK come by here.
        watch: blas.watch(),
        blas,
    };
    Ok(Backend(Box::leak(Box::new(inner))))
}
