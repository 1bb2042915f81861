//! BLAS as Fortran has it: everything is passed by its place.
//!
//! Where a caller passes the lengths of its flags, as Fortran compilers do, nobody reads them: a flag is one letter.

use super::direct::{self, Interface};
use super::{blas, done};
use crate::dispatch::{Scalar, VectorRoutine};
use crate::sys::blas::Integer;
use num_complex::Complex;

/// What is passed for an argument of this kind.
macro_rules! c_type {
    (flag, $T:ty, $I:ty) => { *const u8 };
    (int, $T:ty, $I:ty) => { *const $I };
    (scalar, $T:ty, $I:ty) => { *const $T };
    (real, $T:ty, $I:ty) => { *const <$T as crate::sys::blas::Element>::Real };
    (input, $T:ty, $I:ty) => { *const $T };
    (output, $T:ty, $I:ty) => { *mut $T };
}

/// What dispatch takes for it.
macro_rules! value {
    (int, $argument:ident) => {
        (*$argument).get()
    };
    (input, $argument:ident) => {
        $argument
    };
    (output, $argument:ident) => {
        $argument
    };
    ($kind:ident, $argument:ident) => {
        *$argument
    };
}

/// Goes on to the library's own routine, where the vectors are short.
macro_rules! short {
    ([$short:ident] $T:ty, $I:ty, ($n:ident: int, $($argument:ident: $kind:ident),*) $(-> $result:ty)?) => {
        // SAFETY: the caller's promise to BLAS: the place of a number.
        if let Some(own) = direct::short::<$T, $I>(Interface::Fortran, VectorRoutine::$short, unsafe { *$n }) {
            // SAFETY: the library's routine of this name, with integers of this width: it has our own type.
            let own = unsafe {
                std::mem::transmute::<
                    *mut (),
                    unsafe extern "C" fn(*const $I, $(c_type!($kind, $T, I)),*) $(-> $result)?,
                >(own)
            };
            // SAFETY: the caller's promise to BLAS.
            return unsafe { own($n, $($argument),*) };
        }
    };
}

/// How a routine begins that may go on to the library's own, and what is behind that: out of line, so that what goes on needs no
/// stack, whose setting up would be half of what it costs.
macro_rules! body {
    ($name:ident [$short:ident] $T:ident: $bound:path, ($($argument:ident: $kind:ident),*), ($($result:ty)?), $run:expr) => {
        unsafe extern "C" fn $name<$T: $bound, I: Integer>(
            $($argument: c_type!($kind, $T, I)),*
        ) $(-> $result)? {
            #[inline(never)]
            unsafe extern "C" fn shared<$T: $bound, I: Integer>(
                $($argument: c_type!($kind, $T, I)),*
            ) $(-> $result)? {
                $run
            }
            short!([$short] $T, I, ($($argument: $kind),*) $(-> $result)?);
            // SAFETY: the caller's promise, handed on.
            unsafe { shared::<$T, I>($($argument),*) }
        }
    };
    ($name:ident [] $T:ident: $bound:path, ($($argument:ident: $kind:ident),*), ($($result:ty)?), $run:expr) => {
        unsafe extern "C" fn $name<$T: $bound, I: Integer>(
            $($argument: c_type!($kind, $T, I)),*
        ) $(-> $result)? {
            $run
        }
    };
}

/// The routines: what it is among those of vectors, if it is, which method of dispatch, for which elements, their arguments by kind, what they return.
macro_rules! routines {
    ($($name:ident $pattern:literal $short:tt = $method:ident<$T:ident: $bound:path> ($($argument:ident: $kind:ident),*) $(-> $result:ty)?;)*) => {$(
        body! {
            $name $short $T: $bound, ($($argument: $kind),*), ($($result)?),
            // SAFETY: the caller's promise to BLAS: places that hold the arguments, matrices as large as they say.
            done(unsafe { blas($pattern, $T::LETTER).$method($(value!($kind, $argument)),*) })
        }
    )*};
}

/// A real element type.
trait Real: Scalar<Real = Self> {}
impl Real for f32 {}
impl Real for f64 {}

