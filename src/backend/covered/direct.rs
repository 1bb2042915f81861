//! Calls on vectors so short that even choosing how they run would be seen beside them: they go on to the library's own
//! routine, whose arguments are the same.
//!
//! One comparison decides, with a number that says at once how short is short and whether such a call may go on at all, for each more
//! would be seen.
//!
//! Invariants: the number of a place is [`NEVER`] until it has a routine, and where even tiny calls need a guard or a turn, while calls are
//! counted, and where they may be for other libraries (`own.rs`); a routine that was put in a place is one that calls may go on to for
//! good, so that it does not matter when the other one is seen.

use super::count;
use crate::backend::active::active;
use crate::backend::{Backend, own};
use crate::dispatch::{Scalar, VectorRoutine, when_small_tiles_change};
use crate::sys::blas::Integer;
use std::sync::atomic::{AtomicIsize, AtomicPtr, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// As which of the two a routine is called.
#[derive(Clone, Copy)]
pub(super) enum Interface {
    Fortran,
    C,
}

impl Interface {
    /// In their order.
    const ALL: [Interface; 2] = [Interface::Fortran, Interface::C];

    /// The name of a routine, which is given as Fortran has it, if short calls of it go on to the library's own. What iamax returns in
    /// C differs between libraries.
    fn name(self, routine: VectorRoutine, fortran: &str) -> Option<String> {
        match self {
            _ if fortran.is_empty() => None,
            Interface::Fortran => Some(fortran.to_owned()),
            Interface::C => (routine != VectorRoutine::Iamax)
                .then(|| format!("cblas_{}", fortran.trim_end_matches('_'))),
        }
    }
}

/// The routines, in the order of [`VectorRoutine`], for s, d, c and z; without those that return complex numbers.
const NAMES: [(VectorRoutine, [&str; 4]); 9] = [
    (
        VectorRoutine::Axpy,
        ["saxpy_", "daxpy_", "caxpy_", "zaxpy_"],
    ),
    (
        VectorRoutine::Axpby,
        ["saxpby_", "daxpby_", "caxpby_", "zaxpby_"],
    ),
    (
        VectorRoutine::Scal,
        ["sscal_", "dscal_", "cscal_", "zscal_"],
    ),
    (
        VectorRoutine::Copy,
        ["scopy_", "dcopy_", "ccopy_", "zcopy_"],
    ),
    (
        VectorRoutine::Swap,
        ["sswap_", "dswap_", "cswap_", "zswap_"],
    ),
    (VectorRoutine::Dot, ["sdot_", "ddot_", "", ""]),
    (
        VectorRoutine::Nrm2,
        ["snrm2_", "dnrm2_", "scnrm2_", "dznrm2_"],
    ),
    (
        VectorRoutine::Asum,
        ["sasum_", "dasum_", "scasum_", "dzasum_"],
    ),
    (
        VectorRoutine::Iamax,
        ["isamax_", "idamax_", "icamax_", "izamax_"],
    ),
];

/// No call is shorter.
const NEVER: isize = isize::MIN;

/// Where calls of one routine go on to.
struct Place {
    /// Those on fewer elements. Nothing is below [`NEVER`].
    below: AtomicIsize,
    own: AtomicPtr<()>,
}

impl Place {
    const fn empty() -> Self {
        Place {
            below: AtomicIsize::new(NEVER),
            own: AtomicPtr::new(std::ptr::null_mut()),
        }
    }
}

/// For each of them with 32-bit integers, and with 64.
type Places = [[[Place; 2]; 4]; NAMES.len()];

/// For each [`Interface`].
static PLACES: [Places; 2] =
    [const { [const { [const { [const { Place::empty() }; 2] }; 4] }; NAMES.len()] }; 2];

/// The library's own routine for a call on `n` elements, if that is short.
#[inline]
pub(super) fn short<T: Scalar, I: Integer>(
    interface: Interface,
    routine: VectorRoutine,
    n: I,
) -> Option<*mut ()> {
    let letter = match T::LETTER.as_bytes() {
        b"s" => 0,
        b"d" => 1,
        b"c" => 2,
        _ => 3,
    };
    let place = &PLACES[interface as usize][routine as usize][letter][usize::from(I::WIDE)];
    // The routine was there before the number.
    (n.get() < place.below.load(Ordering::Acquire)).then(|| place.own.load(Ordering::Relaxed))
}

/// Puts the routines of the current backend in place. For whoever has changed what they are to be.
pub(in crate::backend) fn renew() {
    static RENEWING: Mutex<()> = Mutex::new(());
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| when_small_tiles_change(renew));
    let _one = RENEWING.lock().unwrap_or_else(PoisonError::into_inner);
    let backend = active()
        .filter(|backend| backend.blas().tiny_is_free() && !count::counts() && !own::in_use());
    for (interface, places) in Interface::ALL.into_iter().zip(&PLACES) {
        for ((routine, names), places) in NAMES.iter().zip(places) {
            for (name, places) in names.iter().zip(places) {
                if let Some(name) = interface.name(*routine, name) {
                    fill(backend, &name, *routine, places);
                }
            }
        }
    }
}

/// Puts a backend's routine of this name, or nothing, in its places for both widths of integers.
fn fill(backend: Option<Backend>, name: &str, routine: VectorRoutine, places: &[Place; 2]) {
    for (wide, place) in [false, true].into_iter().zip(places) {
        let own = backend.and_then(|backend| backend.routine_of_blas(name, wide));
        let below = own.map_or(NEVER, |own| {
            place.own.store(own.as_ptr().cast(), Ordering::Release);
            routine.alone().saturating_add(1)
        });
        place.below.store(below, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_the_order_of_the_routines() {
        for (place, (routine, names)) in NAMES.into_iter().enumerate() {
            assert_eq!(routine as usize, place);
            assert!(
                names[1].contains(routine.name().trim_start_matches('i')),
                "{names:?}"
            );
        }
    }
}
