//! A helper's token of the budget that its process shares with others: `src/budget/`.
//!
//! Invariants: where there is a budget, a helper computes with a token only; it keeps it from its first tile to the end of its
//! stay, between calls too, since it keeps a core busy then by looking for the next, but not while rayon may give it other work
//! to do; it gives it back at the first tile's end at which somebody else is short of one.

use crate::budget::{self, Budget, Token, Who};
use std::cell::Cell;

/// One worker's stay with the calls of one mailbox.
pub(super) struct Stay {
    budget: Option<&'static Budget>,
    token: Cell<Option<Token>>,
    sent_away: Cell<bool>,
}

impl Stay {
    /// Begins without a token.
    pub(super) fn begin() -> Self {
        Stay {
            budget: budget::joined(),
            token: Cell::new(None),
            sent_away: Cell::new(false),
        }
    }

    /// Whether this process is in a budget.
    pub(super) fn is_in_budget(&self) -> bool {
        self.budget.is_some()
    }

    /// Whether there is a token for this helper, or no need of one.
    pub(super) fn may_help(&self) -> bool {
        let Some(budget) = self.budget else {
            return true;
        };
        !self.sent_away.get() && self.has_one(budget, Who::Helper)
    }

    /// A helper is a worker, so it may be one of a region's.
    fn has_one(&self, budget: &'static Budget, who: Who) -> bool {
        let token = self.token.take();
        let token = token.or_else(|| budget.take_under_regions(who));
        let has = token.is_some();
        self.token.set(token);
        has
    }

    /// Runs something that may take a token of its own, or go on for long: without ours. `None` where there is none afterwards.
    pub(super) fn without<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let Some(budget) = self.budget else {
            return Some(act());
        };
        drop(self.token.take());
        let done = act();
        self.has_one(budget, Who::Idle).then_some(done)
    }

    /// Whether the budget has a token for one more helper; only a hint.
    pub(super) fn has_room(&self) -> bool {
        self.budget
            .is_none_or(|budget| budget.has_rides() || budget.has_room())
    }

    /// Whether this helper must go, because another process is short of a core. Then its token has been given back.
    pub(super) fn must_go(&self) -> bool {
        let token = self.token.take();
        // What is a region's goes back with the region.
        let rides = token.as_ref().is_some_and(Token::is_ride);
        if !rides && self.budget.is_some_and(Budget::is_wanted_back) {
            self.sent_away.set(true);
        } else {
            self.token.set(token);
        }
        self.sent_away.get()
    }
}
