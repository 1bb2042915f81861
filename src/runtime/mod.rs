//! Layer 1: which runtimes are loaded in this process, what each is and can do.
//!
//! [`runtimes`] finds them (`scan.rs`) by the catalog, asks each for its facts, and returns [`Runtime`]s, which hold
//! their libraries. A runtime's settings are how the next layers change it.
//! See README.md beside this file for what "set the number of threads" means on each of them.

mod blis;
pub(crate) mod catalog;
mod custom;
pub(crate) mod describe;
pub(crate) mod fixed;
mod flexiblas;
mod info;
pub(crate) mod mkl;
mod names;
pub(crate) mod openblas;
mod openmp;
mod probe;
pub(crate) mod rayon;
pub(crate) mod scan;
mod setting;
mod vendor;

pub use custom::{Controller, LoadedLibrary, Registration};
pub use info::{ConcurrentCallers, Integers, Interface, RuntimeInfo, SetterScope};
pub(crate) use names::{Names, names};
pub(crate) use setting::{Saved, Setting};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::library::Library;
use crate::sys::objects;
use describe::{Description, Pool};
use probe::Reach;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Finds every runtime that is loaded in this process now.
///
/// Cheap when nothing was loaded or unloaded since the last query. What is returned is held in memory until it is
/// dropped, and may be used from any thread.
///
/// ```
/// let runtimes = threadctl::runtimes();
/// for runtime in &runtimes {
///     println!("{}: {:?}", runtime.internal_api(), runtime.num_threads());
/// }
/// ```
pub fn runtimes() -> Runtimes {
    let mut found = scan::query();
    found.extend(rayon_runtime());
    Runtimes(found)
}

/// The runtimes found by one query.
///
/// ```
/// let blas = threadctl::runtimes().select(|runtime| runtime.user_api() == "blas");
/// assert!(blas.iter().all(|runtime| runtime.user_api() == "blas"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Runtimes(Vec<Runtime>);

impl Runtimes {
    /// Iterates over them, in the order in which the loader lists their libraries.
    ///
    /// ```
    /// assert_eq!(threadctl::runtimes().iter().count(), threadctl::runtimes().len());
    /// ```
    pub fn iter(&self) -> std::slice::Iter<'_, Runtime> {
        self.0.iter()
    }

    /// How many there are.
    ///
    /// ```
    /// assert_eq!(threadctl::runtimes().len() == 0, threadctl::runtimes().is_empty());
    /// ```
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// let none = threadctl::runtimes().select(|_| false);
    /// assert!(none.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that `wanted` is true of.
    ///
    /// ```
    /// let openblas = threadctl::runtimes().select(|runtime| runtime.internal_api() == "openblas");
    /// assert!(openblas.len() <= threadctl::runtimes().len());
    /// ```
    #[must_use]
    pub fn select(&self, wanted: impl Fn(&Runtime) -> bool) -> Runtimes {
        Runtimes(
            self.0
                .iter()
                .filter(|runtime| wanted(runtime))
                .cloned()
                .collect(),
        )
    }

    /// What is known of each.
    ///
    /// ```
    /// assert_eq!(threadctl::runtimes().info().len(), threadctl::runtimes().len());
    /// ```
    pub fn info(&self) -> Vec<RuntimeInfo> {
        self.0.iter().map(Runtime::info).collect()
    }

    /// Combinations among them that are known to fail, in words.
    ///
    /// ```
    /// for warning in threadctl::runtimes().conflicts() {
    ///     eprintln!("{warning}");
    /// }
    /// ```
    pub fn conflicts(&self) -> Vec<String> {
        let files: Vec<_> = self
            .0
            .iter()
            .map(|runtime| runtime.filepath().display().to_string())
            .collect();
        conflicts_among(&files)
    }
}

impl<'a> IntoIterator for &'a Runtimes {
    type Item = &'a Runtime;
    type IntoIter = std::slice::Iter<'a, Runtime>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Runtime> for Runtimes {
    fn from_iter<I: IntoIterator<Item = Runtime>>(runtimes: I) -> Self {
        Runtimes(runtimes.into_iter().collect())
    }
}

