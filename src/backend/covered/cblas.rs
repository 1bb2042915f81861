//! CBLAS: numbers are passed by value, complex ones by their place, and matrices may be stored by rows.
//!
//! A matrix that is stored by rows is its transpose stored by columns, so such a call is turned into one on the transposes.
//! What has no such counterpart (it would take conjugated copies), and what CBLAS forbids, goes to the backend's own routine
//! unchanged, which has its own way of saying what is wrong.

use super::direct::{self, Interface};
use super::flags::{self, by_rows, diag, least, order_of, other, side, trans, uplo};
use super::{blas, done, unchanged};
use crate::dispatch::{Scalar, VectorRoutine};
use crate::error::Result;
use crate::sys::blas::{Element, Integer};
use num_complex::Complex;
use std::ffi::c_int;

type C32 = Complex<f32>;
type C64 = Complex<f64>;

/// How CBLAS passes a number of this type.
pub(super) trait Passed: Scalar {
    type By: Copy;
    /// # Safety
    /// A place holds a number.
    unsafe fn read(by: Self::By) -> Self;
}

macro_rules! passed {
    ($($type:ty, $by:ty, |$it:ident| $read:expr;)*) => {$(
        impl Passed for $type {
            type By = $by;
            unsafe fn read($it: $by) -> Self {
                // SAFETY: our caller's promise.
                #[allow(unused_unsafe, reason = "a value needs none")]
                unsafe {
                    $read
                }
            }
        }
    )*};
}

passed! {
    f32, f32, |it| it;
    f64, f64, |it| it;
    C32, *const C32, |it| *it;
    C64, *const C64, |it| *it;
}

/// The real part's type.
type RealOf<T> = <T as Element>::Real;

/// Routines with a `None` for what goes to the backend's own: the one of this name, `*` being the element's letter.
macro_rules! routines {
    ($($name:ident $pattern:literal <$T:ident>($($argument:ident: $type:ty),*) $body:block)*) => {$(
        unsafe extern "C" fn $name<$T: Passed, I: Integer>($($argument: $type),*) {
            let call = || -> Option<Result<()>> {
                // SAFETY: the caller's promise to BLAS; of the arguments is used what was checked.
                unsafe { $body }
            };
            match call() {
                Some(result) => done(result),
                None => {
                    let own = unchanged::<I>(&$pattern.replace('*', $T::LETTER));
                    // SAFETY: the backend's routine of this name, hence of this type; the caller's promise to it.
                    unsafe {
                        let own = std::mem::transmute::<*mut (), unsafe extern "C" fn($($type),*)>(own);
                        own($($argument),*);
                    }
                }
            }
        }
    )*};
}

