//! What is reported of a runtime: a superset of threadpoolctl's `threadpool_info()`, with its names.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is known of one runtime at one moment. A field that is not known is `None`, and `unknown` says why.
///
/// The first eight fields have the names and the meaning that threadpoolctl gives them.
///
/// ```
/// for runtime in &threadctl::runtimes() {
///     let info = runtime.info();
///     println!("{} {:?} {:?}", info.internal_api, info.version, info.num_threads);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RuntimeInfo {
    /// The standard it implements: `blas`, `openmp`, or the value of `internal_api` where there is none.
    pub user_api: String,
    /// The implementation: `openblas`, `mkl`, `blis`, `flexiblas`, `atlas`, `openmp`, `rayon` ...
    pub internal_api: String,
    /// The start of the file name by which it was recognised; empty for what the main program links statically.
    pub prefix: String,
    /// The file, symbolic links resolved. Serialised as text: bytes that are not UTF-8 become U+FFFD.
    #[cfg_attr(feature = "serde", serde(serialize_with = "lossy_path"))]
    pub filepath: PathBuf,
    /// As the library tells it.
    pub version: Option<String>,
    /// `pthreads`, `openmp` or `disabled`; for MKL `intel`, `gnu`, `tbb`, `sequential`, `pgi`, `not specified`.
    pub threading_layer: Option<String>,
    /// The kernels that it chose for this CPU, in its own words.
    pub architecture: Option<String>,
    /// The limit in force for the calling thread: the most threads that one call may use.
    pub num_threads: Option<u32>,
    /// Whom its setter reaches, found out by trying it.
    pub setter_scope: SetterScope,
    /// The most threads that the build allows.
    pub max_threads: Option<u32>,
    /// Whether several threads may call it at once.
    pub concurrent_callers: ConcurrentCallers,
    /// Its integers and the affixes of its symbols.
    pub interface: Interface,
    /// Whether this kind of runtime is covered by the project's tests with the real library.
    pub tested: bool,
    /// MKL: the limit of each domain that a program may limit apart.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub domains: Option<BTreeMap<String, u32>>,
    /// FlexiBLAS: the backend that calls go to.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub current_backend: Option<String>,
    /// FlexiBLAS: the backends that its configuration names.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub available_backends: Option<Vec<String>>,
    /// FlexiBLAS: the backends that are loaded.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub loaded_backends: Option<Vec<String>>,
    /// For each field that is `None` or unknown: why.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub unknown: BTreeMap<String, String>,
}

/// A path as text. serde's own way is an error for the whole document when one name is not UTF-8, which Linux allows.
#[cfg(feature = "serde")]
pub(crate) fn lossy_path<S: serde::Serializer>(
    path: &std::path::Path,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Whom a change of a runtime's size reaches.
///
/// ```
/// assert_eq!(threadctl::SetterScope::Process.to_string(), "process");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum SetterScope {
    /// Every thread of the process.
    Process,
    /// The calling thread only.
    Thread,
    /// It has a setter of each kind.
    Both,
    /// It cannot be changed.
    Fixed,
    /// Trying it gave no answer.
    #[default]
    Unknown,
}

impl SetterScope {
    /// Whether a setting can reach every thread.
    ///
    /// ```
    /// assert!(!threadctl::SetterScope::Thread.reaches_process());
    /// ```
    pub fn reaches_process(self) -> bool {
        matches!(self, SetterScope::Process | SetterScope::Both)
    }

    /// Whether a setting can be kept to the calling thread.
    ///
    /// ```
    /// assert!(threadctl::SetterScope::Both.reaches_thread());
    /// ```
    pub fn reaches_thread(self) -> bool {
        matches!(self, SetterScope::Thread | SetterScope::Both)
    }
}

impl std::fmt::Display for SetterScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SetterScope::Process => "process",
            SetterScope::Thread => "thread",
            SetterScope::Both => "both",
            SetterScope::Fixed => "fixed",
            SetterScope::Unknown => "unknown",
        })
    }
}

/// Whether several threads may be inside the library at once.
///
/// ```
/// assert_eq!(threadctl::ConcurrentCallers::default(), threadctl::ConcurrentCallers::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum ConcurrentCallers {
    /// Yes.
    Safe,
    /// No: results may be wrong (a serial OpenBLAS built without locking).
    Unsafe,
    /// Nothing tells.
    #[default]
    Unknown,
}

/// The integers of a BLAS interface.
///
/// ```
/// assert_eq!(threadctl::Integers::default(), threadctl::Integers::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Integers {
    /// 32 bits.
    Lp64,
    /// 64 bits.
    Ilp64,
    /// No BLAS interface, or nothing tells.
    #[default]
    Unknown,
}

/// How the symbols of a library look: `cblas_dgemm`, `scipy_cblas_dgemm64_` ...
///
/// ```
/// let interface = threadctl::Interface::default();
/// assert!(interface.symbol_prefix.is_empty() && interface.symbol_suffix.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Interface {
    /// LP64 (32 bits) or ILP64 (64 bits).
    pub integers: Integers,
    /// What stands before each name.
    pub symbol_prefix: String,
    /// What stands after each name.
    pub symbol_suffix: String,
}