routines! {
    gemm "*gemm_" [] = gemm<T: Scalar>(transa: flag, transb: flag, m: int, n: int, k: int, alpha: scalar, a: input, lda: int,
        b: input, ldb: int, beta: scalar, c: output, ldc: int);
    gemmt "*gemmt_" [] = gemmt<T: Scalar>(uplo: flag, transa: flag, transb: flag, n: int, k: int, alpha: scalar, a: input, lda: int,
        b: input, ldb: int, beta: scalar, c: output, ldc: int);
    symm "*symm_" [] = symm<T: Scalar>(side: flag, uplo: flag, m: int, n: int, alpha: scalar, a: input, lda: int, b: input, ldb: int,
        beta: scalar, c: output, ldc: int);
    hemm "*hemm_" [] = hemm<T: Scalar>(side: flag, uplo: flag, m: int, n: int, alpha: scalar, a: input, lda: int, b: input, ldb: int,
        beta: scalar, c: output, ldc: int);
    syrk "*syrk_" [] = syrk<T: Scalar>(uplo: flag, trans: flag, n: int, k: int, alpha: scalar, a: input, lda: int, beta: scalar,
        c: output, ldc: int);
    herk "*herk_" [] = herk<T: Scalar>(uplo: flag, trans: flag, n: int, k: int, alpha: real, a: input, lda: int, beta: real,
        c: output, ldc: int);
    syr2k "*syr2k_" [] = syr2k<T: Scalar>(uplo: flag, trans: flag, n: int, k: int, alpha: scalar, a: input, lda: int, b: input,
        ldb: int, beta: scalar, c: output, ldc: int);
    her2k "*her2k_" [] = her2k<T: Scalar>(uplo: flag, trans: flag, n: int, k: int, alpha: scalar, a: input, lda: int, b: input,
        ldb: int, beta: real, c: output, ldc: int);
    trmm "*trmm_" [] = trmm<T: Scalar>(side: flag, uplo: flag, transa: flag, diag: flag, m: int, n: int, alpha: scalar, a: input,
        lda: int, b: output, ldb: int);
    trsm "*trsm_" [] = trsm<T: Scalar>(side: flag, uplo: flag, transa: flag, diag: flag, m: int, n: int, alpha: scalar, a: input,
        lda: int, b: output, ldb: int);

    gemv "*gemv_" [] = gemv<T: Scalar>(trans: flag, m: int, n: int, alpha: scalar, a: input, lda: int, x: input, incx: int,
        beta: scalar, y: output, incy: int);
    ger "*ger_" [] = ger<T: Real>(m: int, n: int, alpha: scalar, x: input, incx: int, y: input, incy: int, a: output, lda: int);
    geru "*geru_" [] = geru<T: Scalar>(m: int, n: int, alpha: scalar, x: input, incx: int, y: input, incy: int, a: output, lda: int);
    gerc "*gerc_" [] = gerc<T: Scalar>(m: int, n: int, alpha: scalar, x: input, incx: int, y: input, incy: int, a: output, lda: int);
    symv "*symv_" [] = symv<T: Real>(uplo: flag, n: int, alpha: scalar, a: input, lda: int, x: input, incx: int, beta: scalar,
        y: output, incy: int);
    hemv "*hemv_" [] = hemv<T: Scalar>(uplo: flag, n: int, alpha: scalar, a: input, lda: int, x: input, incx: int, beta: scalar,
        y: output, incy: int);
    trmv "*trmv_" [] = trmv<T: Scalar>(uplo: flag, trans: flag, diag: flag, n: int, a: input, lda: int, x: output, incx: int);
    trsv "*trsv_" [] = trsv<T: Scalar>(uplo: flag, trans: flag, diag: flag, n: int, a: input, lda: int, x: output, incx: int);
    syr "*syr_" [] = syr<T: Real>(uplo: flag, n: int, alpha: scalar, x: input, incx: int, a: output, lda: int);
    her "*her_" [] = her<T: Scalar>(uplo: flag, n: int, alpha: real, x: input, incx: int, a: output, lda: int);

    axpy "*axpy_" [Axpy] = axpy<T: Scalar>(n: int, alpha: scalar, x: input, incx: int, y: output, incy: int);
    axpby "*axpby_" [Axpby] = axpby<T: Scalar>(n: int, alpha: scalar, x: input, incx: int, beta: scalar, y: output, incy: int);
    scal "*scal_" [Scal] = scal<T: Scalar>(n: int, alpha: scalar, x: output, incx: int);
    rscal "*scal_ (real factor)" [] = rscal<T: Scalar>(n: int, alpha: real, x: output, incx: int);
    copy "*copy_" [Copy] = copy<T: Scalar>(n: int, x: input, incx: int, y: output, incy: int);
    swap "*swap_" [Swap] = swap<T: Scalar>(n: int, x: output, incx: int, y: output, incy: int);
    dot "*dot_" [Dot] = dot<T: Real>(n: int, x: input, incx: int, y: input, incy: int) -> T;
    dotu "*dotu_" [] = dotu<T: Scalar>(n: int, x: input, incx: int, y: input, incy: int) -> T;
    dotc "*dotc_" [] = dotc<T: Scalar>(n: int, x: input, incx: int, y: input, incy: int) -> T;
    nrm2 "*nrm2_" [Nrm2] = nrm2<T: Scalar>(n: int, x: input, incx: int) -> T::Real;
    asum "*asum_" [Asum] = asum<T: Scalar>(n: int, x: input, incx: int) -> T::Real;
}

