//! LAPACK's laed3, which programs do not call, but its divide-and-conquer drivers do: most of what they do beside products. It
//! has real elements alone; the drivers for complex ones call it too.

use super::{blas, done, unchanged};
use crate::dispatch::Scalar;
use crate::dispatch::lapack::{Int, Places};
use crate::sys::blas::Integer;

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
    // SAFETY: the caller's promise to LAPACK: places that hold the arguments. What is called is the backend's routine of this name.
    unsafe {
        let sizes = [k, n, n1].map(|place| Int::get(*place));
        match done(blas("*laed3_", T::LETTER).laed3(sizes, Int::get(*ldq), &places)) {
            Some(result) => info.write(<I as Int>::of(result)),
            None => {
                // Another library of the backend may have it.
                let own = unchanged::<I>(&format!("{}laed3_", T::LETTER));
                let own = std::mem::transmute::<*mut (), Laed3<T, I>>(own);
                own(k, n, n1, d, q, ldq, rho, dlamda, q2, indx, ctot, w, s, info);
            }
        }
    }
}

super::table! {
    laed3: "slaed3_" f32, "dlaed3_" f64;
}
