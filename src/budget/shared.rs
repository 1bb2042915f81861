//! A process in a budget of `threadctl share`.
//!
//! Its own core is a core of the ledger like the others: taken by its first caller, put aside between calls, and lent by the
//! keeper when the process does not run. What it has not got it does without, and claims.
//!
//! Invariants: the process is enrolled before it takes anything; whether it claims a core is said by its bit in the ledger
//! alone; a core that is put aside is remembered in one place, and who
//! takes it up forgets it there first.

use super::Who;
use super::ledger::{Client, Ledger, Lent};
use super::plain::start_of;
use crate::sys::shared::SharedWords;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// The files in a budget's folder.
pub(super) const LEDGER: &str = "ledger";
#[cfg(feature = "keeper")]
pub(super) const FIFO: &str = "fifo";

/// The process is not enrolled yet, or cannot be.
const NOBODY: u32 = 0;
const FULL: u32 = u32::MAX;

/// This process's part in it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Ledger<SharedWords>,
    /// Whoever started the process has paid for its own core: a make that is in the budget too.
    paid: bool,
    /// Our place in the ledger, and 1.
    place: AtomicU32,
    /// Somebody is enrolling the process.
    enrolling: AtomicBool,
    /// The core that was put aside, and 1; 0 for none.
    aside: AtomicUsize,
}

impl Shared {
    /// Opens the budget in this folder. `level` is how many makes this process is below.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn open(folder: &Path, level: u32) -> Result<Self, String> {
        let path = folder.join(LEDGER);
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let file = open(&path).map_err(told)?;
        let words = SharedWords::map(&file).map_err(told)?;
        let ledger = Ledger::join(words).map_err(|why| format!("{}: {why}", path.display()))?;
        // The keeper locks it for as long as it runs.
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok() {
            return Err(format!("{}: its keeper has ended", path.display()));
        }
        if ledger.namespaces() != namespaces() {
            return Err(format!(
                "{}: its keeper is in other namespaces of processes or of time, and could not see this one end",
                path.display()
            ));
        }
        Ok(Shared {
            paid: level > ledger.level(),
            ledger,
            place: AtomicU32::new(NOBODY),
            enrolling: AtomicBool::new(false),
            aside: AtomicUsize::new(0),
        })
    }

    pub(super) fn is_paid(&self) -> bool {
        self.paid
    }

    /// Whether the keeper has ended as it should, which other processes have outlived.
    pub(super) fn has_ended(&self) -> bool {
        self.ledger.is_closed()
    }

    /// Who we are in the ledger; `None` while another thread enrols us, or where there is no place.
    fn me(&self) -> Option<Client> {
        match self.place.load(Ordering::Acquire) {
            NOBODY => self.enrol(),
            FULL => None,
            place => Some(Client::at(place as usize - 1)),
        }
    }

    #[cold]
    fn enrol(&self) -> Option<Client> {
        if self.enrolling.swap(true, Ordering::Acquire) {
            return None;
        }
        let me = start_of("self")
            .ok()
            .and_then(|start| self.ledger.enrol(std::process::id(), start, self.paid));
        // One job of the make that pays is paid for by nobody: that core is taken out, by the first such process, or later by
        // the keeper.
        if self.paid && self.ledger.lent(Lent::Root) == 0 {
            self.ledger.lend(Lent::Root);
        }
        let place = me.and_then(|me| u32::try_from(me.index() + 1).ok());
        self.place.store(place.unwrap_or(FULL), Ordering::Release);
        if me.is_none() {
            tracing::warn!(
                "the budget's ledger is full, or /proc cannot be read: this process has its own core only"
            );
        }
        me
    }

    pub(super) fn take(&self, who: Who) -> Option<usize> {
        let me = self.me()?;
        // Not for one that is idle: it is the next caller's.
        let aside = if who == Who::Idle {
            0
        } else {
            self.aside.swap(0, Ordering::AcqRel)
        };
        if aside > 0 && self.ledger.take_up(me, aside - 1) {
            self.ledger.unclaim(me);
            return Some(aside - 1);
        }
        // Callers compute anyhow, so what is free is theirs to have. Helpers leave it to who has less.
        let allowed = who == Who::Caller || self.is_below_share(me);
        let taken = if allowed { self.ledger.take(me) } else { None };
        if taken.is_some() {
            self.ledger.unclaim(me);
        } else if who != Who::Idle {
            self.claim(me);
        }
        taken
    }

    pub(super) fn give(&self, core: usize, who: Who) {
        let Some(me) = self.me() else { return };
        if who == Who::Caller && !self.paid && self.aside.load(Ordering::Relaxed) == 0 {
            self.ledger.put_aside(me, core);
            let before = self.aside.swap(core + 1, Ordering::AcqRel);
            if before == 0 {
                return;
            }
            // Another caller was as quick: one core is put aside, not two.
            if self.ledger.take_up(me, before - 1) {
                self.ledger.give(me, before - 1);
            }
            return;
        }
        self.ledger.give(me, core);
    }

    /// Whether this process may take one more: nobody waits for one, or it has less than others could.
    fn is_below_share(&self, me: Client) -> bool {
        if !self.ledger.is_claimed(Some(me)) {
            return true;
        }
        let shares = self.ledger.shares(me);
        shares.held < shares.fair
    }

    pub(super) fn has_room(&self) -> bool {
        let Some(me) = self.me() else { return false };
        let shares = self.ledger.shares(me);
        let room =
            shares.free > 0 && (shares.held < shares.fair || !self.ledger.is_claimed(Some(me)));
        if !room && shares.held < shares.fair {
            self.claim(me);
        }
        room
    }

    pub(super) fn is_wanted_back(&self) -> bool {
        let Some(me) = self.me() else { return false };
        if !self.ledger.is_claimed(Some(me)) {
            return false;
        }
        let shares = self.ledger.shares(me);
        shares.held > shares.fair
    }

    /// Says that a core is wanted, if this process has less than its share.
    fn claim(&self, me: Client) {
        if self.ledger.claims_one(me) {
            return;
        }
        let shares = self.ledger.shares(me);
        if shares.held < shares.fair {
            self.ledger.claim(me);
        }
    }

    /// A call has ended.
    pub(super) fn no_more(&self) {
        match self.place.load(Ordering::Acquire) {
            // Not enrolled, so nothing was claimed.
            NOBODY | FULL => {}
            place => self.ledger.unclaim(Client::at(place as usize - 1)),
        }
    }

    /// The process ends.
    pub(super) fn end(&self) {
        let aside = self.aside.swap(0, Ordering::AcqRel);
        if aside > 0
            && let Some(me) = self.me()
            && self.ledger.take_up(me, aside - 1)
        {
            self.ledger.give(me, aside - 1);
        }
    }

    /// In a forked child: it enrols by itself.
    pub(super) fn forget(&self) {
        self.place.store(NOBODY, Ordering::Relaxed);
        self.enrolling.store(false, Ordering::Relaxed);
        self.aside.store(0, Ordering::Relaxed);
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// The namespaces of processes and of time that we are in, by their inodes; 0 where the kernel has none.
pub(super) fn namespaces() -> [u32; 2] {
    ["pid", "time"].map(|kind| {
        let inode = fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |found| found.ino());
        u32::try_from(inode).unwrap_or(0)
    })
}
