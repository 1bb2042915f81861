//! What a library is called in a tuning.
//!
//! Invariant: three words that are not empty, without blanks, control characters or `#`, so that a line of a file has no
//! second reading.

use crate::runtime::Runtime;
use std::fmt;
use std::path::Path;

/// What stands for a word that is not known.
const UNKNOWN: &str = "?";

/// What a library is, its version, and the kernels that it chose for this CPU, as words.
///
/// ```
/// let name = threadctl::dispatch::tuning::Name::new("mkl", Some("2026.2 Product"), None);
/// assert_eq!(name.to_string(), "mkl 2026.2_Product ?");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([String; 3]);

impl Name {
    /// The name of a library: its `internal_api`, `version` and `architecture`, as
    /// [`RuntimeInfo`](crate::RuntimeInfo) has them.
    ///
    /// ```
    /// let name = threadctl::dispatch::tuning::Name::new("openblas", Some("0.3.34"), Some("Zen"));
    /// assert_eq!(name.to_string(), "openblas 0.3.34 Zen");
    /// ```
    pub fn new(internal_api: &str, version: Option<&str>, architecture: Option<&str>) -> Self {
        Name([
            word(internal_api),
            word(version.unwrap_or_default()),
            word(architecture.unwrap_or_default()),
        ])
    }

    /// Of words as they stand in a file.
    pub(super) fn of_words(words: [&str; 3]) -> Self {
        Name(words.map(word))
    }

    /// That of a library that was opened; one without threads of its own goes by its file's name.
    pub(in crate::dispatch) fn of(runtime: Option<&Runtime>, path: &Path) -> Self {
        match runtime {
            Some(runtime) => {
                let info = runtime.info();
                Name::new(
                    &info.internal_api,
                    info.version.as_deref(),
                    info.architecture.as_deref(),
                )
            }
            None => {
                let file = path.file_name().unwrap_or_default();
                Name::new(&file.to_string_lossy(), None, None)
            }
        }
    }

    /// What it is, its version, its kernels.
    ///
    /// ```
    /// let name = threadctl::dispatch::tuning::Name::new("blis", Some("0.9.0"), Some("zen2"));
    /// assert_eq!(name.words(), ["blis", "0.9.0", "zen2"]);
    /// ```
    pub fn words(&self) -> [&str; 3] {
        self.0.each_ref().map(String::as_str)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

fn word(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return UNKNOWN.to_owned();
    }
    let separates = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '#';
    text.replace(separates, "_")
}
