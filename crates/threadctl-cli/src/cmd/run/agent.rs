//! The preload agent's way into the child: a file with the library, and the variables that name it.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, StatVfsMountFlags};
use tempfile::TempDir;
use threadctl::diagnose::AgentFile;

use super::preload;

/// The agent's library, as long as it is needed.
#[derive(Debug)]
pub(super) enum Agent {
    /// A file in a folder of its own, removed with it.
    Folder(TempDir),
    /// A file in memory: where no folder for temporary files can hold programs.
    Memory(std::fs::File),
}

impl Agent {
    /// Writes the library to a file, and has `command` load it and write to `records`.
    pub(super) fn set_up(command: &mut Command, records: &AgentFile) -> Result<Self> {
        let agent = Self::in_folder().map_or_else(Self::in_memory, Ok)?;
        preload::add(command, &agent.path());
        command.env(AgentFile::VARIABLE, records.path());
        Ok(agent)
    }

    fn in_folder() -> Option<Self> {
        let folder = tempfile::Builder::new()
            .prefix("threadctl-")
            .tempdir()
            .ok()?;
        if !preload::can_be_named(folder.path()) {
            return None;
        }
        let mount = rustix::fs::statvfs(folder.path()).ok()?;
        if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return None;
        }
        let agent = Agent::Folder(folder);
        std::fs::write(agent.path(), threadctl_agent::LIBRARY).ok()?;
        Some(agent)
    }

    fn in_memory() -> Result<Self> {
        let file = rustix::fs::memfd_create("threadctl-agent.so", MemfdFlags::CLOEXEC)
            .context("no file in memory for the agent")?;
        let mut file = std::fs::File::from(file);
        file.write_all(threadctl_agent::LIBRARY)
            .context("no memory for the agent")?;
        Ok(Agent::Memory(file))
    }

    fn path(&self) -> PathBuf {
        match self {
            Agent::Folder(folder) => folder.path().join("libthreadctl_agent.so"),
            Agent::Memory(file) => PathBuf::from(OsString::from(format!(
                "/proc/{}/fd/{}",
                std::process::id(),
                file.as_raw_fd()
            ))),
        }
    }

    /// Ends it. Processes that go on would be told by the loader, at every program that they start, that the library has gone; so it
    /// stays for them.
    pub(super) fn end(self, others_run: bool) {
        if let Agent::Folder(folder) = self
            && others_run
        {
            let _ = folder.keep();
        }
    }
}
