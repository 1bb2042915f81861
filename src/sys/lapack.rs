//! Typed calls of the LAPACK routines of one library, as far as it has them.
//!
//! Invariants: as for the BLAS (`blas.rs`): the symbols are what the library's naming says, its integers have the width that was
//! found out, and it is held while they are used. Unlike a BLAS, a library without LAPACK is whole: each routine may be
//! absent, which its call says by `None`.

use super::blas::{Element, Integer};
use super::library::Library;
use super::naming::Naming;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// What the C side takes for an argument of this kind.
macro_rules! c_type {
    (int, $T:ty, $I:ty) => { *const $I };
    (input, $T:ty, $I:ty) => { *const $T };
    (output, $T:ty, $I:ty) => { *mut $T };
    (pivots, $T:ty, $I:ty) => { *mut $I };
}

/// What the Rust side takes for it. Pivots are integers of the library's width.
macro_rules! rust_type {
    (int, $T:ty) => { isize };
    (input, $T:ty) => { *const $T };
    (output, $T:ty) => { *mut $T };
    (pivots, $T:ty) => { *mut c_void };
}

/// The argument as a place that can be pointed to.
macro_rules! place {
    (int, $value:ident, $I:ty) => {
        <$I as Integer>::of($value)
    };
    (pivots, $value:ident, $I:ty) => {
        $value.cast::<$I>()
    };
    ($kind:ident, $value:ident, $I:ty) => {
        $value
    };
}

/// What is passed for that place.
macro_rules! pass {
    (int, $place:ident) => {
        &raw const $place
    };
    ($kind:ident, $place:ident) => {
        $place
    };
}

/// A flag, and the length of the text that a Fortran compiler passes with it.
macro_rules! flag {
    (pointer, $flag:ident) => { *const u8 };
    (length, $flag:ident) => { usize };
    (one, $flag:ident) => { 1_usize };
}

/// The routines: what they are called for real and for complex elements (`*` stands for the letter of the element type),
/// their flags, and their other arguments by kind, but for the last, which is `info`.
macro_rules! routines {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident [$real:literal $complex:literal] ($($flag:ident),*; $($argument:ident: $kind:ident),*);
    )*) => {
        /// The LAPACK routines of one library for one element type.
        #[derive(Debug)]
        pub struct Lapack<T> {
            wide: bool,
            $($name: Option<NonNull<c_void>>,)*
            element: PhantomData<T>,
        }

        // SAFETY: addresses of code, which any thread may call.
        unsafe impl<T> Send for Lapack<T> {}
        // SAFETY: as above.
        unsafe impl<T> Sync for Lapack<T> {}

        impl<T: Element> Lapack<T> {
            /// Those that the library has.
            ///
            /// # Safety
            /// What it defines under these names are these routines, with integers of 64 bits if `wide`, else of 32.
            pub(crate) unsafe fn find(library: &Library, naming: Naming, wide: bool) -> Self {
                let look = |real: &str, complex: &str| {
                    let pattern = if T::COMPLEX { complex } else { real };
                    library.symbol(&naming.fortran(&pattern.replace('*', T::LETTER)))
                };
                Lapack {
                    wide,
                    $($name: look($real, $complex),)*
                    element: PhantomData,
                }
            }

            $(
                $(#[doc = $doc])*
                /// Returns `info`; `None` if the library does not have the routine.
                ///
                /// # Safety
                /// As LAPACK demands of the arguments, of which the integers fit the library's; it is held.
                #[allow(clippy::too_many_arguments, reason = "LAPACK has them")]
                pub(crate) unsafe fn $name(
                    &self, $($flag: u8,)* $($argument: rust_type!($kind, T)),*
                ) -> Option<isize> {
                    #[allow(clippy::too_many_arguments, reason = "LAPACK has them")]
                    unsafe fn call<T: Element, I: Integer>(
                        routine: NonNull<c_void>, $($flag: u8,)* $($argument: rust_type!($kind, T)),*
                    ) -> isize {
                        // SAFETY: `find` was vouched for: a routine of this type.
                        let routine = unsafe {
                            std::mem::transmute::<
                                NonNull<c_void>,
                                unsafe extern "C" fn(
                                    $(flag!(pointer, $flag),)* $(c_type!($kind, T, I),)* *mut I,
                                    $(flag!(length, $flag)),*
                                ),
                            >(routine)
                        };
                        $(let $argument = place!($kind, $argument, I);)*
                        let mut info = I::of(0);
                        // SAFETY: the arguments were vouched for, and the places live until the call returns.
                        unsafe {
                            routine(
                                $(&raw const $flag,)* $(pass!($kind, $argument),)* &raw mut info,
                                $(flag!(one, $flag)),*
                            );
                        }
                        info.get()
                    }
                    let routine = self.$name?;
                    // SAFETY: our caller's promise, handed on.
                    Some(unsafe {
                        if self.wide {
                            call::<T, i64>(routine, $($flag,)* $($argument),*)
                        } else {
                            call::<T, i32>(routine, $($flag,)* $($argument),*)
                        }
                    })
                }
            )*
        }
    };
}

