//! How often to look: as often as is asked for, as long as that takes little CPU time.
//!
//! Invariants: over any stretch of time looks take at most this part of it and what is kept back, so that short runs and bursts
//! of new processes, which are looked at most closely, are seen well, and long ones pay little. But there is a look a second, however
//! much it takes; and what looks took of many threads is forgotten a second after these have ended.

use std::time::{Duration, Instant};

/// Looking may take this part of a core: half of what may be noticed, since where threads wait for each other all of them wait for
/// the one whose core a look has taken, and the start and the report are not free either.
const PART: u32 = 200;

/// The most CPU time that is kept back for looks that come close together.
const KEPT: Duration = Duration::from_millis(10);

/// The longest time between two looks that their cost makes.
const RARE: Duration = Duration::from_secs(1);

/// What looks may still use.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Duration,
    /// What was used beyond it.
    owed: Duration,
    last: Instant,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Budget {
            left: KEPT,
            owed: Duration::ZERO,
            last: Instant::now(),
        }
    }

    /// How long to leave until the next look, after one that used `cost`.
    pub(crate) fn pause(&mut self, interval: Duration, cost: Duration) -> Duration {
        let now = Instant::now();
        self.spend(now.saturating_duration_since(self.last), cost);
        self.last = now;
        interval.max((self.owed * PART).min(RARE))
    }

    fn spend(&mut self, elapsed: Duration, cost: Duration) {
        let earned = self.left + elapsed / PART;
        let due = self.owed + cost;
        self.left = earned.saturating_sub(due).min(KEPT);
        // More would only put off looks that are cheap again.
        self.owed = due.saturating_sub(earned).min(RARE / PART);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of a core that looks take which cost so many milliseconds each, over so many seconds.
    fn share(cost: u64, seconds: u64) -> f64 {
        let mut budget = Budget::new();
        let (cost, end) = (Duration::from_millis(cost), Duration::from_secs(seconds));
        let (mut at, mut used, mut pause) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        while at < end {
            used += cost;
            budget.spend(pause, cost);
            pause = Duration::from_millis(20).max((budget.owed * PART).min(RARE));
            at += pause;
        }
        used.as_secs_f64() / at.as_secs_f64()
    }

    #[test]
    fn short_runs_are_looked_at_closely_and_long_ones_cheaply() {
        assert!(share(2, 60) < 0.006, "{}", share(2, 60));
        assert!(share(1, 5) < 0.01, "{}", share(1, 5));
        // Those that come first are all taken.
        let mut budget = Budget::new();
        for _ in 0..5 {
            budget.spend(Duration::from_millis(20), Duration::from_millis(2));
            assert_eq!(budget.owed, Duration::ZERO);
        }
    }

    #[test]
    fn what_was_not_used_for_long_is_not_there_for_a_burst() {
        let mut budget = Budget::new();
        budget.spend(Duration::from_secs(3600), Duration::from_millis(1));
        assert!(budget.left <= KEPT);
        budget.spend(Duration::ZERO, KEPT + Duration::from_millis(3));
        assert!(budget.owed >= Duration::from_millis(3));
    }

    #[test]
    fn looks_that_cost_much_come_once_a_second_and_are_forgotten_a_second_later() {
        let mut budget = Budget::new();
        for _ in 0..100 {
            budget.spend(RARE, Duration::from_millis(80));
            assert!(budget.owed * PART <= RARE, "{:?}", budget.owed);
        }
        budget.spend(RARE, Duration::ZERO);
        assert_eq!(budget.owed, Duration::ZERO);
    }
}
