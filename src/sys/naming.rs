//! How a BLAS library names its routines, how wide its integers are and how it returns complex numbers.
//!
//! Invariant: what no name tells is found out by behaviour, with calls that are right whichever way it is.

use super::library::Library;
use std::ffi::c_void;
use std::ptr::NonNull;

/// How a library names its routines: `dgemm_`, `scipy_dgemm_`, `dgemm_64_` ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// Before the routine's own name.
    pub prefix: &'static str,
    /// After it, for the Fortran routines.
    pub fortran: &'static str,
    /// After it, for those of CBLAS.
    pub cblas: &'static str,
}

/// The ways that are known, in the order in which they are tried. Sources: the reference BLAS for the first; the
/// scipy-openblas wheels; OpenBLAS's SYMBOLSUFFIX for its own 64-bit builds (`64_`), Julia's and SuiteSparse's likewise;
/// MKL's `_64`.
const NAMINGS: &[Naming] = &[
    naming("", "_", ""),
    naming("scipy_", "_", ""),
    naming("", "64_", "64_"),
    naming("", "_64_", "64_"),
    naming("scipy_", "_64_", "64_"),
    naming("", "", ""),
];

const fn naming(prefix: &'static str, fortran: &'static str, cblas: &'static str) -> Naming {
    Naming {
        prefix,
        fortran,
        cblas,
    }
}

impl Naming {
    /// That of a library, by the name of its matrix product.
    pub(crate) fn of(library: &Library) -> Option<Naming> {
        NAMINGS
            .iter()
            .copied()
            .find(|naming| library.symbol(&naming.fortran("dgemm")).is_some())
    }

    /// That of the reference libraries.
    pub(crate) fn of_reference_libraries() -> Naming {
        NAMINGS[0]
    }

    /// Those that no other kind of function is called by: all but the bare names.
    pub(crate) fn decorated() -> impl Iterator<Item = Naming> {
        let bare = |naming: &Naming| naming.prefix.is_empty() && naming.fortran.is_empty();
        NAMINGS.iter().copied().filter(move |naming| !bare(naming))
    }

    /// That of a library which has LAPACK alone.
    pub(crate) fn of_lapack(library: &Library) -> Option<Naming> {
        NAMINGS
            .iter()
            .copied()
            .find(|naming| library.symbol(&naming.fortran("dgetrf")).is_some())
    }

    pub(crate) fn fortran(&self, routine: &str) -> String {
        format!("{}{routine}{}", self.prefix, self.fortran)
    }

    pub(crate) fn cblas(&self, routine: &str) -> String {
        format!("{}cblas_{routine}{}", self.prefix, self.cblas)
    }

    /// What it calls the routine that the reference libraries call so: `dgemm_`, `cblas_dgemm`, `LAPACKE_dgesv`.
    pub(crate) fn of_reference(&self, name: &str) -> String {
        match name.strip_suffix('_') {
            Some(routine) => self.fortran(routine),
            None => format!("{}{name}{}", self.prefix, self.cblas),
        }
    }
}

impl Naming {
    /// What the reference libraries call what is called `symbol` by this naming; the reverse of
    /// [`of_reference`](Naming::of_reference).
    pub(crate) fn reference_of(&self, symbol: &str) -> Option<String> {
        let name = symbol.strip_prefix(self.prefix)?;
        if name.starts_with("cblas_") {
            return name.strip_suffix(self.cblas).map(str::to_owned);
        }
        Some(format!("{}_", name.strip_suffix(self.fortran)?))
    }
}

/// Whether the integers of this library have 64 bits, found out by behaviour, since both kinds bear the same names.
///
/// # Safety
/// The library is a BLAS whose routines have these names.
pub(crate) unsafe fn wide_integers(library: &Library, naming: Naming) -> Option<bool> {
    let idamax = library.symbol(&naming.fortran("idamax"))?;
    // SAFETY: the caller vouches for the routine; pointers to integers of either width.
    let idamax = unsafe {
        std::mem::transmute::<
            NonNull<c_void>,
            unsafe extern "C" fn(*const i64, *const f64, *const i64) -> i32,
        >(idamax)
    };
    let values = [1.0, 3.0, 2.0];
    // 3 for those who look at 32 bits (little-endian), negative for those who look at 64: these find no maximum.
    let (n, step) = ((-1_i64 << 32) | 3, 1);
    // SAFETY: three elements, or none, are read.
    let found = unsafe { idamax(&raw const n, values.as_ptr(), &raw const step) };
    Some(found == 0)
}

/// The same of a LAPACK, which may come without BLAS.
///
/// # Safety
/// As for [`wide_integers`].
pub(crate) unsafe fn wide_lapack(library: &Library, naming: Naming) -> Option<bool> {
    let ilaver = library.symbol(&naming.fortran("ilaver"))?;
    // SAFETY: the caller vouches for the routine; pointers to integers of either width.
    let ilaver = unsafe {
        std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut i64, *mut i64, *mut i64)>(
            ilaver,
        )
    };
    let [mut major, mut minor, mut patch] = [-1_i64; 3];
    // SAFETY: three places, each large enough for an integer of either width.
    unsafe { ilaver(&raw mut major, &raw mut minor, &raw mut patch) };
    // The upper half of a small number is 0 only where it was written.
    Some((0..=i64::from(i32::MAX)).contains(&major))
}

/// Whether functions return complex numbers in a place that is passed first, found out by behaviour.
///
/// # Safety
/// As for [`wide_integers`].
pub(crate) unsafe fn complex_return_by_place(library: &Library, naming: Naming) -> Option<bool> {
    type Pair = [f64; 2];
    let zdotu = library.symbol(&naming.fortran("zdotu"))?;
    // SAFETY: the caller vouches for the routine. Those that return in registers take the first five as theirs: n, x,
    // incx, y, incy.
    let zdotu = unsafe {
        std::mem::transmute::<
            NonNull<c_void>,
            unsafe extern "C" fn(
                *mut Pair,
                *const i64,
                *const Pair,
                *const i64,
                *const Pair,
                *const i64,
            ),
        >(zdotu)
    };
    let (one, x, y) = (1_i64, [2.0, 0.0], [3.0, 0.0]);
    // All bits 0: as a number of elements it is none, so that nothing is read by those who take it for one.
    let mut place = [0.0; 2];
    // SAFETY: read as meant, one element each and a place for the result; read the other way, no elements at all.
    unsafe {
        zdotu(
            &raw mut place,
            &raw const one,
            &raw const x,
            &raw const one,
            &raw const y,
            &raw const one,
        )
    };
    Some(place == [6.0, 0.0])
}
