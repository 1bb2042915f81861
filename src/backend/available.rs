//! Which backends are installed where the loader looks, without loading any.
//!
//! Invariant: no library is opened here, for their initialisers start threads.

use super::choice::{Choice, KNOWN};
use std::path::{Path, PathBuf};

/// A backend that `THREADCTL_BACKEND` can name, and whether it is installed.
///
/// ```
/// for backend in threadctl::backend::available() {
///     println!("{}: {}", backend.name(), if backend.is_installed() { "here" } else { backend.install() });
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Available {
    name: &'static str,
    install: &'static str,
    libraries: Vec<Option<PathBuf>>,
}

impl Available {
    /// What it is called.
    ///
    /// ```
    /// assert_eq!(threadctl::backend::available()[0].name(), "openblas");
    /// ```
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The packages to install for it.
    ///
    /// ```
    /// assert!(threadctl::backend::available()[0].install().contains("openblas"));
    /// ```
    pub fn install(&self) -> &'static str {
        self.install
    }

    /// Whether the loader would find all of its libraries. Whether they work is seen when they are opened.
    ///
    /// ```
    /// let installed = threadctl::backend::available().iter().filter(|backend| backend.is_installed()).count();
    /// # let _ = installed;
    /// ```
    pub fn is_installed(&self) -> bool {
        self.libraries.iter().all(Option::is_some)
    }

    /// Where its libraries are, `None` for one that is missing.
    ///
    /// ```
    /// assert_eq!(threadctl::backend::available()[0].libraries().len(), 1);
    /// ```
    pub fn libraries(&self) -> &[Option<PathBuf>] {
        &self.libraries
    }
}

/// The backends that have names, in the order in which they are tried. Nothing is loaded.
///
/// ```
/// let names: Vec<&str> = threadctl::backend::available().iter().map(|backend| backend.name()).collect();
/// assert_eq!(names, ["openblas", "mkl", "blis", "system"]);
/// ```
pub fn available() -> Vec<Available> {
    let cache = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
    KNOWN
        .iter()
        .map(|known| Available {
            name: known.name,
            install: known.install,
            libraries: Choice::of(known)
                .libraries()
                .map(|names| names.iter().find_map(|name| find(name, &cache)))
                .collect(),
        })
        .collect()
}

/// Where the loader looks for a name: LD_LIBRARY_PATH, its cache, and the folders that it knows by itself.
fn find(name: &Path, cache: &[u8]) -> Option<PathBuf> {
    let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = std::env::split_paths(&variable).filter(|folder| folder.is_absolute());
    let in_folder = |folder: PathBuf| Some(folder.join(name)).filter(|path| path.exists());
    folders
        .into_iter()
        .find_map(in_folder)
        .or_else(|| in_cache(name, cache))
        .or_else(|| {
            let usual = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
            usual.into_iter().map(PathBuf::from).find_map(in_folder)
        })
}

/// The cache is a table of numbers and then texts that end in NUL, paths among them.
fn in_cache(name: &Path, cache: &[u8]) -> Option<PathBuf> {
    cache
        .split(|byte| *byte == 0)
        .filter(|text| text.first() == Some(&b'/'))
        .filter_map(|text| std::str::from_utf8(text).ok())
        .map(PathBuf::from)
        .find(|path| path.file_name() == name.file_name() && path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_found_as_the_loader_finds_it() {
        let cache = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
        assert!(find(Path::new("libc.so.6"), &cache).is_some());
        assert_eq!(find(Path::new("libno-such-thing.so.6"), &cache), None);
    }
}
