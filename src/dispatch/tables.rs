//! The routines of a library by element type.
//!
//! Invariant: each element type has its own table, so that what is called has the types of its caller.

use crate::sys::blas::{Element, Kernels};
use crate::sys::lapack::Lapack;
use crate::sys::library::Library;
use crate::sys::naming::Naming;
use num_complex::Complex;
use std::path::PathBuf;

/// The routines for each element type. Public in name only: nobody outside can get at it, nor at [`Listed`].
#[derive(Debug)]
pub struct Tables {
    s: Kernels<f32>,
    d: Kernels<f64>,
    c: Kernels<Complex<f32>>,
    z: Kernels<Complex<f64>>,
    lapack: LapackTables,
}

/// The routines of LAPACK that the library has, for each element type.
#[derive(Debug)]
struct LapackTables {
    s: Lapack<f32>,
    d: Lapack<f64>,
    c: Lapack<Complex<f32>>,
    z: Lapack<Complex<f64>>,
}

impl Tables {
    /// Those of a library that names them so.
    ///
    /// # Errors
    /// The name of one that it lacks.
    ///
    /// # Safety
    /// As for [`Kernels::find`].
    pub(super) unsafe fn find(
        library: &Library,
        naming: Naming,
        wide: bool,
    ) -> Result<Self, String> {
        // SAFETY: our caller's promise.
        unsafe {
            Ok(Tables {
                s: Kernels::find(library, naming, wide)?,
                d: Kernels::find(library, naming, wide)?,
                c: Kernels::find(library, naming, wide)?,
                z: Kernels::find(library, naming, wide)?,
                lapack: LapackTables {
                    s: Lapack::find(library, naming, wide),
                    d: Lapack::find(library, naming, wide),
                    c: Lapack::find(library, naming, wide),
                    z: Lapack::find(library, naming, wide),
                },
            })
        }
    }

    /// Where its routines are.
    pub(super) fn origin(&self) -> Option<PathBuf> {
        self.d.origin()
    }
}

/// An element type that has its routines in the tables: what makes [`Scalar`] a closed set.
pub trait Listed: Element {
    /// Its routines.
    fn kernels(tables: &Tables) -> &Kernels<Self>;
    /// Those of LAPACK.
    fn lapack(tables: &Tables) -> &Lapack<Self>;
}

macro_rules! listed {
    ($($type:ty: $table:ident,)*) => {$(
        impl Listed for $type {
            fn kernels(tables: &Tables) -> &Kernels<Self> {
                &tables.$table
            }
            fn lapack(tables: &Tables) -> &Lapack<Self> {
                &tables.lapack.$table
            }
        }
    )*};
}

listed! {
    f32: s,
    f64: d,
    Complex<f32>: c,
    Complex<f64>: z,
}
