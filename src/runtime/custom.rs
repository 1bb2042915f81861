//! Runtimes that the catalog does not know, registered by their users.
//!
//! Invariant: a registration never changes the catalog's own rows; it is asked after them, in the order of
//! registration, and stays for the life of the process.

use super::describe::{Description, Functions, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::call::{GetInt, GetText, SetInt};
use crate::sys::library::Library;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock};

/// Reads and sets the threads of a library in whatever way it needs.
///
/// Called from any thread, and only while the library is loaded; dropped whenever, so its `Drop` must not call the
/// library. It should not panic: a panic leaves a limit unset. A number of 0 counts as 1.
/// It must not make limits while it is being set: they would wait for the one that sets it.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// struct Counter(AtomicU32);
/// impl threadctl::Controller for Counter {
///     fn num_threads(&self) -> u32 { self.0.load(Ordering::Relaxed) }
///     fn set_num_threads(&self, threads: u32) { self.0.store(threads, Ordering::Relaxed) }
/// }
/// ```
pub trait Controller: Send + Sync {
    /// The limit in force for the calling thread.
    fn num_threads(&self) -> u32;
    /// Changes it. Whom that reaches is found out by trying it.
    fn set_num_threads(&self, threads: u32);
}

/// A loaded library, as a registered runtime's `open` sees it.
///
/// ```
/// let _open = |library: &threadctl::LoadedLibrary<'_>| library.symbol("mylib_threads").is_some();
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LoadedLibrary<'a>(&'a Library);

impl LoadedLibrary<'_> {
    /// The file.
    ///
    /// ```
    /// let _open = |library: &threadctl::LoadedLibrary<'_>| library.path().ends_with("libmylib.so");
    /// ```
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The address of a symbol of this library, or of one that it depends on. It is valid while the library is
    /// loaded, hence in every call of the [`Controller`] made from it.
    ///
    /// ```
    /// let _open = |library: &threadctl::LoadedLibrary<'_>| library.symbol("mylib_threads").is_some();
    /// ```
    pub fn symbol(&self, name: &str) -> Option<NonNull<c_void>> {
        self.0.symbol(name)
    }
}