/// The combinations of runtime files that are known to fail together.
pub(crate) fn conflicts_among(files: &[String]) -> Vec<String> {
    let of = |prefix: &str| {
        files.iter().find(|path| {
            Path::new(path)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
    };
    let [llvm, intel] = openmp::CLASHING;
    match (of(llvm), of(intel)) {
        (Some(llvm), Some(intel)) => vec![format!(
            "{llvm} (LLVM OpenMP) and {intel} (Intel OpenMP) are both loaded: they are one code base, and the one \
             that is initialised second ends the program or corrupts the other; load only one of them"
        )],
        _ => Vec::new(),
    }
}

/// One runtime of this process. Clones are cheap and share it; while one lives, its library stays loaded.
///
/// ```
/// for runtime in &threadctl::runtimes() {
///     println!("{} in {}", runtime.internal_api(), runtime.filepath().display());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Runtime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Arc<Kind>,
    library: Arc<Library>,
    process: Option<Setting>,
    thread: Option<Setting>,
}

/// The facts of a loaded runtime, remembered while it is loaded.
#[derive(Debug)]
struct Kind {
    user_api: String,
    internal_api: String,
    prefix: String,
    filepath: PathBuf,
    description: Description,
    tested: bool,
    one_per_process: bool,
    /// Which of several files of one runtime counts: the lowest.
    rank: usize,
    reach: OnceLock<Reaches>,
}

/// What the probe found for the setters of a runtime: which one to use for which scope.
#[derive(Debug, Clone, Copy)]
struct Reaches {
    process: Option<Which>,
    thread: Option<Which>,
    /// A setter gave no answer.
    untold: bool,
}

/// A setter, by where the description keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Second,
}

impl Kind {
    fn of_row(
        row: &catalog::Row,
        prefix: &str,
        filepath: PathBuf,
        description: Description,
    ) -> Self {
        Kind {
            user_api: row.user_api.to_owned(),
            internal_api: row.internal_api.to_owned(),
            prefix: prefix.to_owned(),
            filepath,
            description,
            tested: row.tested,
            one_per_process: row.one_per_process,
            rank: row
                .prefixes
                .iter()
                .position(|known| *known == prefix)
                .unwrap_or(usize::MAX),
            reach: OnceLock::new(),
        }
    }

    fn of_registration(
        row: &Registration,
        prefix: String,
        filepath: PathBuf,
        description: Description,
    ) -> Self {
        Kind {
            user_api: row
                .user_api
                .clone()
                .unwrap_or_else(|| row.internal_api.clone()),
            internal_api: row.internal_api.clone(),
            prefix,
            filepath,
            description,
            tested: false,
            one_per_process: false,
            rank: 0,
            reach: OnceLock::new(),
        }
    }
}

impl Runtime {
    fn new(kind: Arc<Kind>, library: Arc<Library>) -> Self {
        let setting = |functions: &Option<describe::Functions>| {
            functions
                .clone()
                .map(|functions| Setting::new(functions, Arc::clone(&library)))
        };
        let process = setting(&kind.description.process);
        let thread = setting(&kind.description.thread);
        Runtime(Arc::new(Inner {
            kind,
            library,
            process,
            thread,
        }))
    }
}

impl Runtime {
    /// The standard that it implements: `blas`, `openmp`, or its own name where there is none.
    ///
    /// ```
    /// assert!(threadctl::runtimes().iter().all(|runtime| !runtime.user_api().is_empty()));
    /// ```
    pub fn user_api(&self) -> &str {
        &self.0.kind.user_api
    }

    /// The implementation: `openblas`, `mkl`, `blis`, `flexiblas`, `atlas`, `openmp`, `rayon` ...
    ///
    /// ```
    /// assert!(threadctl::runtimes().iter().all(|runtime| !runtime.internal_api().is_empty()));
    /// ```
    pub fn internal_api(&self) -> &str {
        &self.0.kind.internal_api
    }

    /// The start of the file name by which it was recognised; empty for what the main program contains.
    ///
    /// ```
    /// let gnu = threadctl::runtimes().select(|runtime| runtime.prefix() == "libgomp");
    /// assert!(gnu.len() <= 1);
    /// ```
    pub fn prefix(&self) -> &str {
        &self.0.kind.prefix
    }

    /// The file, symbolic links resolved.
    ///
    /// ```
    /// assert!(threadctl::runtimes().iter().all(|runtime| runtime.filepath().is_absolute()));
    /// ```
    pub fn filepath(&self) -> &Path {
        &self.0.kind.filepath
    }

