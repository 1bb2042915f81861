//! A budget of cores that several processes share, on GNU make's jobserver.
//!
//! Each process has one core of its own and takes a token for every further one. Who makes such budgets: `make -j`, cargo, and
//! `threadctl share`, whose budgets have more: tokens of a process that was killed come back, and a process that rests lends
//! its own core too. The protocol and its proof are in this folder's README.
//!
//! `auth.rs` is what the variables say, `plain.rs` a client of any jobserver, `ledger.rs` what the processes of a
//! `threadctl share` have in common, `shared.rs` a client of that, `find.rs` which of them this process is in, `keeper.rs` who
//! looks after it, and `watch.rs` one that only looks (feature `keeper`).
//!
//! Invariants: nothing here waits; without a budget, asking costs one relaxed load; a token is given back when it is
//! dropped, once, and by the process alone that took it.

mod auth;
mod find;
#[cfg(feature = "keeper")]
mod keeper;
mod ledger;
mod plain;
mod shared;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(feature = "keeper")]
mod watch;

pub use auth::{Auth, Choice};
pub use find::{Status, status};
#[cfg(feature = "keeper")]
pub use keeper::{Keeper, Seen};
#[cfg(loom)]
pub use ledger::{Client, Ledger, Lent, length};
#[cfg(feature = "keeper")]
pub use watch::{Holder, Now, Watch};

pub(crate) use auth::GRAMMAR;
#[cfg(feature = "mpi")]
pub(crate) use find::join;
pub(crate) use find::joined;

use plain::Plain;
use shared::Shared;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Who asks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A thread that computes whether or not there is a token.
    Caller,
    /// One that computes with a token only.
    Helper,
    /// A helper between two calls, which keeps a core busy and claims none.
    Idle,
}

/// The budget that this process is in.
#[derive(Debug)]
pub(crate) struct Budget {
    kind: Kind,
    /// The process's own core is in use: the one that whoever started the process has paid for.
    own: AtomicBool,
    /// How often this process is a forked child of one that was in the budget: tokens of before are the parent's.
    generation: AtomicU32,
    held: AtomicU32,
    peak: AtomicU32,
    /// How many tokens regions hold for their workers, and how many workers compute on these now.
    covered: AtomicU32,
    riders: AtomicU32,
}

/// Tokens for all workers of a region, as far as there were some, until this is dropped. Its workers compute on these and take
/// none of their own.
#[derive(Debug)]
pub(crate) struct Cover {
    budget: &'static Budget,
    tokens: Vec<Token>,
    generation: u32,
}

#[derive(Debug)]
enum Kind {
    Plain(Box<Plain>),
    Shared(Shared),
}

/// A core that this process may use, until this is dropped.
#[derive(Debug)]
pub(crate) struct Token {
    budget: &'static Budget,
    what: What,
    who: Who,
    generation: u32,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// The process's own core.
    Own,
    /// A byte of the pipe.
    Byte(u8),
    /// A core of the ledger.
    Core(usize),
    /// One that a region holds.
    Ride,
    /// The budget has ended: every core is as free as without one.
    Ended,
}

impl Budget {
    fn new(kind: Kind) -> Self {
        Budget {
            kind,
            own: AtomicBool::new(false),
            generation: AtomicU32::new(0),
            held: AtomicU32::new(0),
            peak: AtomicU32::new(0),
            covered: AtomicU32::new(0),
            riders: AtomicU32::new(0),
        }
    }

    /// Takes a token if there is one. Never waits.
    pub(crate) fn take(&'static self, who: Who) -> Option<Token> {
        // Not for one that is idle: it is the next caller's.
        let what =
            if who != Who::Idle && self.own_is_paid() && !self.own.swap(true, Ordering::Relaxed) {
                What::Own
            } else {
                match &self.kind {
                    Kind::Plain(plain) => What::Byte(plain.take()?),
                    Kind::Shared(shared) if shared.has_ended() => What::Ended,
                    Kind::Shared(shared) => What::Core(shared.take(who)?),
                }
            };
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(held, Ordering::Relaxed);
        Some(self.token(what, who))
    }

    fn token(&'static self, what: What, who: Who) -> Token {
        Token {
            budget: self,
            what,
            who,
            generation: self.generation.load(Ordering::Relaxed),
        }
    }

