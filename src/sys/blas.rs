//! Typed calls of the BLAS routines of one library, whatever it calls them and however wide its integers are.
//!
//! Invariants: a [`Kernels`] is made only from symbols that the library's naming says are these routines, after its
//! integers were found out by behaviour; it is used only while that library is held. Matrices are column-major, and
//! arguments mean what the reference BLAS says they mean.

use super::library::Library;
use super::naming::Naming;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// An integer of a BLAS interface: 32 bits (LP64) or 64 (ILP64).
pub(crate) trait Integer: Copy {
    /// Whether it has 64 bits.
    const WIDE: bool;
    /// The number, which fits: [`Kernels::fit`].
    fn of(value: isize) -> Self;
    fn get(self) -> isize;
}

impl Integer for i32 {
    const WIDE: bool = false;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "callers checked with `fit`"
    )]
    fn of(value: isize) -> Self {
        value as i32
    }
    fn get(self) -> isize {
        self as isize
    }
}

impl Integer for i64 {
    const WIDE: bool = true;
    fn of(value: isize) -> Self {
        value as i64
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "isize has 64 bits on the supported targets"
    )]
    fn get(self) -> isize {
        self as isize
    }
}

/// The element types that BLAS knows, and the letters by which its routines are named.
pub trait Element: Copy + 'static {
    /// Its real part's type.
    type Real: Copy + Default + 'static;
    /// `s`, `d`, `c` or `z`.
    const LETTER: &'static str;
    /// Where a routine returns the real type: `s`, `d`, `sc`, `dz`.
    const REAL_LETTERS: &'static str;
    /// Where complex elements are scaled by a real number: `cs`, `zd`.
    const SCALED_BY_REAL: &'static str;
    /// Whether it is complex.
    const COMPLEX: bool;
}

macro_rules! elements {
    ($($type:ty, $real:ty, $letter:literal, $real_letters:literal, $scaled:literal, $complex:literal;)*) => {$(
        impl Element for $type {
            type Real = $real;
            const LETTER: &'static str = $letter;
            const REAL_LETTERS: &'static str = $real_letters;
            const SCALED_BY_REAL: &'static str = $scaled;
            const COMPLEX: bool = $complex;
        }
    )*};
}

elements! {
    f32, f32, "s", "s", "s", false;
    f64, f64, "d", "d", "d", false;
    num_complex::Complex<f32>, f32, "c", "sc", "cs", true;
    num_complex::Complex<f64>, f64, "z", "dz", "zd", true;
}

/// What the C side takes for an argument of this kind.
macro_rules! c_type {
    (int, $T:ty, $I:ty) => { *const $I };
    (scalar, $T:ty, $I:ty) => { *const $T };
    (real, $T:ty, $I:ty) => { *const <$T as Element>::Real };
    (input, $T:ty, $I:ty) => { *const $T };
    (output, $T:ty, $I:ty) => { *mut $T };
}

/// What the Rust side takes for it.
macro_rules! rust_type {
    (int, $T:ty) => { isize };
    (scalar, $T:ty) => { $T };
    (real, $T:ty) => { <$T as Element>::Real };
    (input, $T:ty) => { *const $T };
    (output, $T:ty) => { *mut $T };
}

/// The argument as a place that can be pointed to.
macro_rules! place {
    (int, $value:ident, $I:ty) => {
        <$I as Integer>::of($value)
    };
    ($kind:ident, $value:ident, $I:ty) => {
        $value
    };
}

/// What is passed for that place.
macro_rules! pass {
    (input, $place:ident) => {
        $place
    };
    (output, $place:ident) => {
        $place
    };
    ($kind:ident, $place:ident) => {
        &raw const $place
    };
}

/// What comes back, on either side.
macro_rules! returned {
    (c, , $T:ty, $I:ty) => {
        ()
    };
    (c, index, $T:ty, $I:ty) => {
        $I
    };
    (c, real, $T:ty, $I:ty) => {
        <$T as Element>::Real
    };
    (rust, , $T:ty) => {
        ()
    };
    (rust, index, $T:ty) => {
        isize
    };
    (rust, real, $T:ty) => {
        <$T as Element>::Real
    };
    (convert, , $value:expr) => {
        $value
    };
    (convert, index, $value:expr) => {
        $value.get()
    };
    (convert, real, $value:expr) => {
        $value
    };
}

/// A flag, and the length of the text that a Fortran compiler passes with it.
macro_rules! flag {
    (pointer, $flag:ident) => { *const u8 };
    (length, $flag:ident) => { usize };
    (one, $flag:ident) => { 1_usize };
}

