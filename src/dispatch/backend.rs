//! The library whose kernels do the arithmetic, held at one thread.
//!
//! Invariants: the library stays loaded while a [`Blas`] lives; a kernel that may use threads of its own runs only under what keeps the
//! library at one ([`Blas::held`], `hold.rs`).

use super::hold::{Held, Hold};
use super::packing::Packing;
use super::policy::{Pool, Table, product, shapes_of};
use super::scalar::Scalar;
use super::tables::Tables;
use super::tuning::{Least, Name, Tuning};
use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Identity, identity, most};
use crate::runtime::{ConcurrentCallers, Runtime, runtimes};
use crate::sys::blas::Kernels;
use crate::sys::lapack::Lapack;
use crate::sys::library::Library;
use crate::sys::naming::{Naming, wide_integers};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A BLAS library, and dispatch over its kernels. Clones share it; it may be used from any thread.
///
/// Its methods are the BLAS routines, for all four element types: matrices are column-major, flags are the letters of
/// the reference BLAS (`b'N'`, `b'T'`, `b'C'`; `b'L'`, `b'R'`; `b'U'`, `b'L'`; `b'N'`, `b'U'`), and arguments mean what they
/// mean there. While a `Blas` lives, the library itself uses one thread, and a BLIS packs the left operand of small products too
/// (`bli_pack_set_pack_a`), which makes tiles up to twice as fast.
///
/// A library whose setter reaches the calling thread alone is held in each thread anew. That it can be is made sure of when
/// it is opened, in the thread that opens it. Should it fail in another one later, the call is computed all the same,
/// maybe by more threads: BLAS calls have no error for this. It is told once for each `Blas`, as a warning of `tracing`.
///
/// ```
/// use threadctl::dispatch::Blas;
///
/// let Some(blas) = Blas::loaded()? else {
///     return Ok(()); // no BLAS in this process
/// };
/// let (a, b, mut c) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 1.0], [0.0; 4]);
/// // SAFETY: three 2x2 matrices.
/// unsafe {
///     blas.gemm(b'N', b'N', 2, 2, 2, 1.0, a.as_ptr(), 2, b.as_ptr(), 2, 0.0, c.as_mut_ptr(), 2)?;
/// }
/// assert_eq!(c, a);
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Clone)]
pub struct Blas(Arc<Inner>, Arc<Least>);

struct Inner {
    tables: Tables,
    /// Whether calls are cut into tiles at all.
    cut: bool,
    /// Whether tiny calls need neither a guard nor a turn.
    tiny_is_free: bool,
    hold: Hold,
    /// Of BLIS.
    _packing: Option<Packing>,
    /// It was told that a thread could not be held.
    told: AtomicBool,
    /// Whether the library does not bear concurrent callers: a turn is waited for around each kernel.
    alone: bool,
    runtime: Option<Runtime>,
    /// What it is called in a tuning.
    name: Name,
    /// How its calls are cut.
    shapes: &'static Table,
    /// Last, so that everything above goes before it.
    library: Library,
}

impl Blas {
    /// Opens a library as a program that links it would. It stays loaded when this is dropped: threads that it has started
    /// may still be running.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with the loader's words when it cannot be opened, [`ErrorKind::Unsupported`] when it is no
    /// whole BLAS, or cannot be held at one thread.
    ///
    /// # Safety
    /// The library's initialisers run in this process, and it is what it seems to be: what it calls `dgemm_` is BLAS's.
    ///
    /// ```
    /// let path = std::path::Path::new("no-such-library.so");
    /// // SAFETY: there is none.
    /// assert!(unsafe { threadctl::dispatch::Blas::open(path) }.is_err());
    /// ```
    pub unsafe fn open(path: &Path) -> Result<Self> {
        // SAFETY: our caller's promise.
        unsafe { Blas::of(load(path)?, true) }
    }

    /// Opens a library as [`open`](Blas::open) does, and leaves its calls as they are: none is cut, and the library uses
    /// what threads it has of its own. To compare with, and to switch dispatch off without changing calls.
    ///
    /// # Errors
    /// As for [`open`](Blas::open).
    ///
    /// # Safety
    /// As for [`open`](Blas::open).
    ///
    /// ```
    /// let path = std::path::Path::new("no-such-library.so");
    /// // SAFETY: there is none.
    /// assert!(unsafe { threadctl::dispatch::Blas::open_direct(path) }.is_err());
    /// ```
    pub unsafe fn open_direct(path: &Path) -> Result<Self> {
        // SAFETY: our caller's promise.
        unsafe { Blas::of(load(path)?, false) }
    }

