//! One library of a backend: what it calls its routines, how wide its integers are, how it returns complex numbers.
//!
//! Invariant: all three were found out by what the library does, before it is used for anything else.

use super::{covered, errors};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{ConcurrentCallers, Integers, runtimes};
use crate::sys::buffers::{Need, guard_buffers};
use crate::sys::gate::watch_forks;
use crate::sys::library::Library;
use crate::sys::locks::guard_locks;
use crate::sys::naming::{Naming, complex_return_by_place, wide_integers, wide_lapack};
use crate::sys::objects::{self, LoadedObject};
use crate::sys::rebind::rebind;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// How a library returns complex numbers from functions.
///
/// ```
/// use threadctl::backend::ComplexReturn;
/// assert_ne!(ComplexReturn::Registers, ComplexReturn::Place);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ComplexReturn {
    /// In registers, as gfortran does and C does for its own complex numbers.
    Registers,
    /// In a place that the caller passes first, as Intel's compiler does and f2c did.
    Place,
    /// It has no such function.
    Unknown,
}

/// One library of a [`Backend`](super::Backend).
///
/// ```
/// let backend = threadctl::backend::current();
/// for layer in backend.iter().flat_map(|backend| backend.layers()) {
///     println!("{}: {:?}", layer.path().display(), layer.integers());
/// }
/// ```
#[derive(Debug)]
pub struct Layer {
    library: Library,
    path: PathBuf,
    naming: Naming,
    wide: bool,
    complex: ComplexReturn,
}

impl Layer {
    /// # Safety
    /// The library's initialisers may run in this process, and what it calls `dgemm_` and the like are these routines.
    pub(super) unsafe fn open(path: &Path) -> Result<Self> {
        watch_forks();
        // SAFETY: our caller's promise.
        let library = unsafe { Library::load(path, true) }.map_err(|why| {
            Error::new(
                ErrorKind::System,
                // The loader mostly begins with the name itself.
                format!("it cannot be opened: {why} (looked for {})", path.display()),
            )
        })?;
        let unusable =
            |why: &str| Error::new(ErrorKind::Unsupported, format!("{}: {why}", path.display()));
        let naming = Naming::of(&library)
            .or_else(|| Naming::of_lapack(&library))
            .ok_or_else(|| {
                unusable(
                    "it is no BLAS and no LAPACK: it has no dgemm_ or dgetrf_ under any known name",
                )
            })?;
        // SAFETY: our caller's promise.
        unsafe { Layer::of(library, naming) }
    }