/// The routines: what they are called for real and for complex elements (`*` stands for the letter of the element
/// type, `+` for those of a real result, `-` for those of a real factor), whether a library must have it, its flags, its other arguments by kind, what
/// it returns.
macro_rules! routines {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident [$real:literal $complex:literal $need:ident] ($($flag:ident),*; $($argument:ident: $kind:ident),*)
        $(-> $result:ident)?;
    )*) => {
        /// The routines of one library for one element type.
        #[derive(Debug)]
        pub struct Kernels<T> {
            wide: bool,
            dots: [Option<NonNull<c_void>>; 2],
            $($name: Option<NonNull<c_void>>,)*
            element: PhantomData<T>,
        }

        // SAFETY: addresses of code, which any thread may call.
        unsafe impl<T> Send for Kernels<T> {}
        // SAFETY: as above.
        unsafe impl<T> Sync for Kernels<T> {}

        impl<T: Element> Kernels<T> {
            /// All of them; `Err` is the first name that a library must have and this one has not.
            ///
            /// # Safety
            /// The library is a BLAS: what it defines under these names are these routines, with integers of 64 bits
            /// if `wide`, else of 32.
            pub(crate) unsafe fn find(library: &Library, naming: Naming, wide: bool) -> Result<Self, String> {
                let look = |real: &str, complex: &str, needed: bool| {
                    let pattern = if T::COMPLEX { complex } else { real };
                    let name = naming.fortran(
                        &pattern
                            .replace('*', T::LETTER)
                            .replace('+', T::REAL_LETTERS)
                            .replace('-', T::SCALED_BY_REAL),
                    );
                    match library.symbol(&name) {
                        None if needed => Err(name),
                        found => Ok(found),
                    }
                };
                Ok(Kernels {
                    wide,
                    dots: dots::<T>(library, naming)?,
                    $($name: look($real, $complex, stringify!($need) == "needed")?,)*
                    element: PhantomData,
                })
            }

            $(
                $(#[doc = $doc])*
                ///
                /// # Safety
                /// As the reference BLAS demands of the arguments, of which the integers [fit](Kernels::fit); the
                /// library is held, and has the routine.
                #[inline]
                #[allow(clippy::too_many_arguments, reason = "BLAS has them")]
                pub(crate) unsafe fn $name(
                    &self, $($flag: u8,)* $($argument: rust_type!($kind, T)),*
                ) -> returned!(rust, $($result)?, T) {
                    #[inline]
                    #[allow(clippy::too_many_arguments, reason = "BLAS has them")]
                    unsafe fn call<T: Element, I: Integer>(
                        routine: NonNull<c_void>, $($flag: u8,)* $($argument: rust_type!($kind, T)),*
                    ) -> returned!(rust, $($result)?, T) {
                        // SAFETY: `find` was vouched for: a routine of this type.
                        let routine = unsafe {
                            std::mem::transmute::<
                                NonNull<c_void>,
                                unsafe extern "C" fn(
                                    $(flag!(pointer, $flag),)* $(c_type!($kind, T, I),)* $(flag!(length, $flag)),*
                                ) -> returned!(c, $($result)?, T, I),
                            >(routine)
                        };
                        $(let $argument = place!($kind, $argument, I);)*
                        // SAFETY: the arguments were vouched for, and the places live until the call returns.
                        let result = unsafe {
                            routine($(&raw const $flag,)* $(pass!($kind, $argument),)* $(flag!(one, $flag)),*)
                        };
                        returned!(convert, $($result)?, result)
                    }
                    debug_assert!(self.$name.is_some(), "the library has no {}", stringify!($name));
                    let Some(routine) = self.$name else {
                        return Default::default();
                    };
                    // SAFETY: our caller's promise, handed on.
                    unsafe {
                        if self.wide {
                            call::<T, i64>(routine, $($flag,)* $($argument),*)
                        } else {
                            call::<T, i32>(routine, $($flag,)* $($argument),*)
                        }
                    }
                }
            )*
        }
    };
}

