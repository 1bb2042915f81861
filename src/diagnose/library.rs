//! What the file of a runtime tells, without any process that has it loaded.

use super::image::Image;
use super::outside::{self, Outside};
use super::report::RuntimeFile;
use super::target::MappedFile;
use super::who::{self, Group};
use crate::runtime::{catalog, scan};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// The facts of files, each of which is read once.
#[derive(Debug, Default)]
pub(super) struct Facts {
    known: HashMap<String, RuntimeFile>,
}

impl Facts {
    /// What is known of the file at `path`. One that is gone, or was never here (in a container), only has its name.
    pub fn of(&mut self, path: &str) -> RuntimeFile {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let group = Group::of_file(path, "");
        let (threading_layer, max_threads) = read(path).unwrap_or_default();
        let file = RuntimeFile {
            path: path.to_owned(),
            name: group.name,
            kind: group.kind,
            threading_layer,
            max_threads,
        };
        self.known.insert(path.to_owned(), file.clone());
        file
    }
}

/// The threading layer and the most threads of an OpenBLAS; other runtimes have no rule that asks for them.
fn read(path: &str) -> Option<(Option<String>, Option<u32>)> {
    let name = who::file_name(path);
    let row = catalog::ROWS
        .iter()
        .find(|row| row.prefix_of(name).is_some())?;
    if row.internal_api != "openblas" {
        return None;
    }
    let mapped = MappedFile::not_mapped(Path::new(path));
    let image = Image::read(
        File::open(path).ok()?,
        std::process::id(),
        &mapped,
        outside::is_wanted,
    )
    .ok()?;
    let affixes = scan::affixes_of(row, |symbol| image.exports(symbol))?;
    let info = outside::describe(
        row,
        "",
        &Outside {
            image: &image,
            affixes,
            path: Path::new(path),
            beside: &[],
        },
    );
    Some((info.threading_layer, info.max_threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_has_its_name() {
        let file = Facts::default().of("/no/such/libopenblas.so.0");
        assert_eq!(
            (file.name.as_str(), file.threading_layer),
            ("libopenblas", None)
        );
    }
}
