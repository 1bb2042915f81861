//! Finds the runtimes of this process, and remembers them until the loader says that something has changed.
//!
//! Invariants:
//! - The memory holds facts, not libraries: a program may unload what it likes. A library is held only by the
//!   [`Runtime`]s that callers have, and by limits in force.
//! - Remembered functions are called only after the library was held again *and* the loader's count of unloadings was
//!   still the same after that: an address from a library that was unloaded, even if one of the same name has come
//!   back since, is never called.
//! - The memory's lock is held for copying alone: never while the loader, a library or a user's code is called, which
//!   may call this back, in this thread or, under the loader's own lock, in another.

use super::catalog::{self, Row};
use super::custom::{self, Registration};
use super::describe::{Affixes, Around, PLAIN, Subject};
use super::one::{Inner, Kind, Runtime};
use super::openmp;
use super::rayon;
use crate::sys::elf;
use crate::sys::library::Library;
use crate::sys::objects::{self, Generation, LoadedObject};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// What stays known of a loaded runtime while nobody holds it.
#[derive(Debug, Clone)]
struct Known {
    kind: Arc<Kind>,
    /// How the loader names it: what it takes to hold it again. Empty for the main program.
    name: PathBuf,
    live: Weak<Inner>,
}

/// When a list was true: these loadings and unloadings, and this many registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    generation: Generation,
    registrations: usize,
}

impl Stamp {
    fn now() -> Self {
        Stamp {
            generation: objects::generation(),
            registrations: custom::count(),
        }
    }
}

/// What the last scan found, and when.
#[derive(Debug, Default)]
struct Memory {
    stamp: Option<Stamp>,
    known: Vec<Known>,
}

static MEMORY: Mutex<Option<Arc<Memory>>> = Mutex::new(None);

fn remembered() -> Arc<Memory> {
    // A panic cannot have come between: under the lock, one pointer is copied.
    let memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    memory.clone().unwrap_or_default()
}

fn remember(memory: Memory) {
    let new = Some(Arc::new(memory));
    let old = std::mem::replace(
        &mut *MEMORY.lock().unwrap_or_else(PoisonError::into_inner),
        new,
    );
    // Outside the lock: a user's controller may go with it.
    drop(old);
}

/// Remembers what a scan found, unless another one that was made at the same time has been remembered before it: that is
/// returned then. Facts of one library are so the same ones for everybody, and its setter is tried out once: a second trial
/// would set it while limits of those who came first are in force.
fn remember_first(new: Memory) -> Option<Arc<Memory>> {
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(first) = memory.as_ref().filter(|first| first.stamp == new.stamp) {
        return Some(Arc::clone(first));
    }
    let old = memory.replace(Arc::new(new));
    // Outside the lock: a user's controller may go with it.
    drop(memory);
    drop(old);
    None
}

/// Every runtime that is loaded now, held.
pub(super) fn query() -> Vec<Runtime> {
    // Describing MKL makes it load its layers: look again until nothing has come (at most a few rounds).
    for _round in 0..4 {
        let memory = remembered();
        let (stamp, runtimes) = if memory.stamp == Some(Stamp::now()) {
            (memory.stamp, hold_all(&memory))
        } else {
            let (stamp, runtimes) = rescan(&memory, true);
            (Some(stamp), runtimes)
        };
        // The list was made before anything was held: nothing may have gone, or come, since.
        if stamp == Some(Stamp::now()) {
            return runtimes;
        }
    }
    // A program that loads and unloads all the time: nothing remembered is used, everything is asked anew.
    rescan(&Memory::default(), false).1
}

fn hold_all(memory: &Memory) -> Vec<Runtime> {
    let mut changed = false;
    let (known, runtimes): (Vec<Known>, Vec<Runtime>) = memory
        .known
        .iter()
        .filter_map(|known| {
            if let Some(inner) = known.live.upgrade() {
                return Some((known.clone(), Runtime(inner)));
            }
            changed = true;
            known.hold()
        })
        .unzip();
    if changed {
        remember(Memory {
            stamp: memory.stamp,
            known,
        });
    }
    runtimes
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

    fn hold(&self) -> Option<(Self, Runtime)> {
        let library = if self.name.as_os_str().is_empty() {
            main_program()
        } else {
            Arc::new(Library::hold(&self.name)?)
        };
        Some(self.with(library))
    }
}

