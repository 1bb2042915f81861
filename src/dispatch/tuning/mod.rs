//! From how much on calls are shared: numbers that were measured, kept in a file that `threadctl tune` writes.
//!
//! A tuning has numbers for libraries, told apart by what they are, which version, and which kernels they chose for the
//! CPU; a library that it does not name has the built-in ones.
//!
//! Invariants: the file is read once in a process, when its first [`Blas`](super::Blas) is opened, so that what is cut, and
//! with that the bits of results, does not change while a program runs; a file that cannot be used changes nothing and is
//! reported once through the log ([`init`](crate::init) returns the error); a file is taken whole or not at all.
//!
//! ```
//! use threadctl::dispatch::tuning::{Family, Tuning};
//!
//! let tuning: Tuning = "# measured\nopenblas 0.3.34 Zen product 373248\n".parse()?;
//! let name = tuning.names().next().unwrap();
//! assert_eq!(tuning.least(name).get(Family::Product), 72 * 72 * 72);
//! # Ok::<(), threadctl::Error>(())
//! ```

mod family;
mod name;
#[cfg(all(test, not(loom)))]
mod tests;
mod text;

pub use family::{Family, Least, Unit};
pub use name::Name;

use crate::config::TuningFile;
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

/// A file that is larger is none that `threadctl tune` wrote.
const LARGEST: u64 = 1 << 20;

/// Numbers for libraries.
///
/// ```
/// use threadctl::dispatch::tuning::Tuning;
/// assert_eq!(Tuning::default().names().count(), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tuning(BTreeMap<Name, BTreeMap<Family, usize>>);

impl Tuning {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when it cannot be read, [`ErrorKind::Configuration`] when it is none, with the line that is
    /// wrong and what is accepted.
    ///
    /// ```
    /// use std::path::Path;
    /// use threadctl::dispatch::tuning::Tuning;
    ///
    /// let error = Tuning::read(Path::new("/no/such/tuning")).unwrap_err();
    /// assert!(error.to_string().contains("/no/such/tuning"));
    /// ```
    pub fn read(path: &Path) -> Result<Self> {
        read_text(path)?.map_or_else(
            || Err(system(path, "there is no such file")),
            |text| text::parse(&text).map_err(|wrong| wrong.of(&path.display().to_string())),
        )
    }

    /// What the file of a program says; nothing where there is no such file.
    ///
    /// # Errors
    /// As for [`Tuning::read`].
    pub(crate) fn of(file: &TuningFile) -> Result<Self> {
        let Some(path) = file.path() else {
            return Ok(Tuning::default());
        };
        // A cache that belongs to somebody else (HOME is often kept when the user changes) is as good as none: nobody
        // asked for it.
        let looked = path.metadata().and_then(|found| {
            // Opening a FIFO waits for who writes to it.
            if found.is_file() {
                std::fs::File::open(&path).map(drop)
            } else {
                Ok(())
            }
        });
        let denied =
            looked.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        if denied && matches!(file, TuningFile::Cache) {
            return Ok(Tuning::default());
        }
        let Some(text) = read_text(&path)? else {
            if matches!(file, TuningFile::At(_)) {
                tracing::warn!(path = %path.display(), "there is no such tuning: the built-in numbers hold");
            }
            return Ok(Tuning::default());
        };
        text::parse(&text).map_err(|wrong| wrong.of(&path.display().to_string()))
    }

    /// That of this process, as it was when it was first asked for.
    pub(super) fn in_force() -> &'static Self {
        static IN_FORCE: OnceLock<Tuning> = OnceLock::new();
        IN_FORCE.get_or_init(|| {
            crate::config::notice();
            Tuning::of(&crate::config::tuning_file()).unwrap_or_else(|error| {
                tracing::warn!(%error, "a tuning is ignored: the built-in numbers hold");
                Tuning::default()
            })
        })
    }

    /// The numbers for a library: its own, and built-in ones for what is not in the tuning.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Least, Name, Tuning};
    /// assert_eq!(Tuning::default().least(&Name::new("blis", Some("0.9.0"), None)), Least::BUILT_IN);
    /// ```
    pub fn least(&self, name: &Name) -> Least {
        let own = self.0.get(name).into_iter().flatten();
        own.fold(Least::BUILT_IN, |least, (&family, &number)| {
            least.with(family, number)
        })
    }

    /// The libraries that it has numbers for.
    ///
    /// ```
    /// let tuning: threadctl::dispatch::tuning::Tuning = "blis 0.9.0 zen2 dot never".parse()?;
    /// assert_eq!(tuning.names().map(ToString::to_string).collect::<Vec<_>>(), ["blis 0.9.0 zen2"]);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// The text of a tuning with other numbers for one library; comments and other libraries stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if `text` is no tuning.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Family, Name, Tuning};
    ///
    /// let name = Name::new("blis", Some("0.9.0"), Some("zen2"));
    /// let text = Tuning::replaced("# mine\nblis 0.9.0 zen2 dot never\n", &name, &[(Family::Dot, 65536)])?;
    /// assert_eq!(text, "# mine\nblis 0.9.0 zen2 dot 65536\n");
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn replaced(text: &str, name: &Name, numbers: &[(Family, usize)]) -> Result<String> {
        text::replaced(text, name, numbers).map_err(|wrong| wrong.of("tuning"))
    }
}

impl std::str::FromStr for Tuning {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text::parse(text).map_err(|wrong| wrong.of("tuning"))
    }
}

/// What a file has in it; `None` where there is none.
fn read_text(path: &Path) -> Result<Option<String>> {
    // Opening a FIFO waits for who writes to it.
    match path.metadata() {
        Ok(found) if !found.is_file() => return Err(system(path, "it is no file")),
        Ok(found) if found.len() > LARGEST => {
            return Err(system(path, "it is too large for a tuning"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system(path, &error.to_string())),
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .map_err(|error| system(path, &error.to_string()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::new(
            ErrorKind::Configuration,
            format!("{}: it is not UTF-8, and so no tuning", path.display()),
        )),
    }
}

fn system(path: &Path, why: &str) -> Error {
    Error::new(
        ErrorKind::System,
        format!("{}: the tuning cannot be read: {why}", path.display()),
    )
}