type Open = dyn Fn(&LoadedLibrary<'_>) -> Option<Arc<dyn Controller>> + Send + Sync;

/// A runtime of the user's own: how its files are recognised, and how its threads are read and set.
///
/// ```
/// // SAFETY: libmylib declares `int mylib_get_threads(void)` and `void mylib_set_threads(int)`.
/// let row = unsafe {
///     threadctl::Registration::with_functions("mylib", "mylib_get_threads", "mylib_set_threads")
/// };
/// row.user_api("blas").prefix("libmylib").register().unwrap();
/// // A second registration under one name is an error.
/// let again = threadctl::Registration::with_controller("mylib", |_| None).prefix("libmylib");
/// assert!(again.register().is_err());
/// ```
pub struct Registration {
    pub(super) user_api: Option<String>,
    pub(super) internal_api: String,
    pub(super) prefixes: Vec<String>,
    pub(super) means: Means,
    version_symbol: Option<String>,
}

pub(super) enum Means {
    Symbols { get: String, set: String },
    Open(Box<Open>),
}

impl Registration {
    /// A runtime whose library has `int get(void)` and `void set(int)` under the given names. A file is taken for
    /// this runtime when its name fits and it has both.
    ///
    /// # Safety
    /// In every library whose file name starts with one of the prefixes, symbols of these names (and of
    /// [`version_symbol`](Registration::version_symbol)) have these types, and may be called from any thread.
    ///
    /// ```
    /// // SAFETY: nothing is registered here.
    /// let _row = unsafe { threadctl::Registration::with_functions("other", "other_get", "other_set") };
    /// ```
    pub unsafe fn with_functions(internal_api: &str, get: &str, set: &str) -> Self {
        Self::new(
            internal_api,
            Means::Symbols {
                get: get.to_owned(),
                set: set.to_owned(),
            },
        )
    }

    /// A runtime that `open` recognises among the files whose names fit: it returns the means to control it, or
    /// `None` when the library is another one.
    ///
    /// ```
    /// let _row = threadctl::Registration::with_controller("other", |_library| None).prefix("libother");
    /// ```
    pub fn with_controller(
        internal_api: &str,
        open: impl Fn(&LoadedLibrary<'_>) -> Option<Arc<dyn Controller>> + Send + Sync + 'static,
    ) -> Self {
        Self::new(internal_api, Means::Open(Box::new(open)))
    }

    fn new(internal_api: &str, means: Means) -> Self {
        Registration {
            user_api: None,
            internal_api: internal_api.to_owned(),
            prefixes: Vec::new(),
            means,
            version_symbol: None,
        }
    }

    /// The standard that it implements (`blas`, `openmp` ...); without it, a copy of its own name.
    ///
    /// ```
    /// let _row = threadctl::Registration::with_controller("other", |_| None).user_api("blas");
    /// ```
    #[must_use]
    pub fn user_api(mut self, user_api: &str) -> Self {
        self.user_api = Some(user_api.to_owned());
        self
    }

    /// One more start of a file name by which it is recognised; at least one is needed.
    ///
    /// ```
    /// let _row = threadctl::Registration::with_controller("other", |_| None).prefix("libother");
    /// ```
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(prefix.to_owned());
        self
    }

    /// The name of a `const char *version(void)`; part of the promise of
    /// [`with_functions`](Registration::with_functions), and used with it alone.
    ///
    /// ```
    /// // SAFETY: nothing is registered here.
    /// let row = unsafe { threadctl::Registration::with_functions("other", "other_get", "other_set") };
    /// let _row = row.version_symbol("other_version");
    /// ```
    #[must_use]
    pub fn version_symbol(mut self, name: &str) -> Self {
        self.version_symbol = Some(name.to_owned());
        self
    }

    /// Makes it known; libraries that are loaded already are found by the next query.
    ///
    /// # Errors
    /// [`ErrorKind::Registration`] when the name is empty or taken, or no prefix was given.
    ///
    /// ```
    /// let row = threadctl::Registration::with_controller("openblas", |_| None).prefix("libmine");
    /// assert_eq!(row.register().unwrap_err().kind(), threadctl::ErrorKind::Registration);
    /// ```
    pub fn register(self) -> Result<()> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Registration, why));
        if self.internal_api.is_empty() {
            return refuse("a runtime cannot be registered under the empty name".to_owned());
        }
        if self.prefixes.iter().all(String::is_empty) {
            return refuse(format!(
                "the runtime {:?} needs a file name prefix such as \"libmylib\"",
                self.internal_api
            ));
        }
        let mut rows = ROWS.write().unwrap_or_else(PoisonError::into_inner);
        let taken = super::catalog::ROWS
            .iter()
            .any(|row| row.internal_api == self.internal_api)
            || rows.iter().any(|row| row.internal_api == self.internal_api);
        if taken {
            return refuse(format!(
                "the name {:?} is taken by another runtime",
                self.internal_api
            ));
        }
        rows.push(Arc::new(self));
        Ok(())
    }

    /// What is found in `subject`, if it is this runtime.
    pub(super) fn describe(&self, subject: &Subject<'_>, base: usize) -> Option<Description> {
        let library = subject.library;
        let common = Description {
            interface: PLAIN.interface(Integers::Unknown),
            concurrent_callers: ConcurrentCallers::Unknown,
            ..Description::default()
        };
        match &self.means {
            Means::Symbols { get, set } => {
                // A library that only depends on it is another one.
                if !library.defines(get, base) {
                    return None;
                }
                // SAFETY: promised by the caller of `with_functions`.
                let (get, set) =
                    unsafe { (GetInt::find(library, get)?, SetInt::find(library, set)?) };
                let version = self.version_symbol.as_deref().and_then(|name| {
                    // SAFETY: promised by the caller of `with_functions`.
                    let version = unsafe { GetText::find(library, name) }?;
                    // SAFETY: the library is borrowed by `subject`.
                    unsafe { version.call() }
                });
                Some(Description {
                    version,
                    pool: Pool::Asked(Reader::C(get)),
                    process: Some(Functions::Plain { get, set }),
                    ..common
                })
            }
            Means::Open(open) => {
                let found = catch_unwind(AssertUnwindSafe(|| open(&LoadedLibrary(library))));
                // The user's code: what it panics with may panic again when dropped.
                let controller = found.unwrap_or_else(|payload| {
                    std::mem::forget(payload);
                    tracing::warn!(
                        runtime = self.internal_api,
                        "the registered `open` panicked"
                    );
                    None
                })?;
                Some(Description {
                    pool: Pool::Asked(Reader::Custom(Arc::clone(&controller))),
                    process: Some(Functions::Custom(controller)),
                    ..common
                })
            }
        }
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("internal_api", &self.internal_api)
            .field("prefixes", &self.prefixes)
            .finish_non_exhaustive()
    }
}

static ROWS: RwLock<Vec<Arc<Registration>>> = RwLock::new(Vec::new());

/// How many rows are registered.
pub(super) fn count() -> usize {
    ROWS.read().unwrap_or_else(PoisonError::into_inner).len()
}

/// The registered rows so far.
pub(super) fn rows() -> Vec<Arc<Registration>> {
    ROWS.read().unwrap_or_else(PoisonError::into_inner).clone()
}
