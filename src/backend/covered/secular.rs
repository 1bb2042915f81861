//! LAPACK's laed3, which programs do not call, but its divide-and-conquer drivers do: most of what they do beside products. It
//! has real elements alone; the drivers for complex ones call it too.

use super::super::layer::Layer;
use super::super::supply::{fail, missing};
use super::{count, done, none, of_this_call};
use crate::dispatch::Scalar;
use crate::dispatch::lapack::{Int, Places};
use crate::sys::blas::Integer;
use std::sync::atomic::{AtomicPtr, Ordering};

const NAMES: [&str; 2] = ["slaed3_", "dlaed3_"];

/// Of each name, with 32-bit integers and with 64, a library's own. A library whose calls were bound to ours has them come here for good,
/// also when another one is the backend that has no such routine; any library's will do, since all have the same arguments.
static KNOWN: [[AtomicPtr<()>; 2]; 2] =
    [const { [const { AtomicPtr::new(std::ptr::null_mut()) }; 2] }; 2];

/// Remembers those of a library whose calls are about to be bound, and returns what was known.
pub(in crate::backend) fn remember(layer: &Layer) -> [*mut (); 2] {
    let wide = usize::from(layer.wide());
    [0, 1].map(|letter| match layer.routine(NAMES[letter]) {
        Some(own) => KNOWN[letter][wide].swap(own.as_ptr().cast(), Ordering::SeqCst),
        None => KNOWN[letter][wide].load(Ordering::SeqCst),
    })
}

/// Nothing was bound.
pub(in crate::backend) fn forget(layer: &Layer, before: [*mut (); 2]) {
    let wide = usize::from(layer.wide());
    for (known, before) in KNOWN.iter().zip(before) {
        known[wide].store(before, Ordering::SeqCst);
    }
}

type Laed3<T, I> = unsafe extern "C" fn(
    *const I,
    *const I,
    *const I,
    *mut T,
    *mut T,
    *const I,
    *const T,
    *mut T,
    *const T,
    *const I,
    *const I,
    *mut T,
    *mut T,
    *mut I,
);

unsafe extern "C" fn laed3<T: Scalar, I: Int + Integer>(
    k: *const I,
    n: *const I,
    n1: *const I,
    d: *mut T,
    q: *mut T,
    ldq: *const I,
    rho: *const T,
    dlamda: *mut T,
    q2: *const T,
    indx: *const I,
    ctot: *const I,
    w: *mut T,
    s: *mut T,
    info: *mut I,
) {
    let places = Places {
        d,
        q,
        rho,
        dlamda,
        q2,
        indx,
        ctot,
        w,
        s,
    };
    count::count("*laed3_", T::LETTER);
    let Some(backend) = of_this_call() else {
        fail(&none());
    };
    // SAFETY: the caller's promise to LAPACK: places that hold the arguments.
    unsafe {
        let sizes = [k, n, n1].map(|place| Int::get(*place));
        let result = backend.blas().laed3(sizes, Int::get(*ldq), &places);
        if let Some(result) = done(result) {
            info.write(<I as Int>::of(result));
            return;
        }
    }
    let letter = usize::from(T::LETTER == "d");
    let known = || KNOWN[letter][usize::from(I::WIDE)].load(Ordering::SeqCst);
    let own = match backend.routine(NAMES[letter], I::WIDE) {
        Some(own) => own.as_ptr().cast(),
        None => known(),
    };
    if own.is_null() {
        fail(&missing(backend, NAMES[letter], I::WIDE));
    }
    // SAFETY: a library's routine of this name, with integers of this width: it has this type. The caller's promise to it.
    unsafe {
        let own = std::mem::transmute::<*mut (), Laed3<T, I>>(own);
        own(k, n, n1, d, q, ldq, rho, dlamda, q2, indx, ctot, w, s, info);
    }
}

super::table! {
    laed3: "slaed3_" f32, "dlaed3_" f64;
}
