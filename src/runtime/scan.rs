//! Finds the runtimes of this process, and remembers them until the loader says that something has changed.
//!
//! Invariants:
//! - The memory holds facts, not libraries: a program may unload what it likes. A library is held only by the
//!   [`Runtime`]s that callers have, and by limits in force.
//! - Remembered functions are called only after the library was held again *and* the loader's count of unloadings was
//!   still the same after that: an address from a library that was unloaded, even if one of the same name has come
//!   back since, is never called.

use super::catalog::{self, Row};
use super::custom::{self, Registration};
use super::describe::{Affixes, PLAIN, Subject};
use super::one::{Inner, Kind, Runtime};
use crate::sys::library::Library;
use crate::sys::objects::{self, Generation, LoadedObject};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// What stays known of a loaded runtime while nobody holds it.
#[derive(Debug)]
struct Known {
    kind: Arc<Kind>,
    /// How the loader names it: what it takes to hold it again. Empty for the main program.
    name: PathBuf,
    live: Weak<Inner>,
}

#[derive(Debug, Default)]
struct Memory {
    generation: Option<Generation>,
    known: Vec<Known>,
}

static MEMORY: Mutex<Memory> = Mutex::new(Memory {
    generation: None,
    known: Vec::new(),
});

fn memory() -> MutexGuard<'static, Memory> {
    // Nothing in here can be left half-done by a panic that would matter: the next scan writes it anew.
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the next query look at everything again.
pub(super) fn forget() {
    memory().generation = None;
}

/// Every runtime that is loaded now, held.
pub(super) fn query() -> Vec<Runtime> {
    let mut memory = memory();
    // Describing MKL makes it load its layers: look again until nothing has come (at most a few rounds).
    for _round in 0..4 {
        let runtimes = if memory.generation == Some(objects::generation()) {
            memory.hold_all()
        } else {
            rescan(&mut memory, true)
        };
        if memory.generation == Some(objects::generation()) {
            return runtimes;
        }
    }
    // A program that loads and unloads all the time: nothing remembered is used, everything is asked anew.
    rescan(&mut memory, false)
}

impl Memory {
    fn hold_all(&mut self) -> Vec<Runtime> {
        self.known.iter_mut().filter_map(Known::hold).collect()
    }
}

impl Known {
    fn new(kind: Kind, name: PathBuf, library: Arc<Library>) -> (Self, Runtime) {
        let kind = Arc::new(kind);
        let runtime = Runtime::new(Arc::clone(&kind), library);
        let live = Arc::downgrade(&runtime.0);
        (Known { kind, name, live }, runtime)
    }

    /// The same facts, in use: with whoever uses them already, or with `library`.
    fn with(&self, library: Arc<Library>) -> (Self, Runtime) {
        let runtime = match self.live.upgrade() {
            Some(inner) => Runtime(inner),
            None => Runtime::new(Arc::clone(&self.kind), library),
        };
        let known = Known {
            kind: Arc::clone(&self.kind),
            name: self.name.clone(),
            live: Arc::downgrade(&runtime.0),
        };
        (known, runtime)
    }

    fn hold(&mut self) -> Option<Runtime> {
        if let Some(inner) = self.live.upgrade() {
            return Some(Runtime(inner));
        }
        let library = if self.name.as_os_str().is_empty() {
            Arc::clone(main_program())
        } else {
            Arc::new(Library::hold(&self.name)?)
        };
        let (known, runtime) = self.with(library);
        *self = known;
        Some(runtime)
    }
}

/// Lists, holds and describes; what is returned was held throughout. With `trust`, what is remembered of a library
/// stands if nothing was unloaded since, or if somebody has held it all the time; the caller checks afterwards that
/// nothing was unloaded between listing and holding.
fn rescan(memory: &mut Memory, trust: bool) -> Vec<Runtime> {
    let (generation, loaded) = objects::loaded_objects();
    let registered = custom::rows();
    let wanted = |file: &str| {
        let in_catalog = catalog::ROWS
            .iter()
            .any(|row| row.prefix_of(file).is_some());
        in_catalog
            || registered
                .iter()
                .any(|row| registered_prefix(row, file).is_some())
    };
    let beside: Vec<String> = loaded
        .iter()
        .map(|object| file_name(&object.name))
        .collect();
    let candidates: Vec<(LoadedObject, Arc<Library>)> = loaded
        .into_iter()
        .filter(|object| !object.name.as_os_str().is_empty())
        .filter(|object| {
            // The name of the file itself counts too: `libblas.so.3` is often a link to a runtime.
            wanted(&file_name(&object.name))
                || object
                    .name
                    .canonicalize()
                    .is_ok_and(|real| wanted(&file_name(&real)))
        })
        // Gone again already: then it is no runtime of this process.
        .filter_map(|object| Library::hold(&object.name).map(|held| (object, Arc::new(held))))
        .collect();

    let unchanged = memory
        .generation
        .is_some_and(|before| before.same_unloads(generation));
    let old = std::mem::take(&mut memory.known);
    let mut found: Vec<(Known, Runtime)> = Vec::new();
    for (object, library) in &candidates {
        let remembered = old
            .iter()
            .find(|known| known.name == object.name)
            .filter(|known| known.live.strong_count() > 0 || (trust && unchanged));
        let entry = match remembered {
            Some(known) => Some(known.with(Arc::clone(library))),
            None => recognise(object.base, library, &beside, &registered)
                .map(|kind| Known::new(kind, object.name.clone(), Arc::clone(library))),
        };
        found.extend(entry);
    }
    found.extend(linked_statically(&old, &beside));
    keep_one_of_each(&mut found, |(known, _)| Identity {
        internal_api: &known.kind.internal_api,
        filepath: &known.kind.filepath,
        one_per_process: known.kind.one_per_process,
        rank: known.kind.rank,
    });
    memory.generation = Some(generation);
    let mut runtimes = Vec::with_capacity(found.len());
    for (known, runtime) in found {
        tracing::debug!(
            runtime = known.kind.internal_api.as_str(),
            file = %known.kind.filepath.display(),
            "runtime found"
        );
        memory.known.push(known);
        runtimes.push(runtime);
    }
    runtimes
}

