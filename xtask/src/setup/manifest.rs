//! The manifest: a JSON file that says where each library lies, for the tests.
//!
//! ```json
//! { "format": 1, "table": "5a...", "libraries": {
//!     "openblas-pthread": { "path": "/usr/lib/...", "package": "libopenblas0-pthread", "version": "0.3.21+ds-4" } },
//!   "absent": { "atlas": "why this system cannot have it" } }
//! ```
//! Invariant: the file appears whole or not at all, and only once everything that it names is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The one format that this program reads and writes.
const FORMAT: u32 = 1;

/// Where the libraries are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The fingerprint of the table that it was made from.
    pub table: String,
    /// By key.
    pub libraries: BTreeMap<String, Entry>,
    /// What this system's release does not have, by key, and why.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
    #[serde(skip)]
    file: PathBuf,
}

/// One library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Absolute.
    pub path: PathBuf,
    /// The package to install when it is missing.
    pub package: String,
    /// The package's version; for an interpreter, its own.
    pub version: String,
}

impl Manifest {
    pub fn new(file: PathBuf, table: String) -> Self {
        Self {
            format: FORMAT,
            table,
            libraries: BTreeMap::new(),
            absent: BTreeMap::new(),
            file,
        }
    }

    /// `None` when there is none, or none that this program can use: then it is made anew.
    pub fn read(file: &Path) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        (manifest.format == FORMAT).then(|| Self {
            file: file.to_path_buf(),
            ..manifest
        })
    }

    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the manifest as JSON")?;
        let part = self.file.with_extension("part");
        std::fs::write(&part, text + "\n")
            .with_context(|| format!("writing {}", part.display()))?;
        std::fs::rename(&part, &self.file)
            .with_context(|| format!("writing {}", self.file.display()))
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether there is nothing left to do for a library: it is where the manifest says, or cannot be had here.
    pub fn settles(&self, key: &str) -> bool {
        match self.libraries.get(key) {
            Some(entry) => entry.path.exists(),
            None => self.absent.contains_key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends there
    use super::*;
    use crate::setup::wheels::tests::Scratch;

    fn sample(file: PathBuf, library: &Path) -> Manifest {
        let mut manifest = Manifest::new(file, "abc".into());
        let entry = Entry {
            path: library.to_path_buf(),
            package: "libx".into(),
            version: "1".into(),
        };
        manifest.libraries.insert("x".into(), entry);
        manifest
    }

    #[test]
    fn what_was_written_is_read_back() {
        let scratch = Scratch::new("manifest-round-trip");
        let file = scratch.0.join("manifest.json");
        let manifest = sample(file.clone(), &scratch.0);
        manifest.write().unwrap();
        assert_eq!(Manifest::read(&file), Some(manifest));
        assert_eq!(
            std::fs::read_dir(&scratch.0).unwrap().count(),
            1,
            "no part file stays behind"
        );
    }

    #[test]
    fn a_library_that_is_gone_is_fetched_again() {
        let scratch = Scratch::new("manifest-gone");
        let library = scratch.0.join("libx.so");
        let manifest = sample(scratch.0.join("manifest.json"), &library);
        assert!(!manifest.settles("x"));
        std::fs::write(&library, "").unwrap();
        assert!(manifest.settles("x"));
        assert!(!manifest.settles("y"));
    }

    #[test]
    fn a_library_that_cannot_be_had_is_not_looked_for_again() {
        let mut manifest = Manifest::new(PathBuf::new(), "abc".into());
        manifest
            .absent
            .insert("x".into(), "gone from this release".into());
        assert!(manifest.settles("x"));
    }

    #[test]
    fn broken_and_foreign_manifests_count_as_none() {
        let scratch = Scratch::new("manifest-broken");
        let file = scratch.0.join("manifest.json");
        assert_eq!(Manifest::read(&file), None);
        for text in ["", "{", r#"{"format": 2, "table": "abc", "libraries": {}}"#] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Manifest::read(&file), None, "{text}");
        }
    }
}
