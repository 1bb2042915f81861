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
pub(crate) mod info;
pub(crate) mod mkl;
mod names;
mod one;
pub(crate) mod openblas;
pub(crate) mod openmp;
mod probe;
pub(crate) mod rayon;
pub(crate) mod scan;
mod setting;
mod unknown;
mod vendor;

pub use custom::{Controller, LoadedLibrary, Registration};
pub use info::{ConcurrentCallers, Integers, Interface, RuntimeInfo, SetterScope};
pub(crate) use names::{Names, names};
pub(crate) use one::Facts;
pub use one::Runtime;
pub(crate) use setting::{Saved, Setting};
use std::sync::OnceLock;

/// Finds every runtime that is loaded in this process now.
///
/// Cheap when nothing was loaded or unloaded since the last query. What is returned is held in memory until it is
/// dropped, and may be used from any thread. Where [`init`](crate::init()) has put `THREADCTL_LIMITS` in force, a library that
/// was loaded since is limited by the first query that finds it.
///
/// ```
/// let runtimes = threadctl::runtimes();
/// for runtime in &runtimes {
///     println!("{}: {:?}", runtime.internal_api(), runtime.num_threads());
/// }
/// ```
pub fn runtimes() -> Runtimes {
    let mut found = scan::query();
    found.extend(rayon::runtime());
    let found = Runtimes(found);
    // Inside a trial nothing can be set, so nobody is told; the next query tells it.
    if let Some(look) = LOOK.get()
        && !probe::is_under_way_here()
    {
        look(&found);
    }
    found
}

/// Who is shown what every query finds.
static LOOK: OnceLock<fn(&Runtimes)> = OnceLock::new();

/// Has every query of the runtimes, in any thread, show what it found to `look`; the first caller's stays.
pub(crate) fn when_asked(look: fn(&Runtimes)) {
    // One function in the program, so a second time changes nothing.
    let _ = LOOK.set(look);
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
            .filter(|runtime| runtime.is_llvm_openmp())
            .map(|runtime| runtime.filepath().display().to_string())
            .collect();
        openmp::conflict_among(&files).into_iter().collect()
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