routines! {
    // Level 3.
    /// C = alpha op(A) op(B) + beta C.
    gemm ["*gemm" "*gemm" needed] (transa, transb; m: int, n: int, k: int, alpha: scalar, a: input, lda: int, b: input,
        ldb: int, beta: scalar, c: output, ldc: int);
    /// The same for one triangle of C. Not in the reference BLAS before 3.12.
    gemmt ["*gemmt" "*gemmt" optional] (uplo, transa, transb; n: int, k: int, alpha: scalar, a: input, lda: int,
        b: input, ldb: int, beta: scalar, c: output, ldc: int);
    /// C = alpha A B + beta C or alpha B A + beta C, A symmetric.
    symm ["*symm" "*symm" needed] (side, uplo; m: int, n: int, alpha: scalar, a: input, lda: int, b: input, ldb: int,
        beta: scalar, c: output, ldc: int);
    /// The same, A Hermitian.
    hemm ["*symm" "*hemm" needed] (side, uplo; m: int, n: int, alpha: scalar, a: input, lda: int, b: input, ldb: int,
        beta: scalar, c: output, ldc: int);
    /// C = alpha op(A) op(A)^T + beta C, one triangle.
    syrk ["*syrk" "*syrk" needed] (uplo, trans; n: int, k: int, alpha: scalar, a: input, lda: int, beta: scalar,
        c: output, ldc: int);
    /// C = alpha op(A) op(A)^H + beta C, one triangle.
    herk ["*syrk" "*herk" needed] (uplo, trans; n: int, k: int, alpha: real, a: input, lda: int, beta: real, c: output,
        ldc: int);
    /// C = alpha op(A) op(B)^T + alpha op(B) op(A)^T + beta C, one triangle.
    syr2k ["*syr2k" "*syr2k" needed] (uplo, trans; n: int, k: int, alpha: scalar, a: input, lda: int, b: input,
        ldb: int, beta: scalar, c: output, ldc: int);
    /// C = alpha op(A) op(B)^H + conj(alpha) op(B) op(A)^H + beta C, one triangle.
    her2k ["*syr2k" "*her2k" needed] (uplo, trans; n: int, k: int, alpha: scalar, a: input, lda: int, b: input,
        ldb: int, beta: real, c: output, ldc: int);
    /// B = alpha op(A) B or alpha B op(A), A triangular.
    trmm ["*trmm" "*trmm" needed] (side, uplo, transa, diag; m: int, n: int, alpha: scalar, a: input, lda: int,
        b: output, ldb: int);
    /// Solves op(A) X = alpha B or X op(A) = alpha B, A triangular, X in B's place.
    trsm ["*trsm" "*trsm" needed] (side, uplo, transa, diag; m: int, n: int, alpha: scalar, a: input, lda: int,
        b: output, ldb: int);

    // Level 2.
    /// y = alpha op(A) x + beta y.
    gemv ["*gemv" "*gemv" needed] (trans; m: int, n: int, alpha: scalar, a: input, lda: int, x: input, incx: int,
        beta: scalar, y: output, incy: int);
    /// A = alpha x y^T + A.
    ger ["*ger" "*geru" needed] (; m: int, n: int, alpha: scalar, x: input, incx: int, y: input, incy: int, a: output,
        lda: int);
    /// A = alpha x y^H + A.
    gerc ["*ger" "*gerc" needed] (; m: int, n: int, alpha: scalar, x: input, incx: int, y: input, incy: int, a: output,
        lda: int);
    /// y = alpha A x + beta y, A Hermitian (symmetric, where real).
    hemv ["*symv" "*hemv" needed] (uplo; n: int, alpha: scalar, a: input, lda: int, x: input, incx: int, beta: scalar,
        y: output, incy: int);
    /// x = op(A) x, A triangular.
    trmv ["*trmv" "*trmv" needed] (uplo, trans, diag; n: int, a: input, lda: int, x: output, incx: int);
    /// Solves op(A) y = x, A triangular, y in x's place.
    trsv ["*trsv" "*trsv" needed] (uplo, trans, diag; n: int, a: input, lda: int, x: output, incx: int);
    /// A = alpha x x^H + A, one triangle.
    her ["*syr" "*her" needed] (uplo; n: int, alpha: real, x: input, incx: int, a: output, lda: int);

    // Level 1.
    /// y = alpha x + y.
    axpy ["*axpy" "*axpy" needed] (; n: int, alpha: scalar, x: input, incx: int, y: output, incy: int);
    /// y = alpha x + beta y. An extension of OpenBLAS, MKL and ATLAS.
    axpby ["*axpby" "*axpby" optional] (; n: int, alpha: scalar, x: input, incx: int, beta: scalar, y: output,
        incy: int);
    /// x = alpha x.
    scal ["*scal" "*scal" needed] (; n: int, alpha: scalar, x: output, incx: int);
    /// x = alpha x, alpha real.
    rscal ["*scal" "-scal" needed] (; n: int, alpha: real, x: output, incx: int);
    /// y = x.
    copy ["*copy" "*copy" needed] (; n: int, x: input, incx: int, y: output, incy: int);
    /// x and y change places.
    swap ["*swap" "*swap" needed] (; n: int, x: output, incx: int, y: output, incy: int);
    /// The Euclidean length of x.
    nrm2 ["+nrm2" "+nrm2" needed] (; n: int, x: input, incx: int) -> real;
    /// The sum of |Re x| + |Im x|.
    asum ["+asum" "+asum" needed] (; n: int, x: input, incx: int) -> real;
    /// The first place, from 1, where |Re x| + |Im x| is largest; 0 if there is none.
    iamax ["i*amax" "i*amax" needed] (; n: int, x: input, incx: int) -> index;
}

