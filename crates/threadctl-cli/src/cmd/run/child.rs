//! The child: started, signals handed on, its end noticed.
//!
//! Invariants: the child's input, output, terminal and process group are those of this process. Signals are blocked here
//! and read from a descriptor, so that what is ignored stays ignored, in the child too; a signal that the terminal sent has
//! reached the child already, so only those that some process sent are handed on. The child is reaped by this module alone,
//! and its status never lost. Orphans of its descendants come to this process, which reaps them too.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use std::os::fd::AsFd as _;

/// Signals that are handed on.
const HANDED_ON: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// `si_code` of a signal that the kernel sent, for the terminal's sake for instance; one of a process has 0 or less.
const FROM_KERNEL: i32 = 0;

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this code.
    Exited(u8),
    /// Killed by this signal.
    Killed(u8),
}

impl End {
    /// The exit code by which shells tell it.
    pub(crate) fn code(self) -> u8 {
        match self {
            End::Exited(code) => code,
            End::Killed(signal) => 128u8.saturating_add(signal),
        }
    }

    fn of(status: WaitStatus) -> Option<End> {
        let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        let exited = status.exit_status().map(|code| End::Exited(byte(code)));
        exited.or_else(|| Some(End::Killed(byte(status.terminating_signal()?))))
    }
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    signals: SignalFd,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be run; then nothing was started.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        // A process that ignores this one never learns of its children's ends; whoever started this may have said so.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler is installed, and none was before: this program has no other.
        unsafe { sigaction(Signal::SIGCHLD, &default) }
            .context("cannot listen for the end of the command")?;
        let mut watched: SigSet = HANDED_ON.iter().copied().collect();
        watched.add(Signal::SIGCHLD);
        let before = watched
            .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
            .context("cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&watched, flags)
            .context("cannot read signals from a descriptor")?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("cannot take care of the command's orphans")?;
        // SAFETY: one system call that is safe between fork and exec, on a value that was copied into the closure.
        unsafe { command.pre_exec(move || before.thread_set_mask().map_err(io::Error::from)) };
        let child = command.spawn().map_err(|error| {
            let name = command.get_program().to_string_lossy().into_owned();
            match error.kind() {
                io::ErrorKind::NotFound => anyhow!("{name}: there is no such command (in PATH, or the interpreter that its first line names)"),
                io::ErrorKind::PermissionDenied => anyhow!("{name} cannot be run: it is not executable, or lies in a folder that this user may not enter"),
                _ => anyhow!("{name} cannot be run: {error}"),
            }
        })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Child {
            pid: pid.context("the command has no process number")?,
            signals,
        })
    }

    /// Waits until it has ended; meanwhile `look` is called, at once and then whenever the time that it asks for is over.
    /// Before the child is reaped, so that its last figures can still be read, it is called once more.
    pub(crate) fn wait(&self, mut look: impl FnMut() -> Duration) -> Result<End> {
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                next = Instant::now() + look();
            }
            let left = next.saturating_duration_since(Instant::now());
            // A bit longer rather than a bit shorter, which would look twice.
            let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
            let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
            let mut polled = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, timeout) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(anyhow!(error).context("cannot wait for the command")),
            }
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if signal.ssi_code <= FROM_KERNEL {
                    self.hand_on(signal.ssi_signo);
                }
            }
            if let Some(end) = self.ended(&mut look)? {
                return Ok(end);
            }
        }
    }

    fn hand_on(&self, signal: u32) {
        let known = HANDED_ON.iter().find(|known| **known as u32 == signal);
        // It may have ended just now; then there is nobody to tell.
        if let Some(signal) = known {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(self.pid.as_raw_nonzero().get()),
                *signal,
            );
        }
    }

    /// What became of the child, and of orphans that have come to this process.
    fn ended(&self, look: &mut impl FnMut() -> Duration) -> Result<Option<End>> {
        let stay = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let has_ended = rustix::process::waitid(WaitId::Pid(self.pid), stay);
        if let Ok(Some(_)) = has_ended {
            look();
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) if pid == self.pid => {
                    if let Some(end) = End::of(status) {
                        return Ok(Some(end));
                    }
                    status.stopping_signal().map(stop_too).unwrap_or_default();
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Ok(None),
                Err(error) => {
                    return Err(anyhow!(error).context("the command's status cannot be had"));
                }
            }
        }
    }
}

/// The terminal has stopped the child, to hand control to a shell, which waits until this process stops too. A child
/// that was stopped by itself (SIGSTOP) may be continued by itself.
fn stop_too(signal: i32) {
    let job_control = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
    if job_control.iter().any(|known| *known as i32 == signal) {
        let _ = nix::sys::signal::raise(Signal::SIGSTOP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_childs_or_tells_the_signal() {
        assert_eq!(End::Exited(7).code(), 7);
        assert_eq!(End::Killed(9).code(), 137);
        assert_eq!(End::Killed(64).code(), 192);
    }
}