routines! {
    /// A = P L U.
    getrf ["*getrf" "*getrf"] (; m: int, n: int, a: output, lda: int, ipiv: pivots);
    /// Solves op(A) X = B by the factors of getrf.
    getrs ["*getrs" "*getrs"] (trans; n: int, nrhs: int, a: input, lda: int, ipiv: pivots, b: output, ldb: int);
    /// getrf and getrs.
    gesv ["*gesv" "*gesv"] (; n: int, nrhs: int, a: output, lda: int, ipiv: pivots, b: output, ldb: int);
    /// The inverse by the factors of getrf.
    getri ["*getri" "*getri"] (; n: int, a: output, lda: int, ipiv: pivots, work: output, lwork: int);
    /// A = L L^H or U^H U.
    potrf ["*potrf" "*potrf"] (uplo; n: int, a: output, lda: int);
    /// Solves A X = B by the factor of potrf.
    potrs ["*potrs" "*potrs"] (uplo; n: int, nrhs: int, a: input, lda: int, b: output, ldb: int);
    /// potrf and potrs.
    posv ["*posv" "*posv"] (uplo; n: int, nrhs: int, a: output, lda: int, b: output, ldb: int);
    /// The inverse by the factor of potrf.
    potri ["*potri" "*potri"] (uplo; n: int, a: output, lda: int);
    /// The inverse of a triangle.
    trtri ["*trtri" "*trtri"] (uplo, diag; n: int, a: output, lda: int);
    /// Solves op(A) X = B, A triangular.
    trtrs ["*trtrs" "*trtrs"] (uplo, trans, diag; n: int, nrhs: int, a: input, lda: int, b: output, ldb: int);
    /// U U^H or L^H L.
    lauum ["*lauum" "*lauum"] (uplo; n: int, a: output, lda: int);
    /// A = Q R.
    geqrf ["*geqrf" "*geqrf"] (; m: int, n: int, a: output, lda: int, tau: output, work: output, lwork: int);
    /// A = L Q.
    gelqf ["*gelqf" "*gelqf"] (; m: int, n: int, a: output, lda: int, tau: output, work: output, lwork: int);
    /// C times Q of geqrf, from either side.
    unmqr ["*ormqr" "*unmqr"] (side, trans; m: int, n: int, k: int, a: input, lda: int, tau: input, c: output, ldc: int,
        work: output, lwork: int);
    /// C times Q of gelqf, from either side.
    unmlq ["*ormlq" "*unmlq"] (side, trans; m: int, n: int, k: int, a: input, lda: int, tau: input, c: output, ldc: int,
        work: output, lwork: int);
    /// The columns of Q of geqrf.
    ungqr ["*orgqr" "*ungqr"] (; m: int, n: int, k: int, a: output, lda: int, tau: input, work: output, lwork: int);
    /// The rows of Q of gelqf.
    unglq ["*orglq" "*unglq"] (; m: int, n: int, k: int, a: output, lda: int, tau: input, work: output, lwork: int);
    /// Least squares by either.
    gels ["*gels" "*gels"] (trans; m: int, n: int, nrhs: int, a: output, lda: int, b: output, ldb: int, work: output,
        lwork: int);
    /// A root of the secular equation.
    laed4 ["*laed4" "*laed4"] (; n: int, i: int, d: input, z: input, delta: output, rho: input, dlam: output);
    /// The eigenvectors of two halves together.
    laed3 ["*laed3" "*laed3"] (; k: int, n: int, n1: int, d: output, q: output, ldq: int, rho: input, dlamda: output,
        q2: input, indx: pivots, ctot: pivots, w: output, s: output);
}

impl<T> Lapack<T> {
    /// Whether it finds roots.
    pub(crate) fn has_laed4(&self) -> bool {
        self.laed4.is_some()
    }

    /// Whether its pivots are integers of 64 bits.
    pub(crate) fn wide(&self) -> bool {
        self.wide
    }
}
