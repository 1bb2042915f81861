//! The three BLAS/LAPACK routines of the demo, found in a library that is opened at run time. All unsafe code of
//! the demo is in this file.
//!
//! Invariants:
//! - a library once opened stays open until the process ends (its threads may be inside its code at any time), so
//!   a function pointer taken from it stays valid;
//! - slice lengths and dimensions are checked before every call, because the C side does not;
//! - integers are handed over as pointers to `i64`. A library with 32-bit integers reads the low half, which on a
//!   little-endian machine lies at the same address and holds the same value, since every dimension is checked to
//!   be below 2^31. So one declaration serves LP64 and ILP64 builds, even those whose symbols do not tell.

use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

use crate::cmd::special;

/// What is tried when no library is named: each entry is a set of files that together hold BLAS and LAPACK.
const SEARCH: &[&[&str]] = &[
    &["libopenblas.so.0"],
    &["libopenblas.so"],
    &["libmkl_rt.so.3"],
    &["libmkl_rt.so.2"],
    &["libblas.so.3", "liblapack.so.3"],
];

/// How builds spell `dgemm`: before and after the name.
const AFFIXES: &[(&str, &str)] = &[
    ("", "_"),
    ("scipy_", "_"),
    ("scipy_", "_64_"),
    ("", "_64_"),
    ("scipy_", "64_"),
    ("", "64_"),
];

/// A Fortran integer of either width, see the file header.
type Int = i64;
/// The hidden length of a Fortran character argument; C builds ignore it.
type Len = usize;

type Dgemm = unsafe extern "C" fn(
    transa: *const c_char,
    transb: *const c_char,
    m: *const Int,
    n: *const Int,
    k: *const Int,
    alpha: *const f64,
    a: *const f64,
    lda: *const Int,
    b: *const f64,
    ldb: *const Int,
    beta: *const f64,
    c: *mut f64,
    ldc: *const Int,
    transa_len: Len,
    transb_len: Len,
);
type Dpotrf = unsafe extern "C" fn(
    uplo: *const c_char,
    n: *const Int,
    a: *mut f64,
    lda: *const Int,
    info: *mut Int,
    uplo_len: Len,
);
type Dpotrs = unsafe extern "C" fn(
    uplo: *const c_char,
    n: *const Int,
    nrhs: *const Int,
    a: *const f64,
    lda: *const Int,
    b: *mut f64,
    ldb: *const Int,
    info: *mut Int,
    uplo_len: Len,
);

const LOWER: c_char = b'L' as c_char;
const PLAIN: c_char = b'N' as c_char;
const TRANSPOSED: c_char = b'T' as c_char;

/// An opened BLAS with LAPACK. Matrices are column-major and without gaps between columns.
#[derive(Clone, Debug)]
pub(crate) struct Blas {
    dgemm: Dgemm,
    dpotrf: Dpotrf,
    dpotrs: Dpotrs,
}

/// What a Cholesky factorisation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// The lower triangle now holds the factor.
    Done,
    /// The matrix is not positive definite (within rounding); its contents are spoilt.
    NotPositiveDefinite,
}

impl Blas {
    /// Opens the named libraries, or the first usable set of [`SEARCH`] when none is named. Names without a slash
    /// are looked up as the dynamic linker does.
    ///
    /// # Errors
    /// When nothing can be opened (saying what to install) or a routine is missing (saying which).
    pub(crate) fn open(named: &[PathBuf]) -> Result<Self> {
        ensure!(
            cfg!(target_endian = "little"),
            "the demo supports little-endian machines only"
        );
        if !named.is_empty() {
            return Self::open_set(named);
        }
        for set in SEARCH {
            let set: Vec<PathBuf> = set.iter().map(PathBuf::from).collect();
            if let Ok(blas) = Self::open_set(&set) {
                return Ok(blas);
            }
        }
        let tried: Vec<String> = SEARCH.iter().map(|set| set.join(" with ")).collect();
        bail!(
            "found no BLAS library (tried {}); install one (Debian, Ubuntu: apt install libopenblas0-pthread) \
             or name one with --blas LIB",
            tried.join(", ")
        )
    }

    fn open_set(files: &[PathBuf]) -> Result<Self> {
        let libraries = files
            .iter()
            .map(|file| open_library(file))
            .collect::<Result<Vec<_>>>()?;
        let opened = Self {
            dgemm: find(&libraries, files, "dgemm")?,
            dpotrf: find(&libraries, files, "dpotrf")?,
            dpotrs: find(&libraries, files, "dpotrs")?,
        };
        // Never closed, so that the function pointers above stay valid.
        libraries.into_iter().for_each(std::mem::forget);
        Ok(opened)
    }