    /// The limit in force for the calling thread, asked now; `None` when it cannot be known (see
    /// [`RuntimeInfo::unknown`] for why).
    ///
    /// ```
    /// for runtime in &threadctl::runtimes() {
    ///     assert!(runtime.num_threads().is_none_or(|threads| threads >= 1));
    /// }
    /// ```
    pub fn num_threads(&self) -> Option<u32> {
        match &self.0.kind.description.pool {
            Pool::Asked(reader) => Some(reader.read(&self.0.library)),
            Pool::Fixed(threads) => Some(*threads),
            Pool::Silent | Pool::Unsafe(_) => None,
        }
    }

    /// The most threads that the build allows, where that is known.
    ///
    /// ```
    /// assert!(threadctl::runtimes().iter().all(|runtime| runtime.max_threads() != Some(0)));
    /// ```
    pub fn max_threads(&self) -> Option<u32> {
        self.0.kind.description.max_threads
    }

    /// Whether several threads may call it at once.
    ///
    /// ```
    /// use threadctl::ConcurrentCallers;
    /// let unsafe_ones = threadctl::runtimes()
    ///     .select(|runtime| runtime.concurrent_callers() == ConcurrentCallers::Unsafe);
    /// println!("{} need their calls serialised", unsafe_ones.len());
    /// ```
    pub fn concurrent_callers(&self) -> ConcurrentCallers {
        self.0.kind.description.concurrent_callers
    }

    /// Whom its setter reaches. The first question tries it out (another thread sets a value, this one looks, and the
    /// value goes back at once); the answer is remembered while the library is loaded.
    ///
    /// ```
    /// for runtime in &threadctl::runtimes() {
    ///     println!("{}: {}", runtime.internal_api(), runtime.setter_scope());
    /// }
    /// ```
    pub fn setter_scope(&self) -> SetterScope {
        let reaches = self.reaches();
        match (reaches.process, reaches.thread) {
            (Some(_), Some(_)) => SetterScope::Both,
            (Some(_), None) => SetterScope::Process,
            (None, Some(_)) => SetterScope::Thread,
            (None, None) if reaches.untold => SetterScope::Unknown,
            (None, None) => SetterScope::Fixed,
        }
    }

    /// The setting that reaches every thread, if there is one.
    pub(crate) fn process_setting(&self) -> Option<&Setting> {
        self.reaches().process.and_then(|which| self.setting(which))
    }

    /// The setting that stays with the calling thread, if there is one.
    pub(crate) fn thread_setting(&self) -> Option<&Setting> {
        self.reaches().thread.and_then(|which| self.setting(which))
    }

    /// Why it must not be asked or set, if so.
    pub(crate) fn untouchable(&self) -> Option<&str> {
        match &self.0.kind.description.pool {
            Pool::Unsafe(why) => Some(why),
            _ => None,
        }
    }

    fn setting(&self, which: Which) -> Option<&Setting> {
        match which {
            Which::First => self.0.process.as_ref(),
            Which::Second => self.0.thread.as_ref(),
        }
    }

    fn reaches(&self) -> Reaches {
        *self.0.kind.reach.get_or_init(|| {
            let mut reaches = Reaches {
                process: None,
                thread: None,
                untold: false,
            };
            if self.0.kind.description.max_threads == Some(1) {
                return reaches;
            }
            for which in [Which::First, Which::Second] {
                let Some(setting) = self.setting(which) else {
                    continue;
                };
                let reach = probe::reach(setting);
                tracing::debug!(runtime = self.internal_api(), ?reach, "setter tried");
                match reach {
                    Reach::Process => reaches.process = reaches.process.or(Some(which)),
                    Reach::Thread => reaches.thread = reaches.thread.or(Some(which)),
                    Reach::Nothing => {}
                    Reach::Untold => reaches.untold = true,
                }
            }
            reaches
        })
    }

    /// Everything that is known of it now. Tries out the setter if that was not done before.
    ///
    /// ```
    /// for info in threadctl::runtimes().info() {
    ///     assert!(info.num_threads.is_some() || info.unknown.contains_key("num_threads"));
    /// }
    /// ```
    pub fn info(&self) -> RuntimeInfo {
        let kind = &*self.0.kind;
        let description = &kind.description;
        let flexiblas = description.flexiblas.as_ref();
        let library = &*self.0.library;
        let mut info = RuntimeInfo {
            user_api: kind.user_api.clone(),
            internal_api: kind.internal_api.clone(),
            prefix: kind.prefix.clone(),
            filepath: kind.filepath.clone(),
            version: description.version.clone(),
            threading_layer: description.threading_layer.clone(),
            architecture: description.architecture.clone(),
            num_threads: self.num_threads(),
            setter_scope: self.setter_scope(),
            max_threads: description.max_threads,
            concurrent_callers: description.concurrent_callers,
            interface: description.interface.clone(),
            tested: kind.tested,
            current_backend: flexiblas.and_then(|functions| functions.current(library)),
            available_backends: flexiblas.and_then(|functions| functions.available(library)),
            loaded_backends: flexiblas.and_then(|functions| functions.loaded(library)),
            unknown: BTreeMap::new(),
        };
        info.unknown = self.reasons(&info);
        info
    }