/// Lists, holds and describes; what is returned was held throughout. With `trust`, what is remembered of a library
/// stands if nothing was unloaded since, or if somebody has held it all the time; the caller checks afterwards that
/// nothing was unloaded between listing and holding.
fn rescan(memory: &Memory, trust: bool) -> (Stamp, Vec<Runtime>) {
    let registrations = custom::count();
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
            wanted(&file_name(&object.name)) || wanted(&file_name(&behind_links(&object.name)))
        })
        // Gone again already: then it is no runtime of this process.
        .filter_map(|object| Library::hold(&object.name).map(|held| (object, Arc::new(held))))
        .collect();

    let program = main_program();
    let llvm_openmp: Vec<String> = candidates
        .iter()
        .filter(|(object, library)| library.defines(openmp::LLVM_SYMBOL, object.base))
        .map(|(object, _)| file_name(&object.name))
        .chain(
            program
                .contains(openmp::LLVM_SYMBOL)
                .then(|| file_name(program.path())),
        )
        .collect();
    let around = Around {
        beside: &beside,
        llvm_openmp: &llvm_openmp,
    };

    let unchanged = memory.stamp.is_some_and(|before| {
        before.generation.same_unloads(generation) && before.registrations == registrations
    });
    let old = &memory.known;
    let mut found: Vec<(Known, Runtime)> = Vec::new();
    for (object, library) in &candidates {
        let remembered = old
            .iter()
            .find(|known| known.name == object.name)
            .filter(|known| known.live.strong_count() > 0 || (trust && unchanged));
        let entry = match remembered {
            Some(known) => Some(known.with(Arc::clone(library))),
            None => recognise(object.base, library, around, &registered)
                .map(|kind| Known::new(kind, object.name.clone(), Arc::clone(library))),
        };
        found.extend(entry);
    }
    found.extend(linked_statically(old, around));
    keep_one_of_each(&mut found, |(known, _)| Identity {
        internal_api: &known.kind.internal_api,
        filepath: &known.kind.filepath,
        one_per_process: known.kind.one_per_process,
        rank: known.kind.rank,
    });
    let mut known_now = Vec::with_capacity(found.len());
    let mut runtimes = Vec::with_capacity(found.len());
    for (known, runtime) in found {
        tracing::debug!(
            runtime = known.kind.internal_api.as_str(),
            file = %known.kind.filepath.display(),
            "runtime found"
        );
        known_now.push(known);
        runtimes.push(runtime);
    }
    let stamp = Stamp {
        generation,
        registrations,
    };
    let new = Memory {
        stamp: Some(stamp),
        known: known_now,
    };
    if trust {
        if let Some(first) = remember_first(new) {
            return (stamp, hold_all(&first));
        }
    } else {
        remember(new);
    }
    (stamp, runtimes)
}

fn recognise(
    base: usize,
    library: &Library,
    around: Around<'_>,
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
            around,
        });
        return Some(Kind::of_row(row, prefix, filepath, description));
    }
    registered.iter().find_map(|row| {
        let prefix = registered_prefix(row, &real).or_else(|| registered_prefix(row, file))?;
        let description = row.describe(
            &Subject {
                library,
                affixes: PLAIN,
                around,
            },
            base,
        )?;
        Some(Kind::of_registration(
            row,
            prefix,
            filepath.clone(),
            description,
        ))
    })
}

/// What the main program contains itself. It never changes, but the description of it may (clashes).
fn linked_statically(old: &[Known], around: Around<'_>) -> Vec<(Known, Runtime)> {
    let library = &main_program();
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
            let affixes = affixes_of(row, |symbol| library.contains(symbol))?;
            let description = (row.describe)(&Subject {
                library,
                affixes,
                around,
            });
            let kind = Kind::of_row(row, "", library.path().to_owned(), description);
            Some(Known::new(kind, PathBuf::new(), Arc::clone(library)))
        })
        .collect()
}

/// The main program and what it links statically, rayon's registry among it, read once.
pub(super) fn main_program() -> Arc<Library> {
    static MAIN: OnceLock<Arc<Library>> = OnceLock::new();
    if let Some(program) = MAIN.get() {
        return Arc::clone(program);
    }
    // Not inside `get_or_init`: the loader is asked, whose lock another thread may hold while it waits for this.
    let (_, objects) = objects::loaded_objects();
    let base = objects.first().map_or(0, |object| object.base);
    // One look for both, since reading the names of a large program takes longer than all else that is done here.
    let wanted: elf::Wanted = |kind, name| match kind {
        elf::Kind::Function => catalog::is_catalog_symbol(name),
        elf::Kind::Data => rayon::begins_with_registry(name),
        elf::Kind::Other => false,
    };
    let program = Library::main_program(own_executable(), base, wanted);
    Arc::clone(MAIN.get_or_init(|| Arc::new(program)))
}

/// The file of the main program.
pub(super) fn own_executable() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}

/// The spelling under which something `defines` one of the row's check symbols, if any.
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

/// The file that a path leads to, by way of links to the file itself: the folders that it is in are not looked at one by one, as
/// `canonicalize` does, which asks the kernel some eight times for each library of a process.
fn behind_links(path: &Path) -> PathBuf {
    /// As the kernel: more are a ring.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = path.read_link() else {
            break;
        };
        path.pop();
        path.push(target);
    }
    path
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::behind_links;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_to_the_file_and_rings_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("libopenblas.so.0"), "").unwrap();
        symlink("libopenblas.so.0", at("second")).unwrap();
        symlink(at("second"), at("libblas.so.3")).unwrap();
        symlink("ring", at("ring")).unwrap();
        for name in ["libblas.so.3", "second", "libopenblas.so.0"] {
            assert_eq!(behind_links(&at(name)), at("libopenblas.so.0"));
        }
        assert_eq!(behind_links(&at("ring")), at("ring"));
        assert_eq!(behind_links(&at("missing")), at("missing"));
    }
}