    /// The first BLAS that is loaded in this process and that a `Blas` can be made of; `None` if none is.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if one is loaded and cannot be used, with the reason.
    ///
    /// ```
    /// if let Some(blas) = threadctl::dispatch::Blas::loaded()? {
    ///     println!("{}", blas.path().display());
    /// }
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn loaded() -> Result<Option<Self>> {
        let mut why = None;
        for runtime in &runtimes().select(|runtime| runtime.user_api() == "blas") {
            let Some(library) = Library::hold(runtime.filepath()) else {
                continue;
            };
            // SAFETY: the catalog recognised it as a BLAS by name and content.
            match unsafe { Blas::of(library, true) } {
                Ok(blas) => return Ok(Some(blas)),
                Err(error) => why = why.or(Some(error)),
            }
        }
        why.map_or(Ok(None), Err)
    }

    /// # Safety
    /// The library is what it seems to be.
    unsafe fn of(library: Library, cut: bool) -> Result<Self> {
        let naming = Naming::of(&library).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{}: it is no BLAS: it has no dgemm_ under any known name",
                    library.path().display()
                ),
            )
        })?;
        // SAFETY: our caller's promise.
        unsafe { Blas::with_names(library, naming, cut) }
    }

    /// Dispatch over a library that is loaded, under these of its names.
    ///
    /// # Safety
    /// What it calls by these names are BLAS's routines.
    pub(crate) unsafe fn named(library: Library, naming: Naming) -> Result<Self> {
        // SAFETY: our caller's promise.
        unsafe { Blas::with_names(library, naming, true) }
    }

    /// # Safety
    /// As for [`named`](Blas::named).
    unsafe fn with_names(library: Library, naming: Naming, cut: bool) -> Result<Self> {
        super::share::watch_forks();
        let path = library.path().to_owned();
        let unusable =
            |why: String| Error::new(ErrorKind::Unsupported, format!("{}: {why}", path.display()));
        // SAFETY: it has the names of a BLAS, and our caller vouches for what they are.
        let wide = unsafe { wide_integers(&library, naming) };
        let lacks = |name: String| unusable(format!("it is no whole BLAS: it has no {name}"));
        let wide = wide.ok_or_else(|| lacks("idamax".into()))?;
        // SAFETY: as above.
        let tables = unsafe { Tables::find(&library, naming, wide) }.map_err(lacks)?;
        let origin = library
            .path()
            .canonicalize()
            .ok()
            .or_else(|| tables.origin());
        let blas = runtimes().select(|runtime| runtime.user_api() == "blas");
        // Debian's libblas.so.3 of OpenBLAS has the routines and is no runtime: threads and kernels are those of libopenblas.
        let runtime = blas
            .iter()
            .find(|runtime| Some(runtime.filepath()) == origin.as_deref())
            .or_else(|| blas.iter().find(|runtime| runtime.is_within(&library)))
            .cloned();
        let hold = match &runtime {
            Some(runtime) if cut => Hold::of(runtime)?,
            _ => Hold::NOTHING,
        };
        let alone = runtime
            .as_ref()
            .is_some_and(|runtime| runtime.concurrent_callers() == ConcurrentCallers::Unsafe);
        let packing = cut.then(|| Packing::of(&library)).flatten();
        // MKL over TBB starts threads for products of 256 x 2 by 2 x 2; what bears one caller at a time is rare and slow.
        let mkl = runtime
            .as_ref()
            .is_some_and(|runtime| runtime.internal_api() == "mkl");
        let tiny_is_free = cut && !alone && !(mkl && hold.is_by_thread());
        let name = Name::of(runtime.as_ref(), library.path());
        let least = Tuning::in_force().least(&name);
        Ok(Blas(
            Arc::new(Inner {
                tables,
                cut,
                tiny_is_free,
                hold,
                _packing: packing,
                told: AtomicBool::new(false),
                alone,
                runtime,
                shapes: shapes_of(name.words()[0]),
                name,
                library,
            }),
            Arc::new(least),
        ))
    }

    /// The file that it was opened by.
    ///
    /// ```
    /// let name = |blas: &threadctl::dispatch::Blas| blas.path().display().to_string();
    /// # let _ = name;
    /// ```
    pub fn path(&self) -> &Path {
        self.0.library.path()
    }

    /// The runtime that it is, where it is one that has threads.
    ///
    /// ```
    /// let kind = |blas: &threadctl::dispatch::Blas| {
    ///     blas.runtime().map(|runtime| runtime.internal_api().to_owned())
    /// };
    /// # let _ = kind;
    /// ```
    pub fn runtime(&self) -> Option<&Runtime> {
        self.0.runtime.as_ref()
    }

    /// What it is called in a [`Tuning`].
    ///
    /// ```
    /// let name = |blas: &threadctl::dispatch::Blas| blas.name().to_string();
    /// # let _ = name;
    /// ```
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// From how much on its calls are shared: what a tuning says of it, as it was when the first `Blas` of the process was
    /// opened, and the built-in numbers for the rest.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::Family;
    /// let of_gemm = |blas: &threadctl::dispatch::Blas| blas.least().get(Family::Product);
    /// # let _ = of_gemm;
    /// ```
    #[inline]
    pub fn least(&self) -> &Least {
        &self.1
    }

    /// The same library with other numbers; this one keeps its own.
    ///
    /// ```
    /// use threadctl::dispatch::{Blas, tuning::{Family, Least}};
    /// let never_cut = |blas: &Blas| blas.with_least(blas.least().clone().with(Family::Product, Least::NEVER));
    /// # let _ = never_cut;
    /// ```
    #[must_use]
    pub fn with_least(&self, least: Least) -> Self {
        Blas(Arc::clone(&self.0), Arc::new(least))
    }

    pub(super) fn library(&self) -> &Library {
        &self.0.library
    }

    /// Whether its calls are cut: not where it is opened to be left as it is.
    pub(super) fn cuts(&self) -> bool {
        self.0.cut
    }

    /// Whether it can be held at one thread by the thread that calls, and not for the process.
    pub(super) fn held_by_thread(&self) -> bool {
        self.0.hold.is_by_thread()
    }

    pub(super) fn kernels<T: Scalar>(&self) -> &Kernels<T> {
        T::kernels(&self.0.tables)
    }

    /// The library's own LAPACK, as far as it has one.
    pub(super) fn lapack<T: Scalar>(&self) -> &Lapack<T> {
        T::lapack(&self.0.tables)
    }

    /// How calls are cut.
    pub(super) fn shapes(&self) -> &'static Table {
        self.0.shapes
    }

    /// The tiles, rows and columns of the result, that a product of an m x k matrix by a k x n matrix has in a pool of `width`
    /// workers: one if it is not cut. Pure: for measuring, and for tests of wider pools than the machine has cores.
    ///
    /// ```
    /// let covered = |blas: &threadctl::dispatch::Blas| -> usize {
    ///     let tiles = blas.product_tiles::<f64>([1000, 1000, 1000], 4);
    ///     tiles.iter().map(|(rows, cols)| rows.len() * cols.len()).sum()
    /// };
    /// # let _ = covered;
    /// ```
    pub fn product_tiles<T: Scalar>(
        &self,
        [m, n, k]: [usize; 3],
        width: usize,
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let pool = Pool {
            width,
            least: self.least(),
            shapes: self.shapes(),
        };
        product::<T>(m, n, k, pool).map_or_else(
            || vec![(0..m, 0..n)],
            |grid| (0..grid.tiles()).map(|tile| grid.tile(tile)).collect(),
        )
    }

    /// Whether calls can be cut into tiles: not where the library bears one caller at a time.
    pub(super) fn shares(&self) -> bool {
        self.0.cut && !self.0.alone
    }

    /// Whether calls that are too small for threads of most libraries go without [`held`](Blas::held).
    #[inline]
    pub(crate) fn tiny_is_free(&self) -> bool {
        self.0.tiny_is_free
    }

    /// Whether nothing has to be kept while a kernel runs, however large.
    #[inline]
    pub(super) fn needs_nothing(&self) -> bool {
        !self.0.alone && self.0.hold.needs_nothing()
    }

    /// What has to be kept while a kernel runs that may be large enough for threads of the library's own.
    pub(super) fn held(&self) -> Held {
        self.0.hold.held(self.0.alone, &self.0.told)
    }

    /// The most cores that a call of this thread may use, by the limits that are alive.
    #[inline]
    pub(super) fn most(&self) -> Option<NonZeroUsize> {
        let inner = &*self.0;
        let most = most(|| match &inner.runtime {
            Some(runtime) => identity(runtime),
            // One that has no threads of its own, and no row in the catalog.
            None => Identity {
                user_api: "blas",
                internal_api: inner.name.words()[0],
                prefix: "",
                filepath: inner.library.path(),
            },
        })?;
        NonZeroUsize::new(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// The error for integers that the library's cannot hold.
    #[cold]
    pub(super) fn too_large(&self, routine: &str, values: &[isize]) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "{routine} with {values:?}: {} has 32-bit integers, so sizes and strides are at most {}",
                self.path().display(),
                i32::MAX
            ),
        )
    }
}

/// # Safety
/// The library's initialisers may run in this process.
unsafe fn load(path: &Path) -> Result<Library> {
    // SAFETY: our caller's promise.
    unsafe { Library::load(path, true) }.map_err(|why| {
        Error::new(
            ErrorKind::System,
            format!("{}: it cannot be opened: {why}", path.display()),
        )
    })
}

impl fmt::Debug for Blas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blas")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
