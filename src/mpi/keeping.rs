//! The budget that the first rank of a node keeps for all of them: its folder, and the thread that looks after it.
//!
//! Invariants: the folder is gone when all have joined, or could not (dropping [`Kept::folder`]), so nothing is left whoever is killed
//! afterwards; the thread calls no MPI; when this is dropped the thread has ended and the budget is closed, which leaves the other
//! ranks as without one and has nobody wait.

use crate::budget::Keeper;
use crate::error::{Error, ErrorKind, Result};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

/// A file system that is always in memory: what the ranks map must not lie on a file server.
const MEMORY: &str = "/dev/shm";

/// A budget that is looked after until this is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    ending: Arc<Ending>,
    thread: Option<JoinHandle<()>>,
}

/// Where the others find it, until this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

#[derive(Debug, Default)]
struct Ending {
    told: Mutex<bool>,
    changed: Condvar,
}

impl Kept {
    /// Makes a budget of so many cores.
    ///
    /// # Errors
    /// [`ErrorKind::System`]: there is no folder for it, or no thread.
    pub(super) fn begin(cores: u32) -> Result<(Self, Folder)> {
        let folder = Folder::new().map_err(|error| {
            Error::new(
                ErrorKind::System,
                format!(
                    "no folder for a budget can be made in {MEMORY} or in {}: {error}",
                    std::env::temp_dir().display()
                ),
            )
        })?;
        let mut keeper = Keeper::new(&folder.0, cores)?;
        let ending = Arc::new(Ending::default());
        let told = Arc::clone(&ending);
        let look = move || {
            let mut ending = lock(&told);
            while !*ending {
                let pause = keeper.look();
                let woken = told.changed.wait_timeout(ending, pause);
                ending = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        };
        let thread = thread::Builder::new()
            .name("threadctl-keeper".to_owned())
            .spawn(look)
            .map_err(|error| {
                Error::new(
                    ErrorKind::System,
                    format!("no thread can be started that looks after a budget: {error}"),
                )
            })?;
        let kept = Kept {
            ending,
            thread: Some(thread),
        };
        Ok((kept, folder))
    }
}

fn lock(ending: &Ending) -> std::sync::MutexGuard<'_, bool> {
    ending.told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Kept {
    fn drop(&mut self) {
        *lock(&self.ending) = true;
        self.ending.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It ends within a look. If it panicked, its budget is closed all the same.
            let _ = thread.join();
        }
    }
}

impl Folder {
    fn new() -> io::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos());
        let name = format!("threadctl-mpi-{}-{now}", std::process::id());
        let make = |base: &Path| {
            let path = base.join(&name);
            fs::DirBuilder::new().mode(0o700).create(&path)?;
            Ok(Folder(path))
        };
        make(Path::new(MEMORY)).or_else(|_| make(&std::env::temp_dir()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever has joined has its file mapped and needs the name no more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Watch;

    #[test]
    fn a_budget_is_kept_until_it_is_dropped_and_its_folder_goes_before() {
        let (kept, folder) = Kept::begin(3).unwrap();
        let watch = Watch::open(folder.path()).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
        assert_eq!(watch.now().cores, 3);
        drop(kept);
        // Nobody has joined, so nobody has any.
        assert!(watch.now().holders.is_empty());
    }

    #[test]
    fn there_is_no_budget_of_no_cores() {
        let error = Kept::begin(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidLimit);
    }
}
