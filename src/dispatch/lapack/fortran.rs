//! The same routines as LAPACK's own interface has them: every argument an address, `info` the last.
//!
//! For those who provide symbols such as `dgetrf_`. The hidden lengths of flags, which Fortran compilers append, are not
//! looked at. [`COVERED`] lists what there is, with the symbols that each stands for.
//!
//! Invariant: what these do is what the methods of [`Blas`] of the same name do; nothing is decided here.

use super::Int;
use crate::dispatch::{Blas, Scalar};
use crate::error::Result;

/// A routine that dispatch covers.
///
/// ```
/// use threadctl::dispatch::lapack::fortran::COVERED;
/// let names = COVERED.iter().map(|routine| routine.symbol("z"));
/// assert!(names.into_iter().any(|name| name == "zgetrf"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// The function of this module, and the method of [`Blas`].
    pub function: &'static str,
    /// LAPACK's name for real elements; `*` stands for the letter of the type.
    pub real: &'static str,
    /// LAPACK's name for complex elements.
    pub complex: &'static str,
    /// The kinds of its arguments in their order, without `info`, which is the last: `flag`, `int`, `input` and `output`
    /// (elements), `pivots` and `read_pivots` (integers).
    pub arguments: &'static [&'static str],
}

impl Covered {
    /// LAPACK's name for the type of this letter, without the underscore that Fortran compilers append.
    ///
    /// ```
    /// # use threadctl::dispatch::lapack::fortran::COVERED;
    /// assert!(COVERED[0].symbol("d").starts_with('d'));
    /// ```
    #[must_use]
    pub fn symbol(&self, letter: &str) -> String {
        let complex = matches!(letter, "c" | "z");
        let pattern = if complex { self.complex } else { self.real };
        pattern.replace('*', letter)
    }
}

macro_rules! address {
    (flag, $T:ty, $I:ty) => { *const u8 };
    (int, $T:ty, $I:ty) => { *const $I };
    (input, $T:ty, $I:ty) => { *const $T };
    (output, $T:ty, $I:ty) => { *mut $T };
    (pivots, $T:ty, $I:ty) => { *mut $I };
    (read_pivots, $T:ty, $I:ty) => { *const $I };
}

pub(crate) use address;

macro_rules! value {
    (flag, $address:ident) => {
        *$address
    };
    (int, $address:ident) => {
        (*$address).get()
    };
    ($kind:ident, $address:ident) => {
        $address
    };
}

macro_rules! routines {
    ($($name:ident [$real:literal $complex:literal] ($($argument:ident: $kind:ident),*);)*) => {
        /// All routines of this module.
        ///
        /// ```
        /// assert!(!threadctl::dispatch::lapack::fortran::COVERED.is_empty());
        /// ```
        pub const COVERED: &[Covered] = &[$(Covered {
            function: stringify!($name),
            real: $real,
            complex: $complex,
            arguments: &[$(stringify!($kind)),*],
        }),*];

        $(
            #[doc = concat!("LAPACK's `", $real, "` and `", $complex, "`, by [`Blas::", stringify!($name), "`].")]
            ///
            /// # Errors
            /// As for the method; `info` is not written then.
            ///
            /// # Safety
            /// As for the method, and the addresses are of arguments of these types.
            ///
            /// ```
            #[doc = concat!("use threadctl::dispatch::lapack::fortran::", stringify!($name), ";")]
            /// ```
            #[allow(clippy::too_many_arguments, reason = "LAPACK has them")]
            pub unsafe fn $name<T: Scalar, I: Int>(
                blas: &Blas, $($argument: address!($kind, T, I),)* info: *mut I,
            ) -> Result<()> {
                // SAFETY: our caller's promise.
                unsafe {
                    let result = blas.$name($(value!($kind, $argument)),*)?;
                    info.write(I::of(result));
                }
                Ok(())
            }
        )*
    };
}

/// Hands the routines to a macro: that of this module, and the one that makes symbols of them (`backend/covered/`).
macro_rules! with_routines {
    ($with:ident) => { $with! {
    getrf ["*getrf" "*getrf"] (m: int, n: int, a: output, lda: int, ipiv: pivots);
    getrs ["*getrs" "*getrs"] (trans: flag, n: int, nrhs: int, a: input, lda: int, ipiv: read_pivots, b: output,
        ldb: int);
    gesv ["*gesv" "*gesv"] (n: int, nrhs: int, a: output, lda: int, ipiv: pivots, b: output, ldb: int);
    potrf ["*potrf" "*potrf"] (uplo: flag, n: int, a: output, lda: int);
    potrs ["*potrs" "*potrs"] (uplo: flag, n: int, nrhs: int, a: input, lda: int, b: output, ldb: int);
    posv ["*posv" "*posv"] (uplo: flag, n: int, nrhs: int, a: output, lda: int, b: output, ldb: int);
    geqrf ["*geqrf" "*geqrf"] (m: int, n: int, a: output, lda: int, tau: output, work: output, lwork: int);
    unmqr ["*ormqr" "*unmqr"] (side: flag, trans: flag, m: int, n: int, k: int, a: input, lda: int, tau: input,
        c: output, ldc: int, work: output, lwork: int);
    ungqr ["*orgqr" "*ungqr"] (m: int, n: int, k: int, a: output, lda: int, tau: input, work: output, lwork: int);
    gelqf ["*gelqf" "*gelqf"] (m: int, n: int, a: output, lda: int, tau: output, work: output, lwork: int);
    unmlq ["*ormlq" "*unmlq"] (side: flag, trans: flag, m: int, n: int, k: int, a: input, lda: int, tau: input,
        c: output, ldc: int, work: output, lwork: int);
    unglq ["*orglq" "*unglq"] (m: int, n: int, k: int, a: output, lda: int, tau: input, work: output, lwork: int);
    gels ["*gels" "*gels"] (trans: flag, m: int, n: int, nrhs: int, a: output, lda: int, b: output, ldb: int,
        work: output, lwork: int);
    getri ["*getri" "*getri"] (n: int, a: output, lda: int, ipiv: read_pivots, work: output, lwork: int);
    potri ["*potri" "*potri"] (uplo: flag, n: int, a: output, lda: int);
    trtri ["*trtri" "*trtri"] (uplo: flag, diag: flag, n: int, a: output, lda: int);
    trtrs ["*trtrs" "*trtrs"] (uplo: flag, trans: flag, diag: flag, n: int, nrhs: int, a: input, lda: int, b: output,
        ldb: int);
    lauum ["*lauum" "*lauum"] (uplo: flag, n: int, a: output, lda: int);
}};
}
pub(crate) use with_routines;

with_routines!(routines);
