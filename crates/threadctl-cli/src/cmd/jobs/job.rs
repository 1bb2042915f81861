//! One job: a process with its share, in a process group of its own.
//!
//! Invariants: a job that runs has its cores, its place and its files to itself; if this program is killed, the kernel ends
//! the job's first process (children of that which have left it are not known to the kernel as the job's).

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Instant, SystemTime};

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{
    Pid, Signal as Sent, WaitId, WaitIdOptions, getppid, set_parent_process_death_signal,
};
use rustix::thread::{CpuSet, sched_setaffinity};
use threadctl::cores::ChildCores;

use super::seats::Taken;
use super::spool::Spool;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this code.
    Exited(u8),
    /// By this signal.
    Killed(i32),
    /// It could not be started.
    NotStarted(String),
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => End::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
            None => End::Killed(status.signal().unwrap_or_default()),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        *self == End::Exited(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exit {code}"),
            End::Killed(signal) => match Signal::try_from(*signal) {
                Ok(name) => write!(f, "signal {signal} ({name})"),
                Err(_) => write!(f, "signal {signal}"),
            },
            End::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// A job that runs.
#[derive(Debug)]
pub(super) struct Running {
    /// In the list, from 0.
    pub(super) index: usize,
    /// Among those that run at once, from 1.
    pub(super) slot: usize,
    pub(super) width: u32,
    pub(super) seats: Option<Taken>,
    pub(super) spool: Spool,
    pub(super) begun: Instant,
    pub(super) begun_at: SystemTime,
    child: Child,
}

/// What a job is given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) index: usize,
    pub(super) slot: usize,
    pub(super) width: u32,
    pub(super) seats: Option<Taken>,
}

impl Running {
    /// Starts a shell with this line, and these signals blocked.
    ///
    /// # Errors
    /// There is no such process; what it was given comes back.
    pub(super) fn start(
        line: &[u8],
        given: Given,
        spool: Spool,
        blocked: SigSet,
    ) -> Result<Self, (Given, io::Error)> {
        let started =
            command(line, &given, &spool, blocked).and_then(|mut command| command.spawn());
        match started {
            Ok(child) => Ok(Running {
                index: given.index,
                slot: given.slot,
                width: given.width,
                seats: given.seats,
                spool,
                begun: Instant::now(),
                begun_at: SystemTime::now(),
                child,
            }),
            Err(error) => Err((given, error)),
        }
    }

    /// How it ended, if it has. With `all`, what it left running is ended too: in the background of a shell SIGINT is not
    /// heard.
    pub(super) fn ended(&mut self, all: bool) -> io::Result<Option<End>> {
        let stay = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if all && let Some(pid) = pid {
            match rustix::process::waitid(WaitId::Pid(pid), stay)? {
                // Not reaped yet, so the number is still that of its group.
                Some(_) => self.send(Signal::SIGTERM),
                // It may end before the next line, and would be reaped with its children left running.
                None => return Ok(None),
            }
        }
        Ok(self.child.try_wait()?.map(End::of))
    }

    /// Sends a signal to it and its children. It has not been waited for, so the number is its own.
    pub(super) fn send(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // It may have ended just now.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), signal);
        }
    }
}

fn command(line: &[u8], given: &Given, spool: &Spool, blocked: SigSet) -> io::Result<Command> {
    let variables = ChildCores::new(given.width).variables();
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(OsStr::from_bytes(line))
        .envs(variables.map(|variable| (variable.name, variable.value)))
        // By the names that GNU parallel gives them.
        .env("PARALLEL_SEQ", (given.index + 1).to_string())
        .env("PARALLEL_JOBSLOT", given.slot.to_string())
        .stdin(Stdio::null())
        .stdout(spool.out.try_clone()?)
        .stderr(spool.err.try_clone()?)
        .process_group(0);
    let mut cpus = CpuSet::new();
    let mut pinned = false;
    for cpu in given
        .seats
        .iter()
        .flat_map(|seats| seats.cpus().iter().collect::<Vec<_>>())
    {
        cpus.set(usize::try_from(cpu).unwrap_or_default());
        pinned = true;
    }
    let parent = rustix::process::getpid();
    let prepare = move || {
        blocked.thread_set_mask()?;
        // The one that forks is the main thread, which lives as long as this program.
        set_parent_process_death_signal(Some(Sent::TERM))?;
        if getppid() != Some(parent) {
            // This program has ended in between.
            return Err(rustix::io::Errno::SRCH.into());
        }
        if pinned {
            sched_setaffinity(None, &cpus)?;
        }
        Ok(())
    };
    // SAFETY: it runs between fork and exec, where only what is safe in a signal handler may be done: four system calls on
    // values that were copied into the closure, and errors that are numbers, so nothing is allocated.
    unsafe { command.pre_exec(prepare) };
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_as_shells_tell_them() {
        assert_eq!(End::Exited(3).to_string(), "exit 3");
        assert_eq!(End::Killed(9).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(End::Killed(64).to_string(), "signal 64");
        assert_eq!(End::of(ExitStatus::from_raw(3 << 8)), End::Exited(3));
        assert_eq!(End::of(ExitStatus::from_raw(9)), End::Killed(9));
    }
}