routines! {
    gemm "cblas_*gemm" <T>(order: c_int, transa: c_int, transb: c_int, m: I, n: I, k: I, alpha: T::By, a: *const T, lda: I,
        b: *const T, ldb: I, beta: T::By, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let [ta, tb] = [trans(transa)?, trans(transb)?];
        let [m, n, k, lda, ldb, ldc] = [m, n, k, lda, ldb, ldc].map(I::get);
        least(lda, order_of(rows, ta, [m, k]))?;
        least(ldb, order_of(rows, tb, [k, n]))?;
        least(ldc, order_of(rows, b'N', [m, n]))?;
        flags::sizes([m, n, k])?;
        let (alpha, beta) = (T::read(alpha), T::read(beta));
        Some(if rows {
            blas("cblas_*gemm", T::LETTER).gemm(tb, ta, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)
        } else {
            blas("cblas_*gemm", T::LETTER).gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
        })
    }

    gemmt "cblas_*gemmt" <T>(order: c_int, triangle: c_int, transa: c_int, transb: c_int, n: I, k: I, alpha: T::By,
        a: *const T, lda: I, b: *const T, ldb: I, beta: T::By, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let [ta, tb] = [trans(transa)?, trans(transb)?];
        let uplo = uplo(triangle, rows)?;
        let [n, k, lda, ldb, ldc] = [n, k, lda, ldb, ldc].map(I::get);
        least(lda, order_of(rows, ta, [n, k]))?;
        least(ldb, order_of(rows, tb, [k, n]))?;
        least(ldc, n)?;
        flags::sizes([n, k])?;
        let (alpha, beta) = (T::read(alpha), T::read(beta));
        Some(if rows {
            blas("cblas_*gemmt", T::LETTER).gemmt(uplo, tb, ta, n, k, alpha, b, ldb, a, lda, beta, c, ldc)
        } else {
            blas("cblas_*gemmt", T::LETTER).gemmt(uplo, ta, tb, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
        })
    }

    symm "cblas_*symm" <T>(order: c_int, on: c_int, triangle: c_int, m: I, n: I, alpha: T::By, a: *const T, lda: I,
        b: *const T, ldb: I, beta: T::By, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let (side, uplo) = (side(on, rows)?, uplo(triangle, rows)?);
        let [m, n] = flags::turned(rows, [m.get(), n.get()])?;
        let [lda, ldb, ldc] = [lda, ldb, ldc].map(I::get);
        least(lda, if side == b'L' { m } else { n })?;
        least(ldb, m)?;
        least(ldc, m)?;
        Some(blas("cblas_*symm", T::LETTER).symm(side, uplo, m, n, T::read(alpha), a, lda, b, ldb, T::read(beta), c, ldc))
    }

    hemm "cblas_*hemm" <T>(order: c_int, on: c_int, triangle: c_int, m: I, n: I, alpha: T::By, a: *const T, lda: I,
        b: *const T, ldb: I, beta: T::By, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let (side, uplo) = (side(on, rows)?, uplo(triangle, rows)?);
        let [m, n] = flags::turned(rows, [m.get(), n.get()])?;
        let [lda, ldb, ldc] = [lda, ldb, ldc].map(I::get);
        least(lda, if side == b'L' { m } else { n })?;
        least(ldb, m)?;
        least(ldc, m)?;
        Some(blas("cblas_*hemm", T::LETTER).hemm(side, uplo, m, n, T::read(alpha), a, lda, b, ldb, T::read(beta), c, ldc))
    }

    syrk "cblas_*syrk" <T>(order: c_int, triangle: c_int, transposed: c_int, n: I, k: I, alpha: T::By, a: *const T, lda: I,
        beta: T::By, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let (uplo, trans) = (uplo(triangle, rows)?, other(trans(transposed)?, rows, T::COMPLEX)?);
        flags::never(trans == b'C' && T::COMPLEX)?;
        let [n, k, lda, ldc] = [n, k, lda, ldc].map(I::get);
        least(lda, order_of(false, trans, [n, k]))?;
        least(ldc, n)?;
        flags::sizes([n, k])?;
        Some(blas("cblas_*syrk", T::LETTER).syrk(uplo, trans, n, k, T::read(alpha), a, lda, T::read(beta), c, ldc))
    }

    herk "cblas_*herk" <T>(order: c_int, triangle: c_int, transposed: c_int, n: I, k: I, alpha: RealOf<T>, a: *const T,
        lda: I, beta: RealOf<T>, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let (uplo, trans) = (uplo(triangle, rows)?, flags::adjoint(transposed, rows)?);
        let [n, k, lda, ldc] = [n, k, lda, ldc].map(I::get);
        least(lda, order_of(false, trans, [n, k]))?;
        least(ldc, n)?;
        flags::sizes([n, k])?;
        Some(blas("cblas_*herk", T::LETTER).herk(uplo, trans, n, k, alpha, a, lda, beta, c, ldc))
    }

    syr2k "cblas_*syr2k" <T>(order: c_int, triangle: c_int, transposed: c_int, n: I, k: I, alpha: T::By, a: *const T,
        lda: I, b: *const T, ldb: I, beta: T::By, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let (uplo, trans) = (uplo(triangle, rows)?, other(trans(transposed)?, rows, T::COMPLEX)?);
        flags::never(trans == b'C' && T::COMPLEX)?;
        let [n, k, lda, ldb, ldc] = [n, k, lda, ldb, ldc].map(I::get);
        least(lda, order_of(false, trans, [n, k]))?;
        least(ldb, order_of(false, trans, [n, k]))?;
        least(ldc, n)?;
        flags::sizes([n, k])?;
        Some(blas("cblas_*syr2k", T::LETTER).syr2k(uplo, trans, n, k, T::read(alpha), a, lda, b, ldb, T::read(beta), c, ldc))
    }

    her2k "cblas_*her2k" <T>(order: c_int, triangle: c_int, transposed: c_int, n: I, k: I, alpha: T::By, a: *const T,
        lda: I, b: *const T, ldb: I, beta: RealOf<T>, c: *mut T, ldc: I)
    {
        let rows = by_rows(order)?;
        let (uplo, trans) = (uplo(triangle, rows)?, flags::adjoint(transposed, rows)?);
        let [n, k, lda, ldb, ldc] = [n, k, lda, ldb, ldc].map(I::get);
        least(lda, order_of(false, trans, [n, k]))?;
        least(ldb, order_of(false, trans, [n, k]))?;
        least(ldc, n)?;
        flags::sizes([n, k])?;
        let alpha = T::read(alpha);
        let alpha = if rows { alpha.conj() } else { alpha };
        Some(blas("cblas_*her2k", T::LETTER).her2k(uplo, trans, n, k, alpha, a, lda, b, ldb, beta, c, ldc))
    }

    trmm "cblas_*trmm" <T>(order: c_int, on: c_int, triangle: c_int, transa: c_int, unit: c_int, m: I, n: I, alpha: T::By,
        a: *const T, lda: I, b: *mut T, ldb: I)
    {
        let rows = by_rows(order)?;
        let (side, uplo, transa, diag) = (side(on, rows)?, uplo(triangle, rows)?, trans(transa)?, diag(unit)?);
        let [m, n] = flags::turned(rows, [m.get(), n.get()])?;
        let [lda, ldb] = [lda, ldb].map(I::get);
        least(lda, if side == b'L' { m } else { n })?;
        least(ldb, m)?;
        Some(blas("cblas_*trmm", T::LETTER).trmm(side, uplo, transa, diag, m, n, T::read(alpha), a, lda, b, ldb))
    }

    trsm "cblas_*trsm" <T>(order: c_int, on: c_int, triangle: c_int, transa: c_int, unit: c_int, m: I, n: I, alpha: T::By,
        a: *const T, lda: I, b: *mut T, ldb: I)
    {
        let rows = by_rows(order)?;
        let (side, uplo, transa, diag) = (side(on, rows)?, uplo(triangle, rows)?, trans(transa)?, diag(unit)?);
        let [m, n] = flags::turned(rows, [m.get(), n.get()])?;
        let [lda, ldb] = [lda, ldb].map(I::get);
        least(lda, if side == b'L' { m } else { n })?;
        least(ldb, m)?;
        Some(blas("cblas_*trsm", T::LETTER).trsm(side, uplo, transa, diag, m, n, T::read(alpha), a, lda, b, ldb))
    }

    gemv "cblas_*gemv" <T>(order: c_int, transa: c_int, m: I, n: I, alpha: T::By, a: *const T, lda: I, x: *const T,
        incx: I, beta: T::By, y: *mut T, incy: I)
    {
        let rows = by_rows(order)?;
        let trans = other(trans(transa)?, rows, T::COMPLEX)?;
        let [m, n] = flags::turned(rows, [m.get(), n.get()])?;
        let [lda, incx, incy] = [lda, incx, incy].map(I::get);
        least(lda, m)?;
        flags::steps([incx, incy])?;
        Some(blas("cblas_*gemv", T::LETTER).gemv(trans, m, n, T::read(alpha), a, lda, x, incx, T::read(beta), y, incy))
    }

    ger "cblas_*ger" <T>(order: c_int, m: I, n: I, alpha: T::By, x: *const T, incx: I, y: *const T, incy: I, a: *mut T,
        lda: I)
    {
        flags::outer(order, [m, n, incx, incy, lda].map(I::get), (x, y), |[m, n, incx, incy, lda], x, y| {
            blas("cblas_*ger", T::LETTER).geru(m, n, T::read(alpha), x, incx, y, incy, a, lda)
        })
    }

    geru "cblas_*geru" <T>(order: c_int, m: I, n: I, alpha: T::By, x: *const T, incx: I, y: *const T, incy: I, a: *mut T,
        lda: I)
    {
        flags::outer(order, [m, n, incx, incy, lda].map(I::get), (x, y), |[m, n, incx, incy, lda], x, y| {
            blas("cblas_*geru", T::LETTER).geru(m, n, T::read(alpha), x, incx, y, incy, a, lda)
        })
    }

    gerc "cblas_*gerc" <T>(order: c_int, m: I, n: I, alpha: T::By, x: *const T, incx: I, y: *const T, incy: I, a: *mut T,
        lda: I)
    {
        flags::never(by_rows(order)?)?;
        flags::outer(order, [m, n, incx, incy, lda].map(I::get), (x, y), |[m, n, incx, incy, lda], x, y| {
            blas("cblas_*gerc", T::LETTER).gerc(m, n, T::read(alpha), x, incx, y, incy, a, lda)
        })
    }

    hemv "cblas_*hemv" <T>(order: c_int, triangle: c_int, n: I, alpha: T::By, a: *const T, lda: I, x: *const T, incx: I,
        beta: T::By, y: *mut T, incy: I)
    {
        let rows = by_rows(order)?;
        flags::never(rows && T::COMPLEX)?;
        let uplo = uplo(triangle, rows)?;
        let [n, lda, incx, incy] = [n, lda, incx, incy].map(I::get);
        least(lda, n)?;
        flags::sizes([n])?;
        flags::steps([incx, incy])?;
        Some(blas("cblas_*hemv", T::LETTER).hemv(uplo, n, T::read(alpha), a, lda, x, incx, T::read(beta), y, incy))
    }

    symv "cblas_*symv" <T>(order: c_int, triangle: c_int, n: I, alpha: T::By, a: *const T, lda: I, x: *const T, incx: I,
        beta: T::By, y: *mut T, incy: I)
    {
        let uplo = uplo(triangle, by_rows(order)?)?;
        let [n, lda, incx, incy] = [n, lda, incx, incy].map(I::get);
        least(lda, n)?;
        flags::sizes([n])?;
        flags::steps([incx, incy])?;
        Some(blas("cblas_*symv", T::LETTER).hemv(uplo, n, T::read(alpha), a, lda, x, incx, T::read(beta), y, incy))
    }

    trmv "cblas_*trmv" <T>(order: c_int, triangle: c_int, transa: c_int, unit: c_int, n: I, a: *const T, lda: I, x: *mut T,
        incx: I)
    {
        let rows = by_rows(order)?;
        let (uplo, diag) = (uplo(triangle, rows)?, diag(unit)?);
        let trans = other(trans(transa)?, rows, T::COMPLEX)?;
        let [n, lda, incx] = [n, lda, incx].map(I::get);
        least(lda, n)?;
        flags::sizes([n])?;
        flags::steps([incx])?;
        Some(blas("cblas_*trmv", T::LETTER).trmv(uplo, trans, diag, n, a, lda, x, incx))
    }

    trsv "cblas_*trsv" <T>(order: c_int, triangle: c_int, transa: c_int, unit: c_int, n: I, a: *const T, lda: I, x: *mut T,
        incx: I)
    {
        let rows = by_rows(order)?;
        let (uplo, diag) = (uplo(triangle, rows)?, diag(unit)?);
        let trans = other(trans(transa)?, rows, T::COMPLEX)?;
        let [n, lda, incx] = [n, lda, incx].map(I::get);
        least(lda, n)?;
        flags::sizes([n])?;
        flags::steps([incx])?;
        Some(blas("cblas_*trsv", T::LETTER).trsv(uplo, trans, diag, n, a, lda, x, incx))
    }

    her "cblas_*her" <T>(order: c_int, triangle: c_int, n: I, alpha: RealOf<T>, x: *const T, incx: I, a: *mut T, lda: I) {
        let rows = by_rows(order)?;
        flags::never(rows && T::COMPLEX)?;
        let uplo = uplo(triangle, rows)?;
        let [n, incx, lda] = [n, incx, lda].map(I::get);
        least(lda, n)?;
        flags::sizes([n])?;
        flags::steps([incx])?;
        Some(blas("cblas_*her", T::LETTER).her(uplo, n, alpha, x, incx, a, lda))
    }

    syr "cblas_*syr" <T>(order: c_int, triangle: c_int, n: I, alpha: RealOf<T>, x: *const T, incx: I, a: *mut T, lda: I) {
        let uplo = uplo(triangle, by_rows(order)?)?;
        let [n, incx, lda] = [n, incx, lda].map(I::get);
        least(lda, n)?;
        flags::sizes([n])?;
        flags::steps([incx])?;
        Some(blas("cblas_*syr", T::LETTER).her(uplo, n, alpha, x, incx, a, lda))
    }
}

/// Vectors: CBLAS forbids nothing that BLAS does not. Where it is said what a routine is among those of vectors, short ones go on to
/// the library's own, with the rest out of line, as in [`fortran`](super::fortran).
macro_rules! vectors {
    ($($name:ident $short:tt <$T:ident>($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {$(
        vector! { $name $short $T ($($argument: $type),*) ($($result)?) $body }
    )*};
}

macro_rules! vector {
    ($name:ident [$short:ident] $T:ident ($n:ident: $N:ty, $($argument:ident: $type:ty),*) ($($result:ty)?) $body:block) => {
        unsafe extern "C" fn $name<$T: Passed, I: Integer>($n: $N, $($argument: $type),*) $(-> $result)? {
            #[inline(never)]
            unsafe extern "C" fn shared<$T: Passed, I: Integer>($n: $N, $($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller's promise to BLAS.
                unsafe { $body }
            }
            if let Some(own) = direct::short::<$T, $N>(Interface::C, VectorRoutine::$short, $n) {
                // SAFETY: the library's routine of this name, with integers of this width: it has our own type; the caller's promise.
                return unsafe {
                    let own = std::mem::transmute::<
                        *mut (),
                        unsafe extern "C" fn($N, $($type),*) $(-> $result)?,
                    >(own);
                    own($n, $($argument),*)
                };
            }
            // SAFETY: the caller's promise, handed on.
            unsafe { shared::<$T, I>($n, $($argument),*) }
        }
    };
    ($name:ident [] $T:ident ($($argument:ident: $type:ty),*) ($($result:ty)?) $body:block) => {
        unsafe extern "C" fn $name<$T: Passed, I: Integer>($($argument: $type),*) $(-> $result)? {
            // SAFETY: the caller's promise to BLAS.
            unsafe { $body }
        }
    };
}

vectors! {
    axpy [Axpy] <T>(n: I, alpha: T::By, x: *const T, incx: I, y: *mut T, incy: I) {
        done(blas("cblas_*axpy", T::LETTER).axpy(n.get(), T::read(alpha), x, incx.get(), y, incy.get()));
    }
    axpby [Axpby] <T>(n: I, alpha: T::By, x: *const T, incx: I, beta: T::By, y: *mut T, incy: I) {
        done(blas("cblas_*axpby", T::LETTER).axpby(n.get(), T::read(alpha), x, incx.get(), T::read(beta), y, incy.get()));
    }
    scal [Scal] <T>(n: I, alpha: T::By, x: *mut T, incx: I) {
        done(blas("cblas_*scal", T::LETTER).scal(n.get(), T::read(alpha), x, incx.get()));
    }
    rscal [] <T>(n: I, alpha: RealOf<T>, x: *mut T, incx: I) {
        done(blas("cblas_*rscal", T::LETTER).rscal(n.get(), alpha, x, incx.get()));
    }
    copy [Copy] <T>(n: I, x: *const T, incx: I, y: *mut T, incy: I) {
        done(blas("cblas_*copy", T::LETTER).copy(n.get(), x, incx.get(), y, incy.get()));
    }
    swap [Swap] <T>(n: I, x: *mut T, incx: I, y: *mut T, incy: I) {
        done(blas("cblas_*swap", T::LETTER).swap(n.get(), x, incx.get(), y, incy.get()));
    }
    dot [Dot] <T>(n: I, x: *const T, incx: I, y: *const T, incy: I) -> T {
        done(blas("cblas_*dot", T::LETTER).dotu(n.get(), x, incx.get(), y, incy.get()))
    }
    dotu_sub [] <T>(n: I, x: *const T, incx: I, y: *const T, incy: I, result: *mut T) {
        *result = done(blas("cblas_*dotu_sub", T::LETTER).dotu(n.get(), x, incx.get(), y, incy.get()));
    }
    dotc_sub [] <T>(n: I, x: *const T, incx: I, y: *const T, incy: I, result: *mut T) {
        *result = done(blas("cblas_*dotc_sub", T::LETTER).dotc(n.get(), x, incx.get(), y, incy.get()));
    }
    nrm2 [Nrm2] <T>(n: I, x: *const T, incx: I) -> RealOf<T> {
        done(blas("cblas_*nrm2", T::LETTER).nrm2(n.get(), x, incx.get()))
    }
    asum [Asum] <T>(n: I, x: *const T, incx: I) -> RealOf<T> {
        done(blas("cblas_*asum", T::LETTER).asum(n.get(), x, incx.get()))
    }
    iamax [] <T>(n: I, x: *const T, incx: I) -> usize {
        // From 0 in C; 0 also where there is none. Not by the library's own: BLIS's returns 32 bits, others' 64.
        done(blas("cblas_*iamax", T::LETTER).iamax(n.get(), x, incx.get())).saturating_sub(1).unsigned_abs()
    }
}

super::table! {
    gemm: "cblas_sgemm" f32, "cblas_dgemm" f64, "cblas_cgemm" C32, "cblas_zgemm" C64;
    gemmt: "cblas_sgemmt" f32, "cblas_dgemmt" f64, "cblas_cgemmt" C32, "cblas_zgemmt" C64;
    gemmt: "cblas_sgemmtr" f32, "cblas_dgemmtr" f64, "cblas_cgemmtr" C32, "cblas_zgemmtr" C64;
    symm: "cblas_ssymm" f32, "cblas_dsymm" f64, "cblas_csymm" C32, "cblas_zsymm" C64;
    hemm: "cblas_chemm" C32, "cblas_zhemm" C64;
    syrk: "cblas_ssyrk" f32, "cblas_dsyrk" f64, "cblas_csyrk" C32, "cblas_zsyrk" C64;
    herk: "cblas_cherk" C32, "cblas_zherk" C64;
    syr2k: "cblas_ssyr2k" f32, "cblas_dsyr2k" f64, "cblas_csyr2k" C32, "cblas_zsyr2k" C64;
    her2k: "cblas_cher2k" C32, "cblas_zher2k" C64;
    trmm: "cblas_strmm" f32, "cblas_dtrmm" f64, "cblas_ctrmm" C32, "cblas_ztrmm" C64;
    trsm: "cblas_strsm" f32, "cblas_dtrsm" f64, "cblas_ctrsm" C32, "cblas_ztrsm" C64;

    gemv: "cblas_sgemv" f32, "cblas_dgemv" f64, "cblas_cgemv" C32, "cblas_zgemv" C64;
    ger: "cblas_sger" f32, "cblas_dger" f64;
    geru: "cblas_cgeru" C32, "cblas_zgeru" C64;
    gerc: "cblas_cgerc" C32, "cblas_zgerc" C64;
    symv: "cblas_ssymv" f32, "cblas_dsymv" f64;
    hemv: "cblas_chemv" C32, "cblas_zhemv" C64;
    trmv: "cblas_strmv" f32, "cblas_dtrmv" f64, "cblas_ctrmv" C32, "cblas_ztrmv" C64;
    trsv: "cblas_strsv" f32, "cblas_dtrsv" f64, "cblas_ctrsv" C32, "cblas_ztrsv" C64;
    syr: "cblas_ssyr" f32, "cblas_dsyr" f64;
    her: "cblas_cher" C32, "cblas_zher" C64;

    axpy: "cblas_saxpy" f32, "cblas_daxpy" f64, "cblas_caxpy" C32, "cblas_zaxpy" C64;
    axpby: "cblas_saxpby" f32, "cblas_daxpby" f64, "cblas_caxpby" C32, "cblas_zaxpby" C64;
    scal: "cblas_sscal" f32, "cblas_dscal" f64, "cblas_cscal" C32, "cblas_zscal" C64;
    rscal: "cblas_csscal" C32, "cblas_zdscal" C64;
    copy: "cblas_scopy" f32, "cblas_dcopy" f64, "cblas_ccopy" C32, "cblas_zcopy" C64;
    swap: "cblas_sswap" f32, "cblas_dswap" f64, "cblas_cswap" C32, "cblas_zswap" C64;
    dot: "cblas_sdot" f32, "cblas_ddot" f64;
    dotu_sub: "cblas_cdotu_sub" C32, "cblas_zdotu_sub" C64;
    dotc_sub: "cblas_cdotc_sub" C32, "cblas_zdotc_sub" C64;
    nrm2: "cblas_snrm2" f32, "cblas_dnrm2" f64, "cblas_scnrm2" C32, "cblas_dznrm2" C64;
    asum: "cblas_sasum" f32, "cblas_dasum" f64, "cblas_scasum" C32, "cblas_dzasum" C64;
    iamax: "cblas_isamax" f32, "cblas_idamax" f64, "cblas_icamax" C32, "cblas_izamax" C64;
}
