//! The library behind the BLAS and LAPACK symbols that the faces supply: found at run time, and switched there.
//!
//! The provider crate `threadctl-src` gives a program its BLAS and LAPACK symbols; each call goes to the [`Backend`] that is
//! [`current`] at that moment, those that dispatch covers ([`covered_routines`]) by way of [`dispatch`](crate::dispatch).
//!
//! Which one: what `THREADCTL_BACKEND` says, else the first that works of OpenBLAS, MKL, BLIS with LAPACK, and the system's
//! `libblas.so.3` with `liblapack.so.3`. It is looked for when it is first needed, and [`switch`] puts another in its place.
//!
//! ```
//! match threadctl::backend::current() {
//!     Ok(backend) => println!("{}", backend.layers()[0].path().display()),
//!     Err(error) => println!("{error}"), // what was tried, and what to install
//! }
//! ```
//!
//! Invariants: a backend stays loaded for good once it was opened, so that calls which are under way when another takes
//! its place end on it; its own facts (widths, names, how complex numbers are returned) were found out by what it does.

mod active;
mod available;
mod carried;
mod choice;
mod covered;
mod drivers;
mod errors;
mod layer;
mod own;
mod registers;
pub mod supply;

use crate::dispatch::Blas;
use crate::dispatch::forward::Watch;
use crate::error::{Error, ErrorKind, Result};
use std::ffi::c_void;
use std::fmt;
use std::path::Path;
use std::ptr::NonNull;

pub use available::{Available, available};
pub use choice::Choice;
pub(crate) use choice::{GRAMMAR, fault, names};
pub use covered::covered_routines;
pub use layer::{ComplexReturn, Layer};

/// A library, or several layered ones, that supply BLAS and LAPACK. It stays loaded for good; copies are the same one.
///
/// ```
/// let backend = threadctl::backend::current();
/// println!("{}", backend.map_or_else(|error| error.to_string(), |backend| backend.to_string()));
/// ```
#[derive(Clone, Copy)]
pub struct Backend(&'static Inner);

struct Inner {
    choice: Choice,
    layers: Vec<Layer>,
    blas: Blas,
    /// What its own threads need while a routine runs that dispatch does not cover.
    watch: Option<Watch>,
}

/// The backend that calls go to now; the first call of this, or of a routine, finds one.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a value of `THREADCTL_BACKEND` that cannot be used, [`ErrorKind::System`] and
/// [`ErrorKind::Unsupported`] when none can be opened: what was tried, and what to install.
///
/// ```
/// if let Ok(backend) = threadctl::backend::current() {
///     println!("{}", backend.name());
/// }
/// ```
pub fn current() -> Result<Backend> {
    active::current()
}

/// Has calls go to another backend from now on, in all threads. Calls that are under way end on the old one, which stays
/// loaded.
///
/// # Errors
/// As for [`current`]; the old one stays in place then.
///
/// # Safety
/// The initialisers of the libraries run in this process, and they are what they seem to be: what they call `dgemm_` is
/// BLAS's.
///
/// ```
/// // SAFETY: there is none.
/// let wrong = unsafe { threadctl::backend::switch(&"/no/such/libblas.so".parse()?) };
/// assert!(wrong.unwrap_err().to_string().contains("/no/such/libblas.so"));
/// # Ok::<(), threadctl::Error>(())
/// ```
pub unsafe fn switch(choice: &Choice) -> Result<Backend> {
    // SAFETY: our caller's promise.
    unsafe { active::switch(choice) }
}

impl Backend {
    /// # Safety
    /// As for [`switch`].
    unsafe fn open(choice: &Choice) -> Result<Self> {
        let mut layers = Vec::new();
        let mut computes = None;
        for names in choice.libraries() {
            // SAFETY: our caller's promise.
            let (name, layer) = unsafe { first_that_opens(&names) }?;
            // A LAPACK brings the BLAS that it was linked with; the one that computes is named before it.
            if computes.is_none() && layer.has_blas() {
                computes = Some(name.to_owned());
            }
            layer.make_safe()?;
            layer.lead_errors();
            layers.push(layer);
        }
        let computes = computes.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{choice}: none of these has BLAS; name a library that has, before the others"
                ),
            )
        })?;
        // SAFETY: our caller's promise.
        let blas = unsafe { Blas::open(&computes) }?;
        let inner = Inner {
            choice: choice.clone(),
            layers,
            watch: blas.watch(),
            blas,
        };
        Ok(Backend(Box::leak(Box::new(inner))))
    }

    /// Has the LAPACK in its layers call dispatch.
    fn bind(self) {
        for layer in self.layers() {
            // SAFETY: our callers make it current.
            let count = unsafe { layer.bind() };
            tracing::debug!(library = %layer.path().display(), count, "references bound to dispatch");
        }
    }

    /// What it was chosen by: `openblas`, or the paths of its libraries.
    ///
    /// ```
    /// let name = |backend: threadctl::backend::Backend| backend.name();
    /// # let _ = name;
    /// ```
    pub fn name(self) -> String {
        self.0.choice.to_string()
    }

    /// Its libraries, in the order in which routines are looked for.
    ///
    /// ```
    /// let count = |backend: threadctl::backend::Backend| backend.layers().len();
    /// # let _ = count;
    /// ```
    pub fn layers(self) -> &'static [Layer] {
        &self.0.layers
    }

    /// Dispatch over its BLAS.
    ///
    /// ```
    /// let width = |backend: threadctl::backend::Backend| backend.blas().runtime().map(|runtime| runtime.num_threads());
    /// # let _ = width;
    /// ```
    pub fn blas(self) -> &'static Blas {
        &self.0.blas
    }

    /// Where a routine is, by the name of the reference libraries, with integers of that width.
    pub(crate) fn routine(self, name: &str, wide: bool) -> Option<NonNull<c_void>> {
        let fitting = self.0.layers.iter().filter(|layer| layer.wide() == wide);
        fitting.into_iter().find_map(|layer| layer.routine(name))
    }

    /// The same in the library that computes BLAS, and in no other.
    pub(crate) fn routine_of_blas(self, name: &str, wide: bool) -> Option<NonNull<c_void>> {
        let blas = self.0.layers.iter().find(|layer| layer.has_blas());
        let blas = blas.filter(|layer| layer.wide() == wide);
        blas.and_then(|layer| layer.routine(name))
    }

    fn is(self, other: Backend) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// # Safety
/// As for [`switch`].
unsafe fn first_that_opens<'a>(names: &[&'a Path]) -> Result<(&'a Path, Layer)> {
    let mut why = Vec::new();
    for name in names {
        // SAFETY: our caller's promise.
        match unsafe { Layer::open(name) } {
            Ok(layer) => return Ok((name, layer)),
            Err(error) => why.push(error),
        }
    }
    let kind = why.last().map_or(ErrorKind::System, Error::kind);
    let messages: Vec<String> = why.iter().map(Error::to_string).collect();
    Err(Error::new(kind, messages.join("; ")))
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self
            .0
            .layers
            .iter()
            .map(|layer| layer.path().display().to_string())
            .collect();
        let paths = paths.join(":");
        let name = self.name();
        if self.0.choice.names_files() {
            f.write_str(&paths)
        } else {
            write!(f, "{name} ({paths})")
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
