//! A thread in a shared call: counted, seated, and with a token of the budget that its process shares with others, if there is
//! one to be had.
//!
//! Invariants: a thread is counted once, however deep its calls; what it was given is given back when this is dropped, in an
//! order in which whoever is called in its place finds its CPU free. A token is never waited for.

use super::super::region;
use super::place::Seat;
use super::process::{self, Process};
use super::{COUNTED, Own, Tiles};
use crate::budget::{self, Budget, Token, Who};
use std::cell::Cell;

/// A thread in a shared call, counted until this is dropped.
pub(super) struct Caller<'own> {
    own: &'own Own,
    counted: Counted,
}

impl<'own> Caller<'own> {
    pub(super) fn begin(own: &'own Own, cores: usize, kind: Tiles) -> Self {
        Caller {
            own,
            counted: Counted::begin(own, cores, kind),
        }
    }

    /// Asks for a token again where there was none: at a tile's end.
    pub(super) fn ask_again(&self) {
        let Some(budget) = self.counted.budget else {
            return;
        };
        let token = self.counted.token.take();
        let token = token.or_else(|| take(budget, self.counted.in_region));
        self.counted.token.set(token);
    }

    /// Whether the budget has a token for a helper.
    pub(super) fn has_room(&self) -> bool {
        let in_region = self.counted.in_region;
        budget::joined().is_none_or(|budget| (in_region && budget.has_rides()) || budget.has_room())
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.counted.end(Some(self.own));
    }
}

fn take(budget: &'static Budget, in_region: bool) -> Option<Token> {
    if in_region {
        budget.take_under_regions(Who::Caller)
    } else {
        budget.take(Who::Caller)
    }
}

/// That the calling thread is counted, once however deep its calls.
pub(super) struct Counted {
    process: &'static Process,
    seat: Option<Seat<'static>>,
    kind: Tiles,
    counted: bool,
    outside: bool,
    /// It is believed to make another call at once.
    returns: bool,
    /// The budget that this process shares with others, if there is one and this thread is counted here.
    budget: Option<&'static Budget>,
    /// It may be a region's thread: its maker, or a worker.
    in_region: bool,
    token: Cell<Option<Token>>,
}

impl Counted {
    pub(super) fn begin(own: &Own, cores: usize, kind: Tiles) -> Self {
        let process = process::current();
        let counted = !COUNTED.get();
        let outside = counted && rayon::current_thread_index().is_none();
        let returns = outside && own.is_to_return();
        if outside {
            let load = &process.load.0;
            process
                .gate
                .enter(load, cores, &own.bed, own.returning.take(), &own.turn);
        } else if counted {
            if own.returning.take() {
                // It has become a worker since.
                process.gate.abandon();
            }
            process.load.0.begin();
        }
        if counted {
            COUNTED.set(true);
            if kind == Tiles::Unknown {
                process.gate.begin_unknown();
            }
        }
        // When its turn has come: who waits needs no token.
        let budget = budget::joined().filter(|_| counted);
        let in_region = counted && (!outside || region::is_mine());
        Counted {
            process,
            seat: counted.then(|| process.seats.take()),
            kind,
            counted,
            outside,
            returns,
            budget,
            in_region,
            token: Cell::new(budget.and_then(|budget| take(budget, in_region))),
        }
    }

    /// It is counted no more. `own` is the thread's, unless that is gone.
    pub(super) fn end(&mut self, own: Option<&Own>) {
        if !self.counted {
            return;
        }
        COUNTED.set(false);
        if let Some(budget) = self.budget {
            match self.token.take() {
                Some(token) => drop(token),
                None => budget.no_more(),
            }
        }
        // Whoever is called in our place finds our CPU free.
        drop(self.seat.take());
        if self.kind == Tiles::Unknown {
            self.process.gate.end_unknown();
        }
        if self.outside {
            let returns = self
                .process
                .gate
                .leave(&self.process.load.0, self.returns && own.is_some());
            if let Some(own) = own {
                own.returning.set(returns);
            }
        } else {
            self.process.caller_ended();
        }
    }
}
