//! Calls on vectors so short that even choosing how they run would be seen beside them: they go on to the library's own
//! routine, whose arguments are the same.
//!
//! Invariants: a place holds null or the routine of the current backend for that row, type and width of integers; null where
//! even tiny calls need a guard or a turn, while calls are counted, and where they may be for other libraries (`own.rs`).

use super::count;
use crate::backend::active::active;
use crate::backend::own;
use crate::dispatch::{Scalar, VectorRoutine};
use crate::sys::blas::Integer;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// The routines, in the order of [`VectorRoutine`], for s, d, c and z; without those that return complex numbers.
const NAMES: [[&str; 4]; 9] = [
    ["saxpy_", "daxpy_", "caxpy_", "zaxpy_"],
    ["saxpby_", "daxpby_", "caxpby_", "zaxpby_"],
    ["sscal_", "dscal_", "cscal_", "zscal_"],
    ["scopy_", "dcopy_", "ccopy_", "zcopy_"],
    ["sswap_", "dswap_", "cswap_", "zswap_"],
    ["sdot_", "ddot_", "", ""],
    ["snrm2_", "dnrm2_", "scnrm2_", "dznrm2_"],
    ["sasum_", "dasum_", "scasum_", "dzasum_"],
    ["isamax_", "idamax_", "icamax_", "izamax_"],
];

/// For each of them with 32-bit integers, and with 64.
static OWN: [[[AtomicPtr<()>; 2]; 4]; NAMES.len()] =
    [const { [const { [const { AtomicPtr::new(std::ptr::null_mut()) }; 2] }; 4] }; NAMES.len()];

/// The library's own routine for a call on `n` elements, if that is short.
#[inline]
pub(super) fn short<T: Scalar, I: Integer>(routine: VectorRoutine, n: I) -> Option<*mut ()> {
    let letter = match T::LETTER.as_bytes() {
        b"s" => 0,
        b"d" => 1,
        b"c" => 2,
        _ => 3,
    };
    let own = OWN[routine as usize][letter][usize::from(I::WIDE)].load(Ordering::Acquire);
    (!own.is_null() && n.get() <= routine.alone()).then_some(own)
}

/// Puts the routines of the current backend in place. For whoever has changed what they are to be.
pub(in crate::backend) fn renew() {
    static RENEWING: Mutex<()> = Mutex::new(());
    let _one = RENEWING.lock().unwrap_or_else(PoisonError::into_inner);
    let backend = active()
        .filter(|backend| backend.blas().tiny_is_free() && !count::counts() && !own::in_use());
    for (names, places) in NAMES.iter().zip(&OWN) {
        for (name, places) in names.iter().zip(places) {
            for (wide, place) in [false, true].into_iter().zip(places) {
                let own = backend
                    .filter(|_| !name.is_empty())
                    .and_then(|backend| backend.routine(name, wide));
                let own = own.map_or(std::ptr::null_mut(), |own| own.as_ptr().cast());
                place.store(own, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_the_order_of_the_routines() {
        use VectorRoutine::*;
        let order = [Axpy, Axpby, Scal, Copy, Swap, Dot, Nrm2, Asum, Iamax];
        for (place, (routine, names)) in order.into_iter().zip(NAMES).enumerate() {
            assert_eq!(routine as usize, place);
            assert!(
                names[1].contains(routine.name().trim_start_matches('i')),
                "{names:?}"
            );
        }
    }
}