    /// The same for a thread that may be one of a region's (a worker, or the one that made it): what the region holds comes first.
    pub(crate) fn take_under_regions(&'static self, who: Who) -> Option<Token> {
        // Relaxed: counts that go with no data.
        let ride = self
            .riders
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |riders| {
                (riders < self.covered.load(Ordering::Relaxed)).then(|| riders + 1)
            });
        match ride {
            Ok(_) => Some(self.token(What::Ride, who)),
            Err(_) => self.take(who),
        }
    }

    /// Whether regions hold tokens that no worker computes on.
    pub(crate) fn has_rides(&self) -> bool {
        self.riders.load(Ordering::Relaxed) < self.covered.load(Ordering::Relaxed)
    }

    /// Takes tokens for so many workers, as far as there are some: the process's own core first. With `inside`, this is a region in
    /// another one, and what that has counts.
    pub(crate) fn cover(&'static self, workers: usize, inside: bool) -> Cover {
        let there = if inside {
            self.covered.load(Ordering::Relaxed) as usize
        } else {
            0
        };
        let tokens: Vec<_> = (there..workers)
            .map_while(|worker| {
                self.take(if worker == 0 {
                    Who::Caller
                } else {
                    Who::Helper
                })
            })
            .collect();
        // A region makes do with what it got.
        self.no_more();
        self.covered
            .fetch_add(u32::try_from(tokens.len()).unwrap_or(0), Ordering::Relaxed);
        Cover {
            budget: self,
            tokens,
            generation: self.generation.load(Ordering::Relaxed),
        }
    }

    /// Whether the core of the process's own is paid for by whoever started it, as make does.
    fn own_is_paid(&self) -> bool {
        match &self.kind {
            Kind::Plain(_) => true,
            Kind::Shared(shared) => shared.is_paid(),
        }
    }

    /// Whether a helper could have a token now; only a hint. Where it could not, those who have more than their share are
    /// told that one is wanted.
    pub(crate) fn has_room(&self) -> bool {
        match &self.kind {
            Kind::Plain(plain) => plain.left() > 0,
            Kind::Shared(shared) => shared.has_ended() || shared.has_room(),
        }
    }

    /// Whether a helper must give its token back because others have less than this process. A jobserver of make's has no
    /// means to say so.
    pub(crate) fn is_wanted_back(&self) -> bool {
        match &self.kind {
            Kind::Plain(_) => false,
            Kind::Shared(shared) => !shared.has_ended() && shared.is_wanted_back(),
        }
    }

    /// A caller has ended that had no token: this process wants none at the moment.
    pub(crate) fn no_more(&self) {
        if let Kind::Shared(shared) = &self.kind {
            shared.no_more();
        }
    }

    /// In a forked child: nothing that the parent has is ours.
    fn forget(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.own.store(false, Ordering::Relaxed);
        self.held.store(0, Ordering::Relaxed);
        self.peak.store(0, Ordering::Relaxed);
        self.covered.store(0, Ordering::Relaxed);
        self.riders.store(0, Ordering::Relaxed);
        match &self.kind {
            Kind::Plain(plain) => plain.forget(),
            Kind::Shared(shared) => shared.forget(),
        }
    }

    /// At the process's end.
    fn end(&self) {
        match &self.kind {
            Kind::Plain(plain) => plain.end(),
            // What threads have in hand comes back with the process's end.
            Kind::Shared(shared) => shared.end(),
        }
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        let budget = self.budget;
        if self.generation == budget.generation.load(Ordering::Relaxed) {
            // Before the tokens go: who begins from here on takes one of its own. Who computes on one of these just now does so
            // to the end of its call.
            budget.covered.fetch_sub(
                u32::try_from(self.tokens.len()).unwrap_or(0),
                Ordering::Relaxed,
            );
        }
    }
}

impl Token {
    /// Whether it is a region's.
    pub(crate) fn is_ride(&self) -> bool {
        matches!(self.what, What::Ride)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let budget = self.budget;
        if self.generation != budget.generation.load(Ordering::Relaxed) {
            return;
        }
        if self.is_ride() {
            budget.riders.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        budget.held.fetch_sub(1, Ordering::Relaxed);
        if self.who == Who::Caller {
            budget.no_more();
        }
        match (&budget.kind, self.what) {
            (_, What::Own) => budget.own.store(false, Ordering::Relaxed),
            (Kind::Plain(plain), What::Byte(byte)) => plain.give(byte),
            (Kind::Shared(shared), What::Core(core)) => shared.give(core, self.who),
            (_, What::Ended | What::Ride) => {}
            // There are none of these.
            (Kind::Plain(_), What::Core(_)) | (Kind::Shared(_), What::Byte(_)) => {}
        }
    }
}
