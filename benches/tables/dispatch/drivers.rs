//! LAPACK's drivers whose BLAS calls come back to dispatch: the library as it is beside the library as a backend, in one
//! process.
//!
//! What is bound to dispatch stays bound, so the library as it is must be another copy of it: its file, copied to another
//! place, is another library to the loader, with threads and settings of its own.
//!
//! Invariants: both copies find all their symbols before anything else is opened, so neither gets those of the other; the
//! buffers of a call are as large as its order and its workspace query say.

use super::direct_at;
use crate::common::{Case, manifest};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::c_char;
use std::path::{Path, PathBuf};
use threadctl::backend::switch;
use threadctl::dispatch::Blas;

type Int = i32;
type Flag = *const c_char;
/// The lengths of flags that Fortran passes, after all arguments.
type Hidden = usize;

#[rustfmt::skip]
type Gesdd = unsafe extern "C" fn(
    Flag, *const Int, *const Int, *mut f64, *const Int, *mut f64, *mut f64, *const Int, *mut f64, *const Int,
    *mut f64, *const Int, *mut Int, *mut Int, Hidden,
);
#[rustfmt::skip]
type Syevd = unsafe extern "C" fn(
    Flag, Flag, *const Int, *mut f64, *const Int, *mut f64, *mut f64, *const Int, *mut Int, *const Int, *mut Int,
    Hidden, Hidden,
);
#[rustfmt::skip]
type Geev = unsafe extern "C" fn(
    Flag, Flag, *const Int, *mut f64, *const Int, *mut f64, *mut f64, *mut f64, *const Int, *mut f64, *const Int,
    *mut f64, *const Int, *mut Int, Hidden, Hidden,
);

/// A library's own drivers.
pub struct Drivers {
    gesdd: Gesdd,
    syevd: Syevd,
    geev: Geev,
}

impl Drivers {
    fn of(library: &Library, case: &Case) -> Self {
        let prefix = if case.key == "scipy-openblas32" {
            "scipy_"
        } else {
            ""
        };
        let name = |name: &str| format!("{prefix}{name}_");
        // SAFETY: LAPACK's routines of these names, with integers of 32 bits.
        unsafe {
            Drivers {
                gesdd: *library.get::<Gesdd>(name("dgesdd")).expect("dgesdd"),
                syevd: *library.get::<Syevd>(name("dsyevd")).expect("dsyevd"),
                geev: *library.get::<Geev>(name("dgeev")).expect("dgeev"),
            }
        }
    }
}

/// The library twice.
pub struct Twins {
    /// As it is.
    pub own: Drivers,
    /// BLAS of the same.
    pub own_blas: Blas,
    /// The backend, whose calls are bound to dispatch.
    pub bound: Drivers,
    /// Dispatch over it.
    pub bound_blas: &'static Blas,
}

impl Twins {
    /// Opens both; the backend is current from now on, and held at one thread.
    pub fn open(case: &Case) -> Self {
        let path = PathBuf::from(manifest(case.key, "path"));
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder
            .path()
            .join(path.file_name().expect("the name of a file"));
        std::fs::copy(&path, &copy).expect("a copy of the library");
        let (first, second) = (open(&copy), open(&path));
        let choice = path.display().to_string().parse().expect("a path");
        let own_blas = direct_at(&copy);
        // SAFETY: a BLAS of the manifest.
        let backend = unsafe { switch(&choice) }.expect("it becomes current");
        Twins {
            own: Drivers::of(first, case),
            own_blas,
            bound: Drivers::of(second, case),
            bound_blas: backend.blas(),
        }
    }
}

fn open(path: &Path) -> &'static Library {
    // SAFETY: the initialisers of a BLAS, in a process that has just begun.
    let library =
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.expect("the library opens");
    Box::leak(Box::new(library))
}

/// A driver and what it needs besides the matrix, for one order.
pub struct Problem {
    kind: Kind,
    n: usize,
    /// Values, and where they are complex, their imaginary parts.
    values: [Vec<f64>; 2],
    vectors: [Vec<f64>; 2],
    work: Vec<f64>,
    iwork: Vec<Int>,
}

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All singular values and vectors.
    Gesdd,
    /// All eigenvalues and eigenvectors of a symmetric matrix.
    Syevd,
    /// All eigenvalues and right eigenvectors.
    Geev,
}

impl Problem {
    /// With the workspace that the library asks for.
    pub fn new(kind: Kind, n: usize, drivers: &Drivers) -> Self {
        let square = || vec![0.0; n * n];
        let mut problem = Problem {
            kind,
            n,
            values: [vec![0.0; n], vec![0.0; n]],
            vectors: match kind {
                Kind::Gesdd => [square(), square()],
                Kind::Syevd => [Vec::new(), Vec::new()],
                Kind::Geev => [square(), Vec::new()],
            },
            work: vec![0.0; 1],
            iwork: vec![0; 8 * n + 1],
        };
        problem.call(drivers, &mut [0.0], -1);
        let wanted = (problem.work[0] as usize, problem.iwork[0] as usize);
        problem.work = vec![0.0; wanted.0];
        if kind == Kind::Syevd {
            problem.iwork = vec![0; wanted.1];
        }
        problem
    }

    /// Solves for the matrix of that order, and destroys it.
    pub fn solve(&mut self, drivers: &Drivers, a: &mut [f64]) {
        assert_eq!(a.len(), self.n * self.n);
        let lwork = Int::try_from(self.work.len()).expect("it fits");
        self.call(drivers, a, lwork);
    }

    #[rustfmt::skip]
    fn call(&mut self, drivers: &Drivers, a: &mut [f64], lwork: Int) {
        let n = &(Int::try_from(self.n).expect("it fits"));
        let liwork = if lwork == -1 {
            -1
        } else {
            Int::try_from(self.iwork.len()).expect("it fits")
        };
        let (one, mut info) = (1, 0);
        let flag = |letter: &'static std::ffi::CStr| letter.as_ptr();
        let a = a.as_mut_ptr();
        let [w, wi] = self.values.each_mut().map(|values| values.as_mut_ptr());
        let [u, v] = self.vectors.each_mut().map(|vectors| vectors.as_mut_ptr());
        let (work, iwork) = (self.work.as_mut_ptr(), self.iwork.as_mut_ptr());
        // SAFETY: the buffers of this order; a query looks at no matrix.
        unsafe {
            match self.kind {
                Kind::Gesdd => (drivers.gesdd)(
                    flag(c"A"), n, n, a, n, w, u, n, v, n, work, &raw const lwork, iwork, &raw mut info, 1,
                ),
                Kind::Syevd => (drivers.syevd)(
                    flag(c"V"), flag(c"L"), n, a, n, w, work, &raw const lwork, iwork, &raw const liwork,
                    &raw mut info, 1, 1,
                ),
                Kind::Geev => (drivers.geev)(
                    flag(c"N"), flag(c"V"), n, a, n, w, wi, v, &raw const one, u, n, work, &raw const lwork,
                    &raw mut info, 1, 1,
                ),
            }
        }
        assert_eq!(info, 0, "{:?} of {}", self.kind, self.n);
    }
}