/// By itself, since it returns an integer as wide as the caller's.
unsafe extern "C" fn iamax<T: Scalar, I: Integer>(n: *const I, x: *const T, incx: *const I) -> I {
    #[inline(never)]
    unsafe extern "C" fn shared<T: Scalar, I: Integer>(
        n: *const I,
        x: *const T,
        incx: *const I,
    ) -> I {
        // SAFETY: the caller's promise to BLAS.
        I::of(done(unsafe {
            blas("i*amax_", T::LETTER).iamax((*n).get(), x, (*incx).get())
        }))
    }
    short!([Iamax] T, I, (n: int, x: input, incx: int) -> I);
    // SAFETY: the caller's promise, handed on.
    unsafe { shared::<T, I>(n, x, incx) }
}

type C32 = Complex<f32>;
type C64 = Complex<f64>;

super::table! {
    gemm: "sgemm_" f32, "dgemm_" f64, "cgemm_" C32, "zgemm_" C64;
    gemmt: "sgemmt_" f32, "dgemmt_" f64, "cgemmt_" C32, "zgemmt_" C64;
    gemmt: "sgemmtr_" f32, "dgemmtr_" f64, "cgemmtr_" C32, "zgemmtr_" C64;
    symm: "ssymm_" f32, "dsymm_" f64, "csymm_" C32, "zsymm_" C64;
    hemm: "chemm_" C32, "zhemm_" C64;
    syrk: "ssyrk_" f32, "dsyrk_" f64, "csyrk_" C32, "zsyrk_" C64;
    herk: "cherk_" C32, "zherk_" C64;
    syr2k: "ssyr2k_" f32, "dsyr2k_" f64, "csyr2k_" C32, "zsyr2k_" C64;
    her2k: "cher2k_" C32, "zher2k_" C64;
    trmm: "strmm_" f32, "dtrmm_" f64, "ctrmm_" C32, "ztrmm_" C64;
    trsm: "strsm_" f32, "dtrsm_" f64, "ctrsm_" C32, "ztrsm_" C64;

    gemv: "sgemv_" f32, "dgemv_" f64, "cgemv_" C32, "zgemv_" C64;
    ger: "sger_" f32, "dger_" f64;
    geru: "cgeru_" C32, "zgeru_" C64;
    gerc: "cgerc_" C32, "zgerc_" C64;
    symv: "ssymv_" f32, "dsymv_" f64;
    hemv: "chemv_" C32, "zhemv_" C64;
    trmv: "strmv_" f32, "dtrmv_" f64, "ctrmv_" C32, "ztrmv_" C64;
    trsv: "strsv_" f32, "dtrsv_" f64, "ctrsv_" C32, "ztrsv_" C64;
    syr: "ssyr_" f32, "dsyr_" f64;
    her: "cher_" C32, "zher_" C64;

    axpy: "saxpy_" f32, "daxpy_" f64, "caxpy_" C32, "zaxpy_" C64;
    axpby: "saxpby_" f32, "daxpby_" f64, "caxpby_" C32, "zaxpby_" C64;
    scal: "sscal_" f32, "dscal_" f64, "cscal_" C32, "zscal_" C64;
    rscal: "csscal_" C32, "zdscal_" C64;
    copy: "scopy_" f32, "dcopy_" f64, "ccopy_" C32, "zcopy_" C64;
    swap: "sswap_" f32, "dswap_" f64, "cswap_" C32, "zswap_" C64;
    dot: "sdot_" f32, "ddot_" f64;
    dotu: "cdotu_" C32, "zdotu_" C64;
    dotc: "cdotc_" C32, "zdotc_" C64;
    nrm2: "snrm2_" f32, "dnrm2_" f64, "scnrm2_" C32, "dznrm2_" C64;
    asum: "sasum_" f32, "dasum_" f64, "scasum_" C32, "dzasum_" C64;
    iamax: "isamax_" f32, "idamax_" f64, "icamax_" C32, "izamax_" C64;
}
