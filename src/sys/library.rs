//! One object of this process whose symbols may be called: a shared library held open, or the main program.
//!
//! Invariant: while a [`Library`] lives, the addresses that it returned stay mapped. For a shared library this is
//! the reference that `dlopen` counted; the main program is never unmapped.

use super::{elf, fit, objects};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// An object held in memory, and its symbols.
#[derive(Debug)]
pub(crate) struct Library {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A reference counted by the dynamic loader.
    Handle(NonNull<c_void>),
    /// Symbols read from the file of an object that is never unmapped.
    Linked(HashMap<String, usize>),
}

// SAFETY: a `dlopen` handle may be used from any thread; the loader takes its own lock in dlsym and dlclose.
unsafe impl Send for Library {}
// SAFETY: as above; `Library` itself has no interior mutability.
unsafe impl Sync for Library {}

impl Library {
    /// Holds a library that is already loaded; `None` when it is not (any more).
    ///
    /// Never loads anything: this is `RTLD_NOLOAD`. The main program, which has no name in the loader's list, is no library.
    pub(crate) fn hold(name: &Path) -> Option<Library> {
        if name.as_os_str().is_empty() {
            return None;
        }
        open(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD)
            .ok()
            .map(|handle| Library {
                path: name.to_owned(),
                source: Source::Handle(handle),
            })
    }

    /// Loads a library as a program that links it would, and keeps it until dropped. `Err` is the loader's own text, or what is
    /// wrong with the file where the loader would not say it.
    ///
    /// # Safety
    /// The library's initialisers run: the caller vouches that they may run in this process now.
    pub(crate) unsafe fn load(path: &Path, global: bool) -> Result<Library, String> {
        // Names without a folder are looked for by the loader, which passes over what does not fit.
        if let Some(why) = path
            .parent()
            .filter(|it| *it != Path::new(""))
            .and_then(|_| fit::unfit(path))
        {
            return Err(format!("{}: {why}", path.display()));
        }
        let scope = if global {
            libc::RTLD_GLOBAL
        } else {
            libc::RTLD_LOCAL
        };
        // For good: the threads that it has started, or a library that it brings has, would go on in code that is gone.
        // Debian's libgomp does not see to that itself.
        let flags = libc::RTLD_LAZY | libc::RTLD_NODELETE | scope;
        open(path, flags).map(|handle| Library {
            path: path.to_owned(),
            source: Source::Handle(handle),
        })
    }

    /// The main program, with nothing in it. `path` is only its name.
    pub(crate) fn empty_program(path: PathBuf) -> Library {
        Library {
            path,
            source: Source::Linked(HashMap::new()),
        }
    }

    /// What the main program links statically, of the `wanted` functions and variables. `path` is only its name.
    pub(crate) fn main_program(path: PathBuf, base: usize, wanted: elf::Wanted) -> Library {
        Library {
            path,
            source: Source::Linked(elf::defined_by_program(base, wanted)),
        }
    }

    /// The address of the first one whose name fits, among what a program links statically.
    pub(crate) fn linked(&self, fits: impl Fn(&str) -> bool) -> Option<usize> {
        match &self.source {
            Source::Handle(_) => None,
            Source::Linked(symbols) => symbols
                .iter()
                .find_map(|(name, address)| fits(name).then_some(*address)),
        }
    }

    /// Whether the file itself has it.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Handle(_) => self.symbol(name).is_some(),
            Source::Linked(symbols) => symbols.contains_key(name),
        }
    }

    /// The path that this object was found under.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the loader took for it; `None` for the main program.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        objects::of_handle(self.handle()?).map(|object| object.name)
    }

    /// What the loader knows it by; `None` for the main program.
    pub(crate) fn handle(&self) -> Option<NonNull<c_void>> {
        match self.source {
            Source::Handle(handle) => Some(handle),
            Source::Linked(_) => None,
        }
    }

    /// Where `name` is in this library or in those that it depends on.
    pub(crate) fn symbol(&self, name: &str) -> Option<NonNull<c_void>> {
        match &self.source {
            Source::Handle(handle) => {
                let name = CString::new(name).ok()?;
                // SAFETY: the handle is open for as long as `self` lives; `name` is a C string.
                NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) })
            }
            Source::Linked(symbols) => match symbols.get(name) {
                Some(&address) => NonNull::new(address as *mut c_void),
                // In what the program is linked with: OpenMP below an OpenBLAS that it contains.
                None => {
                    let name = CString::new(name).ok()?;
                    // SAFETY: the default scope needs no handle; `name` is a C string.
                    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
                }
            },
        }
    }

    /// Whether the object mapped at `base` defines `name` itself, and not a library that it depends on.
    pub(crate) fn defines(&self, name: &str, base: usize) -> bool {
        self.symbol(name)
            .and_then(|address| objects::origin(address.as_ptr() as usize))
            .is_some_and(|origin| origin.base == base || origin.name == self.path)
    }

    /// Never unloads this library again.
    pub(crate) fn leak(self) {
        std::mem::forget(self);
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Source::Handle(handle) = self.source {
            // SAFETY: the handle came from dlopen and is closed here only.
            unsafe { libc::dlclose(handle.as_ptr()) };
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that opens: the handle goes into a Library"
)]
fn open(path: &Path, flags: i32) -> Result<NonNull<c_void>, String> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| "the path has a NUL byte".to_owned())?;
    // SAFETY: `name` is a C string; what initialisers may do is the caller's promise (`load`), or nothing runs (`hold`).
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    NonNull::new(handle).ok_or_else(last_error)
}

fn last_error() -> String {
    // SAFETY: dlerror returns null or a string that is valid until this thread's next call of the loader.
    let text: *mut c_char = unsafe { libc::dlerror() };
    if text.is_null() {
        return "not loaded".to_owned();
    }
    // SAFETY: not null, hence a C string; copied before any further call of the loader.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