    /// `C := A * A^T` for A of `n` rows and `k` columns; C is `n` x `n`.
    ///
    /// # Errors
    /// When a slice has another length than its dimensions say.
    pub(crate) fn gram(&self, n: usize, k: usize, a: &[f64], c: &mut [f64]) -> Result<()> {
        check_len("A", a.len(), n, k)?;
        check_len("C", c.len(), n, n)?;
        let (n, k) = (dimension(n)?, dimension(k)?);
        // SAFETY: A has n*k elements and C n*n (checked above), which is all that dgemm touches with these
        // leading dimensions; C is borrowed mutably and cannot overlap A; the library stays open.
        unsafe {
            (self.dgemm)(
                &PLAIN,
                &TRANSPOSED,
                &n,
                &n,
                &k,
                &1.0,
                a.as_ptr(),
                &n,
                a.as_ptr(),
                &n,
                &0.0,
                c.as_mut_ptr(),
                &n,
                1,
                1,
            );
        }
        Ok(())
    }

    /// Cholesky factor of the lower triangle of the `n` x `n` matrix A, in place; the upper triangle is not read.
    ///
    /// # Errors
    /// When A has another length, or the library refuses an argument.
    pub(crate) fn cholesky(&self, n: usize, a: &mut [f64]) -> Result<Factor> {
        check_len("A", a.len(), n, n)?;
        let n = dimension(n)?;
        let mut info: Int = 0;
        // SAFETY: A has n*n elements (checked above), all that dpotrf touches; `info` is a valid place for an
        // integer of either width; the library stays open.
        unsafe { (self.dpotrf)(&LOWER, &n, a.as_mut_ptr(), &n, &mut info, 1) };
        match low_half(info) {
            0 => Ok(Factor::Done),
            info if info > 0 => Ok(Factor::NotPositiveDefinite),
            info => bail!("dpotrf refused its argument number {}", -info),
        }
    }

    /// Solves `L L^T x = b` in place, for the factor that [`Blas::cholesky`] left in `factor`.
    ///
    /// # Errors
    /// When a slice has another length, or the library refuses an argument.
    pub(crate) fn solve(&self, n: usize, factor: &[f64], b: &mut [f64]) -> Result<()> {
        check_len("the factor", factor.len(), n, n)?;
        check_len("b", b.len(), n, 1)?;
        let n = dimension(n)?;
        let mut info: Int = 0;
        // SAFETY: the factor has n*n elements and b has n (checked above), all that dpotrs touches with one
        // right-hand side; `info` is a valid place for an integer of either width; the library stays open.
        unsafe {
            (self.dpotrs)(
                &LOWER,
                &n,
                &1,
                factor.as_ptr(),
                &n,
                b.as_mut_ptr(),
                &n,
                &mut info,
                1,
            )
        };
        match low_half(info) {
            0 => Ok(()),
            info => bail!("dpotrs refused its argument number {}", info.unsigned_abs()),
        }
    }
}

/// A 32-bit library writes only the low half of `info`; a 64-bit one's values fit there too.
fn low_half(info: Int) -> i32 {
    info as i32
}

fn check_len(what: &str, len: usize, rows: usize, columns: usize) -> Result<()> {
    ensure!(
        rows.checked_mul(columns) == Some(len),
        "{what} has {len} elements, not {rows} x {columns}"
    );
    Ok(())
}

/// A dimension as BLAS takes it: at least 1 (a leading dimension may not be 0), below 2^31.
fn dimension(value: usize) -> Result<Int> {
    ensure!(value >= 1, "a matrix dimension is 0");
    let value = i32::try_from(value)
        .with_context(|| format!("dimension {value} is too large for 32-bit BLAS"))?;
    Ok(Int::from(value))
}

fn open_library(file: &Path) -> Result<Library> {
    // The loader itself would wait for ever inside its open().
    if let Some(what) = special::of(file) {
        bail!(
            "cannot open the BLAS library {}: it is {what}; name a shared object such as libopenblas.so.0",
            file.display()
        );
    }
    if file.to_string_lossy().contains("mkl") {
        // MKL's layers use libm without asking the linker for it; this program may not have it in global scope.
        // SAFETY: the initialisers of the C library's libm have no preconditions.
        let libm = unsafe { Library::open(Some("libm.so.6"), RTLD_NOW | RTLD_GLOBAL) };
        libm.map(std::mem::forget)
            .context("cannot open libm.so.6, which MKL needs")?;
    }
    // SAFETY: opening runs the initialisers of a library that the user named or that is a known BLAS; that they
    // are sound is the trust that choosing a BLAS library implies.
    unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }.with_context(|| {
        format!(
            "cannot open the BLAS library {} (a Debian or Ubuntu package that works: libopenblas0-pthread)",
            file.display()
        )
    })
}

/// The routine under the first spelling that any of the libraries has.
fn find<F: Copy>(libraries: &[Library], files: &[PathBuf], routine: &str) -> Result<F> {
    for (before, after) in AFFIXES {
        let name = CString::new(format!("{before}{routine}{after}"))?;
        for library in libraries {
            // SAFETY: F is the C declaration of `routine` (each caller names the two together); the Fortran
            // calling convention of the routine is the same under every spelling, see the file header for the
            // width of integers.
            if let Ok(symbol) = unsafe { library.get::<F>(&name) } {
                return Ok(*symbol);
            }
        }
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    bail!(
        "{} has no {routine}_ (also looked for with scipy_ and 64_); a BLAS without LAPACK needs a second library: \
         --blas {} --blas liblapack.so.3",
        files.join(" with "),
        files.join(" --blas ")
    )
}