    /// For each field of `info` that is not known, why.
    fn reasons(&self, info: &RuntimeInfo) -> BTreeMap<String, String> {
        let mut reasons = BTreeMap::new();
        let untouchable = self.untouchable();
        let mut missing = |field: &str, is_missing: bool, why: &str| {
            if is_missing {
                reasons.insert(field.to_owned(), untouchable.unwrap_or(why).to_owned());
            }
        };
        missing(
            "version",
            info.version.is_none(),
            "the library has no call that tells its version",
        );
        missing(
            "threading_layer",
            info.threading_layer.is_none(),
            "the library has no call that tells its threading layer",
        );
        missing(
            "architecture",
            info.architecture.is_none(),
            "the library has no call that names its kernels",
        );
        missing(
            "num_threads",
            info.num_threads.is_none(),
            "the library has no call that tells its number of threads",
        );
        missing(
            "max_threads",
            info.max_threads.is_none(),
            "the library does not tell what its build allows",
        );
        missing(
            "setter_scope",
            info.setter_scope == SetterScope::Unknown,
            "trying the setter gave no answer: it may be capped at the present number",
        );
        missing(
            "concurrent_callers",
            info.concurrent_callers == ConcurrentCallers::Unknown,
            "nothing tells whether several threads may call it at once",
        );
        missing(
            "interface",
            info.interface.integers == Integers::Unknown && info.user_api == "blas",
            "nothing tells the size of its integers",
        );
        reasons
    }

    /// FlexiBLAS: sends all later calls to `backend`, a name of its configuration or the path of a BLAS library,
    /// loading it if need be. Affects the whole process; calls must not be under way in other threads.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when this is no FlexiBLAS, or FlexiBLAS refuses the backend; nothing is changed then.
    ///
    /// ```
    /// for runtime in &threadctl::runtimes() {
    ///     if runtime.internal_api() == "flexiblas" {
    ///         runtime.switch_backend("NETLIB").unwrap();
    ///     }
    /// }
    /// ```
    pub fn switch_backend(&self, backend: &str) -> Result<()> {
        let Some(functions) = &self.0.kind.description.flexiblas else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} has no backends to switch; only FlexiBLAS has",
                    self.filepath().display()
                ),
            ));
        };
        functions.switch(&self.0.library, backend)
    }
}

/// The file of the main program.
fn own_executable() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}

/// rayon's global pool as a runtime, once it runs.
fn rayon_runtime() -> Option<Runtime> {
    static KNOWN: OnceLock<Runtime> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Some(known.clone());
    }
    // This code's own object: it is where rayon is linked, and it stays.
    static OWN: OnceLock<(PathBuf, usize)> = OnceLock::new();
    let (file, base) = OWN.get_or_init(|| {
        let own = objects::own_object();
        let file = if own.name.as_os_str().is_empty() {
            own_executable()
        } else {
            own.name
        };
        (file.canonicalize().unwrap_or(file), own.base)
    });
    let rayon::GlobalPool::Running(threads) = rayon::global_pool(file, *base) else {
        return None;
    };
    let description = Description {
        pool: Pool::Fixed(threads),
        max_threads: None,
        threading_layer: None,
        concurrent_callers: ConcurrentCallers::Safe,
        ..Description::default()
    };
    let kind = Kind {
        user_api: "rayon".to_owned(),
        internal_api: "rayon".to_owned(),
        prefix: String::new(),
        filepath: file.clone(),
        description,
        tested: true,
        one_per_process: true,
        rank: 0,
        reach: OnceLock::new(),
    };
    let library = Arc::new(Library::main_program(own_executable(), 0, |_| false));
    Some(
        KNOWN
            .get_or_init(|| Runtime::new(Arc::new(kind), library))
            .clone(),
    )
}
