//! LAPACK's complex division, the only routines of LAPACK that return complex numbers: not for dispatch's sake, but since
//! libraries differ in how they do that, and callers expect what gfortran does.

use super::super::layer::ComplexReturn;
use super::super::supply::{fail, missing};
use super::{Row, active, none};
use crate::dispatch::Scalar;
use num_complex::Complex;

type C32 = Complex<f32>;
type C64 = Complex<f64>;

/// # Safety
/// Two numbers.
unsafe fn divided<T: Scalar>(name: &str, x: *const T, y: *const T) -> T {
    let Some(backend) = active() else {
        fail(&none());
    };
    let layers = backend.layers().iter();
    let found = layers.filter_map(|layer| Some((layer, layer.routine(name)?)));
    let Some((layer, routine)) = found.into_iter().next() else {
        fail(&missing(backend, name, false));
    };
    let routine = routine.as_ptr();
    // SAFETY: the backend's routine of this name, which has no integers, by the way of returning that was found out.
    unsafe {
        if layer.complex_return() == ComplexReturn::Place {
            let routine = std::mem::transmute::<
                *mut std::ffi::c_void,
                unsafe extern "C" fn(*mut T, *const T, *const T),
            >(routine);
            let mut result = T::ZERO;
            routine(&raw mut result, x, y);
            result
        } else {
            let routine = std::mem::transmute::<
                *mut std::ffi::c_void,
                unsafe extern "C" fn(*const T, *const T) -> T,
            >(routine);
            routine(x, y)
        }
    }
}

unsafe extern "C" fn cladiv(x: *const C32, y: *const C32) -> C32 {
    // SAFETY: the caller's promise to LAPACK.
    unsafe { divided("cladiv_", x, y) }
}

unsafe extern "C" fn zladiv(x: *const C64, y: *const C64) -> C64 {
    // SAFETY: the caller's promise to LAPACK.
    unsafe { divided("zladiv_", x, y) }
}

pub(super) static ROWS: &[Row] = &[
    Row {
        pattern: "cladiv_",
        letter: "",
        narrow: cladiv as *const (),
        wide: cladiv as *const (),
    },
    Row {
        pattern: "zladiv_",
        letter: "",
        narrow: zladiv as *const (),
        wide: zladiv as *const (),
    },
];