fn recognise(
    base: usize,
    library: &Library,
    beside: &[String],
    registered: &[Arc<Registration>],
) -> Option<Kind> {
    let filepath = library
        .path()
        .canonicalize()
        .unwrap_or_else(|_| library.path().to_owned());
    // As threadpoolctl does: the name of the file itself counts, not that of a link to it. For files that are gone or
    // named through a link only, the loader's name must do.
    let real = file_name(&filepath);
    let file = &file_name(library.path());
    for row in catalog::ROWS {
        let prefix = row.prefix_of(&real).or_else(|| row.prefix_of(file));
        let Some((_, prefix)) = prefix else { continue };
        let Some(affixes) = affixes_of(row, |symbol| library.defines(symbol, base)) else {
            continue;
        };
        let description = (row.describe)(&Subject {
            library,
            affixes,
            beside,
        });
        return Some(Kind::of_row(row, prefix, filepath, description));
    }
    registered.iter().find_map(|row| {
        let prefix = registered_prefix(row, &real).or_else(|| registered_prefix(row, file))?;
        let description = row.describe(&Subject {
            library,
            affixes: PLAIN,
            beside,
        })?;
        Some(Kind::of_registration(
            row,
            prefix,
            filepath.clone(),
            description,
        ))
    })
}

/// What the main program contains itself. It never changes, but the description of it may (clashes).
fn linked_statically(old: &[Known], beside: &[String]) -> Vec<(Known, Runtime)> {
    let library = main_program();
    let remembered: Vec<_> = old
        .iter()
        .filter(|known| known.name.as_os_str().is_empty())
        .map(|known| known.with(Arc::clone(library)))
        .collect();
    if !remembered.is_empty() {
        return remembered;
    }
    catalog::ROWS
        .iter()
        .filter_map(|row| {
            let affixes = affixes_of(row, |symbol| library.symbol(symbol).is_some())?;
            let subject = Subject {
                library,
                affixes,
                beside,
            };
            let description = (row.describe)(&subject);
            let kind = Kind::of_row(row, "", library.path().to_owned(), description);
            Some(Known::new(kind, PathBuf::new(), Arc::clone(library)))
        })
        .collect()
}

/// The main program and what it links statically, read once.
fn main_program() -> &'static Arc<Library> {
    static MAIN: OnceLock<Arc<Library>> = OnceLock::new();
    MAIN.get_or_init(|| {
        let (_, objects) = objects::loaded_objects();
        let base = objects.first().map_or(0, |object| object.base);
        Arc::new(Library::main_program(
            own_executable(),
            base,
            catalog::is_catalog_symbol,
        ))
    })
}

/// The spelling under which something `defines` one of the row's check symbols, if any.
/// The file of the main program.
pub(super) fn own_executable() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}

pub(crate) fn affixes_of(row: &Row, defines: impl Fn(&str) -> bool) -> Option<Affixes> {
    row.affixes.iter().copied().find(|affixes| {
        row.check_symbols
            .iter()
            .any(|symbol| defines(&affixes.of(symbol)))
    })
}

fn registered_prefix(row: &Registration, file: &str) -> Option<String> {
    row.prefixes
        .iter()
        .find(|prefix| !prefix.is_empty() && file.starts_with(*prefix))
        .cloned()
}

/// By what two findings are told to be one.
pub(crate) struct Identity<'a> {
    pub internal_api: &'a str,
    pub filepath: &'a Path,
    pub one_per_process: bool,
    pub rank: usize,
}

/// One entry per file, and one per kind where several files make up one runtime.
pub(crate) fn keep_one_of_each<T>(found: &mut Vec<T>, identity: impl Fn(&T) -> Identity<'_>) {
    let mut kept: Vec<T> = Vec::with_capacity(found.len());
    for known in found.drain(..) {
        let two = identity(&known);
        let twin = kept.iter_mut().find(|other| {
            let one = identity(other);
            let same_file = one.filepath == two.filepath && one.internal_api == two.internal_api;
            let parts = one.one_per_process && one.internal_api == two.internal_api;
            same_file || parts
        });
        match twin {
            Some(twin) if two.rank < identity(twin).rank => *twin = known,
            Some(_) => {}
            None => kept.push(known),
        }
    }
    *found = kept;
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
