//! One set-up at a time in one folder: two would unpack into, and clean up, each other's half-made folders.
//!
//! Invariant: the lock goes with the process that holds it, however that ends, so a stale one cannot exist.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Held until dropped.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for whoever holds it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(".lock");
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            eprintln!("setup: waiting for another set-up in {}", folder.display());
        }
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(Self { _file: file })
    }
}
