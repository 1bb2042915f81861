//! Signals and the ends of children, from a descriptor.
//!
//! Invariants: signals that this program was started to ignore stay ignored, here and in jobs; every other one of
//! [`HEARD`] waits until it is asked for, so it interrupts nothing; whatever has been read, the end of a child too, is told by
//! the next [`Signals::wait`], wherever it was read.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Those that end everything, and the one by which a terminal stops everything.
const HEARD: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
];

/// What the wait for a reader has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Something can be written; a signal may have come too.
    Room,
    /// A signal, or a child's end.
    Signal,
    /// Nothing in the time.
    Nothing,
}

/// Signals as they come.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: SignalFd,
    /// What was blocked before.
    before: SigSet,
    pending: Vec<Signal>,
    /// Something was read since the last [`Signals::wait`]. A child's end leaves no other trace, and does not come again.
    seen: bool,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self> {
        // A process that ignores this one never learns of its children's ends; whoever started this may have said so.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler is installed, and none was before: this program has no other.
        unsafe { sigaction(Signal::SIGCHLD, &default) }
            .context("cannot listen for the ends of jobs")?;
        let mut heard: SigSet = HEARD.iter().copied().collect();
        heard.add(Signal::SIGCHLD);
        let before = heard
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .context("cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor =
            SignalFd::with_flags(&heard, flags).context("cannot read signals from a descriptor")?;
        Ok(Signals {
            descriptor,
            before,
            pending: Vec::new(),
            seen: false,
        })
    }

    /// Waits for a signal, a child's end among them, or until the time is over; not at all where one came since the last time,
    /// or has not been asked for yet.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<()> {
        let known = self.seen || !self.pending.is_empty();
        let most = if known { Some(Duration::ZERO) } else { most };
        let mut polled = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout(most)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for jobs"),
        }
        self.read();
        // Whoever asked looks at all children now.
        self.seen = false;
        Ok(())
    }

    /// Waits until something can be written or a signal comes, or until the time is over.
    pub(super) fn wait_to_write(
        &mut self,
        to: BorrowedFd<'_>,
        most: Option<Duration>,
    ) -> io::Result<Came> {
        let mut polled = [
            PollFd::new(to, PollFlags::POLLOUT),
            PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut polled, timeout(most)) {
            Ok(0) => return Ok(Came::Nothing),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // What is broken can be written to, which tells how.
        let is_room = polled[0].revents().is_some_and(|events| !events.is_empty());
        self.read();
        Ok(if is_room { Came::Room } else { Came::Signal })
    }

    /// The signals that are to be blocked in children: those that were here.
    pub(super) fn before(&self) -> SigSet {
        self.before
    }

    /// The next of [`HEARD`] that has come.
    pub(super) fn next(&mut self) -> Option<Signal> {
        (!self.pending.is_empty()).then(|| self.pending.remove(0))
    }

    fn read(&mut self) {
        while let Ok(Some(signal)) = self.descriptor.read_signal() {
            self.seen = true;
            let known = HEARD
                .iter()
                .find(|known| **known as u32 == signal.ssi_signo);
            self.pending.extend(known);
        }
    }
}

/// A bit longer rather than a bit shorter, which would look twice.
fn timeout(most: Option<Duration>) -> PollTimeout {
    let Some(most) = most else {
        return PollTimeout::NONE;
    };
    let milliseconds = i32::try_from(most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}