/// The dot products. For complex elements from CBLAS, which writes the result to a place: how Fortran's return it
/// differs between compilers.
fn dots<T: Element>(
    library: &Library,
    naming: Naming,
) -> Result<[Option<NonNull<c_void>>; 2], String> {
    let [plain, conjugated] = if T::COMPLEX {
        ["u", "c"].map(|which| naming.cblas(&format!("{}dot{which}_sub", T::LETTER)))
    } else {
        let name = naming.fortran(&format!("{}dot", T::LETTER));
        [name.clone(), name]
    };
    match (library.symbol(&plain), library.symbol(&conjugated)) {
        (None, _) => Err(plain),
        (_, None) => Err(conjugated),
        found => Ok(found.into()),
    }
}

impl<T: Element> Kernels<T> {
    /// Whether this library's integers can hold all of the numbers.
    #[inline]
    pub(crate) fn fit(&self, numbers: &[isize]) -> bool {
        // All of them, without a branch for each: they nearly always do.
        self.wide
            || numbers
                .iter()
                .fold(true, |fit, &number| fit & i32::try_from(number).is_ok())
    }

    /// The file that its routines are in.
    pub(crate) fn origin(&self) -> Option<std::path::PathBuf> {
        let address = self.gemm?.as_ptr() as usize;
        super::objects::origin(address)?.file()
    }

    /// Whether the library has `gemmt`.
    pub(crate) fn has_gemmt(&self) -> bool {
        self.gemmt.is_some()
    }

    /// Whether the library has `axpby`.
    pub(crate) fn has_axpby(&self) -> bool {
        self.axpby.is_some()
    }

    /// The sum of `x * y`, of `conj(x) * y` if `conjugated`.
    ///
    /// # Safety
    /// As for the other routines.
    #[inline]
    pub(crate) unsafe fn dot(
        &self,
        conjugated: bool,
        n: isize,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
    ) -> T {
        #[inline]
        unsafe fn call<T: Element, I: Integer>(
            routine: NonNull<c_void>,
            [n, incx, incy]: [isize; 3],
            x: *const T,
            y: *const T,
        ) -> T {
            let (n, incx, incy) = (I::of(n), I::of(incx), I::of(incy));
            if T::COMPLEX {
                // SAFETY: `dots` found CBLAS's routine of this type.
                let routine = unsafe {
                    std::mem::transmute::<
                        NonNull<c_void>,
                        unsafe extern "C" fn(I, *const T, I, *const T, I, *mut T),
                    >(routine)
                };
                let mut result = std::mem::MaybeUninit::<T>::uninit();
                // SAFETY: the arguments were vouched for; the routine writes the result.
                unsafe {
                    routine(n, x, incx, y, incy, result.as_mut_ptr());
                    result.assume_init()
                }
            } else {
                // SAFETY: `dots` found Fortran's routine of this type.
                let routine = unsafe {
                    std::mem::transmute::<
                        NonNull<c_void>,
                        unsafe extern "C" fn(*const I, *const T, *const I, *const T, *const I) -> T,
                    >(routine)
                };
                // SAFETY: the arguments were vouched for.
                unsafe { routine(&raw const n, x, &raw const incx, y, &raw const incy) }
            }
        }
        let Some(routine) = self.dots[usize::from(conjugated)] else {
            // Not reached: `find` demands both. A sum of nothing is all zero bits.
            // SAFETY: the element types are floating-point numbers.
            return unsafe { std::mem::zeroed() };
        };
        // SAFETY: our caller's promise, handed on.
        unsafe {
            if self.wide {
                call::<T, i64>(routine, [n, incx, incy], x, y)
            } else {
                call::<T, i32>(routine, [n, incx, incy], x, y)
            }
        }
    }
}
