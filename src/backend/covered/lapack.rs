//! LAPACK as Fortran has it, for the routines that are algorithms over dispatch.
//!
//! A line per routine, as in `dispatch/lapack/fortran.rs`; a test holds the two together.

use super::{blas, done};
use crate::dispatch::Scalar;
use crate::dispatch::lapack::{Int, fortran};
use num_complex::Complex;

macro_rules! c_type {
    (flag, $T:ty, $I:ty) => { *const u8 };
    (int, $T:ty, $I:ty) => { *const $I };
    (input, $T:ty, $I:ty) => { *const $T };
    (output, $T:ty, $I:ty) => { *mut $T };
    (pivots, $T:ty, $I:ty) => { *mut $I };
    (read_pivots, $T:ty, $I:ty) => { *const $I };
}

macro_rules! routines {
    ($($name:ident $pattern:literal ($($argument:ident: $kind:ident),*);)*) => {$(
        unsafe extern "C" fn $name<T: Scalar, I: Int>(
            $($argument: c_type!($kind, T, I),)* info: *mut I
        ) {
            // SAFETY: the caller's promise to LAPACK: places that hold the arguments, matrices as large as they say.
            done(unsafe { fortran::$name(blas($pattern, T::LETTER), $($argument,)* info) });
        }
    )*};
}

routines! {
    getrf "*getrf_" (m: int, n: int, a: output, lda: int, ipiv: pivots);
    getrs "*getrs_" (trans: flag, n: int, nrhs: int, a: input, lda: int, ipiv: read_pivots, b: output, ldb: int);
    gesv "*gesv_" (n: int, nrhs: int, a: output, lda: int, ipiv: pivots, b: output, ldb: int);
    potrf "*potrf_" (uplo: flag, n: int, a: output, lda: int);
    potrs "*potrs_" (uplo: flag, n: int, nrhs: int, a: input, lda: int, b: output, ldb: int);
    posv "*posv_" (uplo: flag, n: int, nrhs: int, a: output, lda: int, b: output, ldb: int);
}

type C32 = Complex<f32>;
type C64 = Complex<f64>;

super::table! {
    getrf: "sgetrf_" f32, "dgetrf_" f64, "cgetrf_" C32, "zgetrf_" C64;
    getrs: "sgetrs_" f32, "dgetrs_" f64, "cgetrs_" C32, "zgetrs_" C64;
    gesv: "sgesv_" f32, "dgesv_" f64, "cgesv_" C32, "zgesv_" C64;
    potrf: "spotrf_" f32, "dpotrf_" f64, "cpotrf_" C32, "zpotrf_" C64;
    potrs: "spotrs_" f32, "dpotrs_" f64, "cpotrs_" C32, "zpotrs_" C64;
    posv: "sposv_" f32, "dposv_" f64, "cposv_" C32, "zposv_" C64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_routine_of_dispatch_is_reached_by_its_symbol() {
        let rows: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        for routine in fortran::COVERED {
            for letter in ["s", "d", "c", "z"] {
                let name = routine.symbol(letter) + "_";
                assert!(rows.contains(&name.as_str()), "add a row for {name}");
            }
        }
    }
}
