//! Which libraries make up a backend: what the user wrote, or the usual ones in their order. Pure.
//!
//! Invariant: a [`Choice`] names at least one library, and nothing in it has been opened.

use crate::error::{Error, ErrorKind};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A backend that has a name of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub name: &'static str,
    /// One library each, under the first of these names that can be opened. The first one computes.
    pub parts: &'static [&'static [&'static str]],
    /// What to install for it.
    pub install: &'static str,
}

/// In the order in which they are tried.
pub(crate) static KNOWN: &[Known] = &[
    Known {
        name: "openblas",
        parts: &[&["libopenblas.so.0", "libopenblas.so", "libscipy_openblas.so"]],
        install: "libopenblas0-pthread (Debian, Ubuntu) or openblas (Fedora, Arch)",
    },
    Known {
        name: "mkl",
        parts: &[&[
            "libmkl_rt.so.3",
            "libmkl_rt.so.2",
            "libmkl_rt.so.1",
            "libmkl_rt.so",
        ]],
        install: "mkl (PyPI, conda) or intel-mkl (Debian, Ubuntu)",
    },
    Known {
        name: "blis",
        parts: &[
            &["libblis.so.4", "libblis.so.3", "libblis.so"],
            &["liblapack.so.3"],
        ],
        install: "libblis4-pthread and liblapack3 (Debian, Ubuntu)",
    },
    Known {
        name: "system",
        parts: &[&["libblas.so.3"], &["liblapack.so.3"]],
        install: "libblas3 and liblapack3 (Debian, Ubuntu)",
    },
];

/// What [`Choice`] accepts.
pub(crate) const GRAMMAR: &str = "openblas, mkl, blis, system, an absolute path, or a file name such as libopenblas.so.0; \
     several with colons between them, of which the first that has BLAS computes and the others have the routines that it lacks";

/// Libraries for a backend: `openblas`, `/opt/lib/libopenblas.so`, `blis:/opt/lib/liblapack.so.3`.
///
/// ```
/// use threadctl::backend::Choice;
/// let layered: Choice = "libblis.so.4:liblapack.so.3".parse()?;
/// assert_eq!(layered.to_string(), "libblis.so.4:liblapack.so.3");
/// assert!("opneblas".parse::<Choice>().is_err());
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(pub(super) Vec<Part>);

/// One entry of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Known(&'static Known),
    File(PathBuf),
}

impl Choice {
    pub(super) fn of(known: &'static Known) -> Self {
        Choice(vec![Part::Known(known)])
    }

    /// Whether it names files, rather than what is known by a name.
    pub(crate) fn names_files(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::File(_)))
    }

    /// What is to be opened: a list for each library, of which the first that opens is taken.
    pub(super) fn libraries(&self) -> impl Iterator<Item = Vec<&Path>> {
        self.0.iter().flat_map(|part| match part {
            Part::File(path) => vec![vec![path.as_path()]],
            Part::Known(known) => known
                .parts
                .iter()
                .map(|names| names.iter().map(Path::new).collect())
                .collect(),
        })
    }
}

/// The names that are known.
pub(crate) fn names() -> Vec<&'static str> {
    KNOWN.iter().map(|known| known.name).collect()
}

/// What is wrong with an entry.
pub(crate) fn fault(entry: &str) -> Option<&'static str> {
    let name = entry.trim();
    if name.is_empty() {
        Some("an entry is empty")
    } else if name.starts_with('/') || KNOWN.iter().any(|known| known.name == name) {
        None
    } else if name.contains('/') {
        Some("a path has to begin at the root")
    } else if name.starts_with("lib") && name.contains(".so") {
        None
    } else {
        Some("there is no backend of that name")
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let part = |entry: &str| {
            let entry = entry.trim();
            if let Some(why) = fault(entry) {
                return Err(Error::new(
                    ErrorKind::InvalidSelection,
                    format!("{entry:?}: {why}. Accepted is {GRAMMAR}"),
                ));
            }
            let known = KNOWN.iter().find(|known| known.name == entry);
            Ok(known.map_or_else(|| Part::File(entry.into()), Part::Known))
        };
        text.split(':')
            .map(part)
            .collect::<Result<_, _>>()
            .map(Choice)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            match part {
                Part::Known(known) => f.write_str(known.name)?,
                Part::File(path) => write!(f, "{}", path.display())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_known_name_is_read_and_written() {
        for known in KNOWN {
            let choice: Choice = known.name.parse().unwrap();
            assert_eq!(choice, Choice::of(known));
            assert_eq!(choice.to_string(), known.name);
            assert_eq!(choice.libraries().count(), known.parts.len());
            assert!(GRAMMAR.contains(known.name));
        }
    }

    #[test]
    fn wrong_entries_are_named() {
        for wrong in [
            "",
            "opneblas",
            "lib/openblas.so",
            "openblas:",
            "openblas.so",
        ] {
            let error = wrong.parse::<Choice>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSelection);
            assert!(error.to_string().contains("Accepted is"), "{error}");
        }
    }

    #[test]
    fn files_and_names_can_be_layered() {
        let choice: Choice = "blis:/opt/liblapack.so.3".parse().unwrap();
        assert!(choice.names_files());
        assert_eq!(choice.libraries().count(), 3);
        assert!(!"mkl".parse::<Choice>().unwrap().names_files());
    }
}
