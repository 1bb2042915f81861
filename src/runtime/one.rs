//! One runtime: its facts, its settings, and what it answers when asked.
//!
//! Invariant: an [`Inner`] holds the library that its functions belong to; a [`Kind`] holds facts only.

use super::catalog;
use super::custom::Registration;
use super::describe::{self, Description, Pool};
use super::info::{ConcurrentCallers, RuntimeInfo, SetterScope};
use super::probe::{self, Reach};
use super::setting::Setting;
use super::unknown;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::library::Library;
use crate::sys::objects;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One runtime of this process. Clones are cheap and share it; while one lives, its library stays loaded.
///
/// ```
/// for runtime in &threadctl::runtimes() {
///     println!("{} in {}", runtime.internal_api(), runtime.filepath().display());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Runtime(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    kind: Arc<Kind>,
    library: Arc<Library>,
    process: Option<Setting>,
    thread: Option<Setting>,
}

/// The facts of a loaded runtime, remembered while it is loaded.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) user_api: String,
    pub(super) internal_api: String,
    pub(super) prefix: String,
    pub(super) filepath: PathBuf,
    pub(super) description: Description,
    pub(super) tested: bool,
    pub(super) one_per_process: bool,
    /// Which of several files of one runtime counts: the lowest.
    pub(super) rank: usize,
    /// Found out at the first question, and kept once it is final.
    pub(super) reach: Mutex<Option<Reaches>>,
}

/// The facts of a runtime, by identity: other ones when it was unloaded meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Facts(Weak<Kind>);

impl Facts {
    pub(crate) fn are_of(&self, runtime: &Runtime) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&runtime.0.kind))
    }

    /// Whether they are still remembered; otherwise they are nobody's.
    pub(crate) fn are_known(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// What the probe found for the setters of a runtime: which one to use for which scope.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reaches {
    process: Option<Which>,
    thread: Option<Which>,
    /// A setter took no higher number, and has no lower one.
    capped: bool,
    /// A setter gave no answer this time.
    untold: bool,
}

/// A setter, by where the description keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Second,
}

impl Kind {
    pub(super) fn of_row(
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
            reach: Mutex::new(None),
        }
    }

    pub(super) fn of_registration(
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
            reach: Mutex::new(None),
        }
    }
}

impl Runtime {
    pub(super) fn new(kind: Arc<Kind>, library: Arc<Library>) -> Self {
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
            Pool::Silent | Pool::LeftAlone(_) => None,
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
            (None, None) if reaches.untold || reaches.capped => SetterScope::Unknown,
            // Left alone: nobody knows.
            (None, None) if self.untouchable().is_some() => SetterScope::Unknown,
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
            Pool::LeftAlone(why) => Some(why),
            _ => None,
        }
    }

    /// By what it is recognised later, without its library being held.
    pub(crate) fn facts(&self) -> Facts {
        Facts(Arc::downgrade(&self.0.kind))
    }

    /// Whether both are one, while one of them is held.
    pub(crate) fn is_same(&self, other: &Runtime) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.internal_api() == other.internal_api() && self.filepath() == other.filepath())
    }

    /// Whether a library brings it, as seen from there by its names.
    pub(crate) fn is_within(&self, library: &Library) -> bool {
        let rows = catalog::ROWS
            .iter()
            .filter(|row| row.internal_api == self.internal_api());
        let names = rows.flat_map(|row| {
            row.affixes
                .iter()
                .flat_map(|affixes| row.check_symbols.iter().map(|symbol| affixes.of(symbol)))
        });
        names
            .into_iter()
            .filter_map(|name| library.symbol(&name))
            .filter_map(|address| objects::origin(address.as_ptr() as usize))
            .filter_map(|origin| origin.file())
            .any(|file| file == self.filepath())
    }

    /// Whether it is one of those OpenMP runtimes of which a process bears only one.
    pub(super) fn is_llvm_openmp(&self) -> bool {
        self.0.kind.description.llvm_openmp
    }

    /// Whom a setter reaches where all such libraries are alike: an OpenBLAS that says that it has threads of its own has one number
    /// for the process.
    fn expected(&self, which: Which) -> Option<Reach> {
        let description = &self.0.kind.description;
        let has_own = self.internal_api() == "openblas"
            && description.threading_layer.as_deref() == Some("pthreads");
        (has_own && which == Which::First).then_some(Reach::Process)
    }

    fn setting(&self, which: Which) -> Option<&Setting> {
        match which {
            Which::First => self.0.process.as_ref(),
            Which::Second => self.0.thread.as_ref(),
        }
    }

    fn reaches(&self) -> Reaches {
        let untold = Reaches {
            untold: true,
            ..Reaches::default()
        };
        if probe::is_under_way_here() {
            return untold;
        }
        let mut known = self
            .0
            .kind
            .reach
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(reaches) = *known {
            return reaches;
        }
        let mut reaches = Reaches::default();
        let mut is_final = true;
        let one_thread = self.0.kind.description.max_threads == Some(1);
        for which in [Which::First, Which::Second] {
            let Some(setting) = self.setting(which).filter(|_| !one_thread) else {
                continue;
            };
            let reach = probe::reach(setting, self.expected(which));
            tracing::debug!(runtime = self.internal_api(), ?reach, "setter tried");
            is_final &= reach.is_final();
            match reach {
                Reach::Process => reaches.process = reaches.process.or(Some(which)),
                Reach::Thread => reaches.thread = reaches.thread.or(Some(which)),
                Reach::Nothing => {}
                Reach::Capped => reaches.capped = true,
                Reach::Untold => reaches.untold = true,
            }
        }
        if is_final {
            *known = Some(reaches);
        }
        reaches
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
            domains: self.domains(),
            current_backend: flexiblas.and_then(|functions| functions.current(library)),
            available_backends: flexiblas.and_then(|functions| functions.available(library)),
            loaded_backends: flexiblas.and_then(|functions| functions.loaded(library)),
            unknown: BTreeMap::new(),
        };
        info.unknown = unknown::reasons(&info, self.untouchable(), || self.reaches().capped);
        info
    }

    fn domains(&self) -> Option<BTreeMap<String, u32>> {
        let domains: BTreeMap<_, _> = self
            .0
            .process
            .iter()
            .flat_map(Setting::domains)
            .map(|(name, limit)| (name.to_owned(), limit))
            .collect();
        (!domains.is_empty()).then_some(domains)
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
