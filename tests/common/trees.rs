//! Unpacks the trees of other machines that `tests/fixtures/cores` holds, one text file each.
#![allow(
    dead_code,
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a test fails by panicking"
)]

use std::path::Path;

use threadctl::cores::{Cores, System};

/// A machine in a folder of its own, which goes away with it.
pub struct Tree {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Tree {
    /// An empty machine.
    pub fn new() -> Self {
        Tree {
            folder: tempfile::tempdir().expect("a temporary folder"),
            environment: Vec::new(),
        }
    }

    /// The tree of this name. Lines before the first entry tell how it was written.
    pub fn named(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/cores")
            .join(format!("{name}.tree"));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            text.starts_with("# Not a recording: written by hand")
                || text.starts_with("# Recorded"),
            "{name} does not say how it was written"
        );
        let mut tree = Tree::new();
        let mut open: Option<(String, String)> = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("@ ") {
                if let Some((path, text)) = open.take() {
                    tree.write(&path, &text);
                }
                open = Some((path.to_owned(), String::new()));
            } else if let Some((_, text)) = &mut open {
                text.push_str(line);
                text.push('\n');
            } else if let Some(setting) = line.strip_prefix("$ ") {
                let (name, value) = setting.split_once('=').expect("NAME=VALUE");
                tree.set(name, value);
            } else {
                assert!(line.starts_with('#'), "{name}: {line:?}");
            }
        }
        if let Some((path, text)) = open {
            tree.write(&path, &text);
        }
        tree
    }

    /// Writes a file, in place of the one that was there.
    pub fn write(&mut self, path: &str, text: &str) -> &mut Self {
        let file = self.folder.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
        std::fs::write(file, text).expect("the file");
        self
    }

    /// Makes a FIFO, which blocks whoever opens it and waits, in place of a file.
    pub fn fifo(&mut self, path: &str) -> &mut Self {
        self.write(path, "");
        let file = self.folder.path().join(path.trim_start_matches('/'));
        std::fs::remove_file(&file).expect("the file");
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.expect("mkfifo of coreutils").success());
        self
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// The answer there with these variables as well; a tree is dear to write.
    pub fn cores_with(&self, variables: &[(&str, &str)]) -> Cores {
        let more = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = self.environment.iter().cloned().chain(more);
        System::recorded(self.folder.path(), environment).cores()
    }

    /// The answer there.
    pub fn cores(&self) -> Cores {
        self.system().cores()
    }

    /// The machine.
    pub fn system(&self) -> System {
        System::recorded(self.folder.path(), self.environment.clone())
    }
}