    /// One of a library that is loaded, under these of its names.
    ///
    /// # Safety
    /// What it calls `dgemm_` and the like are these routines.
    pub(super) unsafe fn of(library: Library, naming: Naming) -> Result<Self> {
        let path = library.file().unwrap_or_else(|| library.path().to_owned());
        // SAFETY: it has the names of a BLAS or a LAPACK, and our caller vouches for what they are.
        let (wide, complex) = unsafe {
            let wide = wide_lapack(&library, naming).or_else(|| wide_integers(&library, naming));
            (wide, complex_return_by_place(&library, naming))
        };
        let wide = wide.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{}: whether its integers have 32 or 64 bits cannot be found out: it has no idamax and no ilaver",
                    path.display()
                ),
            )
        })?;
        Ok(Layer {
            library,
            path,
            naming,
            wide,
            complex: match complex {
                None => ComplexReturn::Unknown,
                Some(true) => ComplexReturn::Place,
                Some(false) => ComplexReturn::Registers,
            },
        })
    }

    /// Where it was found.
    ///
    /// ```
    /// let path = |layer: &threadctl::backend::Layer| layer.path().display().to_string();
    /// # let _ = path;
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How wide its integers are.
    ///
    /// ```
    /// let wide = |layer: &threadctl::backend::Layer| layer.integers() == threadctl::Integers::Ilp64;
    /// # let _ = wide;
    /// ```
    pub fn integers(&self) -> Integers {
        if self.wide {
            Integers::Ilp64
        } else {
            Integers::Lp64
        }
    }

    /// How it returns complex numbers.
    ///
    /// ```
    /// let how = |layer: &threadctl::backend::Layer| layer.complex_return();
    /// # let _ = how;
    /// ```
    pub fn complex_return(&self) -> ComplexReturn {
        self.complex
    }

    /// What it calls `dgemm` of Fortran and `cblas_dgemm`.
    ///
    /// ```
    /// let example = |layer: &threadctl::backend::Layer| layer.names()[0].clone(); // "dgemm_"
    /// # let _ = example;
    /// ```
    pub fn names(&self) -> [String; 2] {
        [self.naming.fortran("dgemm"), self.naming.cblas("dgemm")]
    }

    pub(super) fn wide(&self) -> bool {
        self.wide
    }

    pub(super) fn has_blas(&self) -> bool {
        self.library.symbol(&self.naming.fortran("dgemm")).is_some()
    }

    /// Whether the library itself has LAPACK, or its C interface, rather than one that it was linked with.
    fn has_lapack(&self, own: &LoadedObject) -> bool {
        ["dgesdd_", "LAPACKE_dgesdd"].iter().any(|name| {
            self.library
                .defines(&self.naming.of_reference(name), own.base)
        })
    }

    /// Has the library's LAPACK call the routines that dispatch covers there, where its calls can be seen: those that it
    /// makes by name. Returns how many references were bound.
    ///
    /// # Safety
    /// The backend that it belongs to is about to become current, so that these routines can be called.
    pub(super) unsafe fn bind(&self) -> usize {
        let Some(own) = self.library.handle().and_then(objects::of_handle) else {
            return 0;
        };
        if !self.has_lapack(&own) {
            return 0;
        }
        let before = covered::secular::remember(self);
        let names: Vec<(String, usize)> = covered::inner(self.wide)
            .map(|(name, function)| (self.naming.of_reference(&name), function as usize))
            .collect();
        let targets: Vec<(&str, usize)> = names
            .iter()
            .map(|(name, function)| (name.as_str(), *function))
            .collect();
        // SAFETY: libraries stay loaded for good; the functions are routines of these names, with integers of this width.
        let bound = unsafe { rebind(&own, &targets) }.unwrap_or_else(|error| {
            tracing::warn!(library = %self.path.display(), %error, "its own calls cannot be bound to dispatch");
            0
        });
        if bound == 0 {
            covered::secular::forget(self, before);
        }
        bound
    }

    /// Sees to it that several threads may be in the library at once, and that one may fork meanwhile. An OpenBLAS without threads does
    /// not bear the first as it is: calls through dispatch take turns, but those of other routines jump straight into it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where that cannot be brought about: its results would be wrong now and then.
    pub(super) fn make_safe(&self) -> Result<()> {
        let takes_buffers_from = self
            .library
            .symbol("blas_memory_alloc")
            .and_then(|address| objects::origin(address.as_ptr() as usize))
            .and_then(|owner| owner.file());
        let own = self.path.canonicalize().ok();
        let is_unsafe = runtimes().iter().any(|runtime| {
            let file = Some(runtime.filepath());
            runtime.concurrent_callers() == ConcurrentCallers::Unsafe
                && (file == takes_buffers_from.as_deref() || file == own.as_deref())
        });
        let need = if is_unsafe { Need::Lock } else { Need::NoFork };
        // SAFETY: libraries of backends stay loaded for good, and the one that it is of is an OpenBLAS.
        let guarded = takes_buffers_from.is_some() && unsafe { guard_buffers(&self.library, need) };
        if is_unsafe && !guarded {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{}: this OpenBLAS was built without threads and without locks, so that concurrent calls compute wrong \
                     numbers, and locks cannot be put in from outside. Install one with threads (Debian, Ubuntu: \
                     libopenblas0-pthread), or one that was built with USE_LOCKING=1",
                    self.path.display()
                ),
            ));
        }
        if !guarded {
            self.guard_locks();
        }
        Ok(())
    }

    /// Has forks wait for the locks of the library, and of the one that its routines are in where that is another one.
    fn guard_locks(&self) {
        let own = self.library.handle().and_then(objects::of_handle);
        let routine = self.library.symbol(&self.naming.fortran("dgemm"));
        let owner = routine.and_then(|it| objects::origin(it.as_ptr() as usize));
        let another = owner.filter(|owner| own.as_ref().is_none_or(|own| own.base != owner.base));
        for object in own.into_iter().chain(another) {
            // SAFETY: libraries of backends stay loaded for good.
            let seen = unsafe { guard_locks(&object) };
            tracing::debug!(library = %object.name.display(), seen, "forks wait for its locks");
        }
    }

    /// Sees to it that a program's own handler of wrong arguments may leave the library's routines as it likes.
    pub(super) fn lead_errors(&self) {
        if let Some(own) = self.library.handle().and_then(objects::of_handle) {
            // SAFETY: libraries of backends stay loaded for good.
            unsafe { errors::lead(&own) };
        }
    }

    /// Where a routine is that the reference libraries call `name`.
    pub(super) fn routine(&self, name: &str) -> Option<NonNull<c_void>> {
        self.library.symbol(&self.naming.of_reference(name))
    }
}
