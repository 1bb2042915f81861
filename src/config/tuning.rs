//! Which file has the numbers of dispatch.
//!
//! Invariant: a program with more rights than its caller has none, whatever the variables say: where the cache is, the
//! caller says too.

use super::file::Trust;
use super::read;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file with what `threadctl tune` measured.
///
/// ```
/// use threadctl::config::TuningFile;
/// assert_eq!(TuningFile::Off.path(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TuningFile {
    /// `threadctl/tuning` in `$XDG_CACHE_HOME`, which is `~/.cache` where it is not set.
    #[default]
    Cache,
    /// None: the built-in numbers.
    Off,
    /// This one.
    At(PathBuf),
}

impl TuningFile {
    /// Where it is, whether there is such a file or not; `None` for none.
    ///
    /// ```
    /// use threadctl::config::TuningFile;
    /// assert_eq!(TuningFile::At("/etc/tuning".into()).path(), Some("/etc/tuning".into()));
    /// ```
    pub fn path(&self) -> Option<PathBuf> {
        self.path_in(Trust::of_process(), &|name| std::env::var_os(name))
    }

    pub(super) fn path_in(
        &self,
        trust: Trust,
        lookup: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<PathBuf> {
        match self {
            TuningFile::Off => None,
            TuningFile::At(path) => Some(path.clone()),
            TuningFile::Cache if trust != Trust::Full => None,
            TuningFile::Cache => {
                // The standard says that a relative one is to be ignored.
                let folder = |name: &str, below: &str| {
                    let value = PathBuf::from(lookup(name)?);
                    value.is_absolute().then(|| value.join(below))
                };
                let cache = folder("XDG_CACHE_HOME", "").or_else(|| folder("HOME", ".cache"))?;
                Some(cache.join(Path::new("threadctl/tuning")))
            }
        }
    }
}

/// That of this process now. A wrong value, which is reported elsewhere, is none.
pub(crate) fn of_process() -> TuningFile {
    read::one(super::table::TUNING).map_or(TuningFile::Off, |settings| settings.tuning)
}
