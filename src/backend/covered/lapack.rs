//! LAPACK as Fortran has it, for the routines that are algorithms over dispatch: all those of `dispatch/lapack/fortran.rs`.

use super::{Row, blas, done};
use crate::dispatch::Scalar;
use crate::dispatch::lapack::fortran::{address, with_routines};
use crate::dispatch::lapack::{Int, fortran};
use num_complex::Complex;

type C32 = Complex<f32>;
type C64 = Complex<f64>;

macro_rules! symbols {
    ($($name:ident [$real:literal $complex:literal] ($($argument:ident: $kind:ident),*);)*) => {
        $(
            unsafe extern "C" fn $name<T: Scalar, I: Int>(
                $($argument: address!($kind, T, I),)* info: *mut I
            ) {
                let pattern = if T::COMPLEX {
                    concat!($complex, "_")
                } else {
                    concat!($real, "_")
                };
                // SAFETY: the caller's promise to LAPACK: places that hold the arguments, matrices as large as they say.
                done(unsafe { fortran::$name(blas(pattern, T::LETTER), $($argument,)* info) });
            }
        )*

        pub(super) static ROWS: &[Row] = &[$(
            Row {
                pattern: concat!($real, "_"),
                letter: "s",
                narrow: $name::<f32, i32> as *const (),
                wide: $name::<f32, i64> as *const (),
            },
            Row {
                pattern: concat!($real, "_"),
                letter: "d",
                narrow: $name::<f64, i32> as *const (),
                wide: $name::<f64, i64> as *const (),
            },
            Row {
                pattern: concat!($complex, "_"),
                letter: "c",
                narrow: $name::<C32, i32> as *const (),
                wide: $name::<C32, i64> as *const (),
            },
            Row {
                pattern: concat!($complex, "_"),
                letter: "z",
                narrow: $name::<C64, i32> as *const (),
                wide: $name::<C64, i64> as *const (),
            },
        )*];
    };
}

with_routines!(symbols);
