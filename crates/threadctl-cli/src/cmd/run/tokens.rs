//! What the command had of a budget of `threadctl share`: the cores of its processes, look by look.
//!
//! Invariant: the ledger is looked at from outside; a process is the command's if it is below this one.

use std::collections::HashMap;
use std::time::Instant;

use super::text;

use serde::Serialize;
use threadctl::budget::{Auth, Holder, Watch, status};
use threadctl::diagnose::{Stretch, Timeline};

/// What `--json` says of a budget.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tokens {
    /// The budget, as `THREADCTL_JOBSERVER` or `MAKEFLAGS` names it.
    pub(crate) budget: String,
    /// Its cores; `None` where it does not say (make, cargo).
    pub(crate) cores: Option<u32>,
    /// How many of them the command's processes had on average, those put aside between calls among them; `None` in a budget of
    /// make's or cargo's, where nobody can see who has what.
    pub(crate) mean: Option<f64>,
    /// The most at one look.
    pub(crate) peak: Option<u32>,
    /// Beyond each process's own, on average: what they had borrowed. A process below make has its own beside what is counted here.
    pub(crate) borrowed: Option<f64>,
    /// One for each process that had none and wanted none, on average: what they had lent. A process below make lends none, since
    /// make has paid for its own, and one that found none free has lent none.
    pub(crate) lent: Option<f64>,
    /// The same along the run; empty where nobody can see it.
    pub(crate) timeline: Vec<Had>,
}

/// What the command's processes had in one stretch of the run, on average.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Had {
    /// When it begins, in seconds from the start.
    pub(crate) at: f64,
    pub(crate) seconds: f64,
    pub(crate) held: f64,
    pub(crate) borrowed: f64,
    pub(crate) lent: f64,
}

impl Stretch for Had {
    fn join(self, next: Self) -> Self {
        let seconds = self.seconds + next.seconds;
        let mean = |own: f64, other: f64| {
            if seconds > 0.0 {
                (own * self.seconds + other * next.seconds) / seconds
            } else {
                0.0
            }
        };
        Had {
            at: self.at,
            seconds,
            held: mean(self.held, next.held),
            borrowed: mean(self.borrowed, next.borrowed),
            lent: mean(self.lent, next.lent),
        }
    }
}

/// Counts them.
#[derive(Debug)]
pub(super) struct Counter {
    watch: Option<Watch>,
    tokens: Tokens,
    start: Instant,
    last: Instant,
    timeline: Timeline<Had>,
    peak: usize,
    /// Whether a process is below this one.
    ours: HashMap<u32, bool>,
}

impl Counter {
    /// `None` where this process, and so the command, is in no budget.
    pub(super) fn new() -> Option<Self> {
        let status = status();
        let auth = status.auth?;
        let watch = matches!(auth, Auth::Shared(_))
            .then(Watch::inherited)
            .flatten();
        Some(Counter {
            watch,
            tokens: Tokens {
                budget: auth.to_string(),
                cores: status.cores,
                mean: None,
                peak: None,
                borrowed: None,
                lent: None,
                timeline: Vec::new(),
            },
            start: Instant::now(),
            last: Instant::now(),
            timeline: Timeline::default(),
            peak: 0,
            ours: HashMap::new(),
        })
    }

    /// Counts what there was since the last look.
    pub(super) fn look(&mut self) {
        let Some(watch) = &self.watch else { return };
        let now = Instant::now();
        let at = (self.last - self.start).as_secs_f64();
        let seconds = (now - self.last).as_secs_f64();
        self.last = now;
        let (mut held, mut borrowed, mut lent) = (0, 0, 0);
        for holder in watch.now().holders {
            let ours = self.ours.entry(holder.pid);
            if *ours.or_insert_with(|| is_below_us(holder.pid)) {
                held += holder.cores;
                borrowed += beyond_its_own(&holder);
                lent += usize::from(lends_its_own(&holder));
            }
        }
        self.peak = self.peak.max(held);
        self.timeline.add(Had {
            at,
            seconds,
            held: held as f64,
            borrowed: borrowed as f64,
            lent: lent as f64,
        });
    }

    /// The figures.
    pub(super) fn tokens(&self) -> Tokens {
        let timeline = self.timeline.points();
        let all = timeline.iter().copied().reduce(Had::join);
        let mean = |of: fn(Had) -> f64| all.filter(|all| all.seconds > 0.0).map(of);
        Tokens {
            mean: mean(|all| all.held),
            peak: self
                .watch
                .is_some()
                .then(|| u32::try_from(self.peak).unwrap_or(u32::MAX)),
            borrowed: mean(|all| all.borrowed),
            lent: mean(|all| all.lent),
            timeline: timeline.to_vec(),
            ..self.tokens.clone()
        }
    }
}

/// Cores beside its own, which is one of those that it has unless somebody else has paid for it.
fn beyond_its_own(holder: &Holder) -> usize {
    holder.cores.saturating_sub(usize::from(!holder.paid))
}

/// Whether others may have its own core: it has none and wants none.
fn lends_its_own(holder: &Holder) -> bool {
    holder.cores == 0 && !holder.paid && !holder.claims
}

/// Whether a process descends from this one.
fn is_below_us(pid: u32) -> bool {
    let us = std::process::id();
    let mut process = pid;
    // More than any tree is deep.
    for _ in 0..256 {
        if process == us {
            return true;
        }
        let Some(parent) = parent(process) else {
            return false;
        };
        process = parent;
    }
    false
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What they held over time, a line of bars; `None` where nobody can see it, or there was nothing.
pub(super) fn bars(tokens: &Tokens) -> Option<String> {
    let stretches = tokens
        .timeline
        .iter()
        .map(|had| (had.at, had.seconds, had.held));
    let (columns, end) = text::columns(stretches)?;
    if columns.iter().all(|held| *held == 0.0) {
        return None;
    }
    let most = tokens.cores.map_or(0.0, f64::from);
    let most = columns.iter().copied().fold(most, f64::max);
    let bars: String = columns.iter().map(|&held| text::bar(held, most)).collect();
    Some(format!(
        "  cores held over {end:.2} s (full height: {most:.0}; more than one for each process is borrowed)\n  |{bars}|"
    ))
}

/// In words; `None` where nobody can see it.
pub(super) fn words(tokens: &Tokens) -> String {
    let of = tokens
        .cores
        .map_or_else(String::new, |cores| format!(" of {cores}"));
    match (tokens.mean, tokens.peak, tokens.borrowed, tokens.lent) {
        (Some(mean), Some(peak), Some(borrowed), Some(lent)) => format!(
            "{mean:.2}{of} cores held on average, {peak} at most; {borrowed:.2} borrowed, {lent:.2} lent on average ({})",
            tokens.budget
        ),
        _ => format!("in {}, which does not show who has what", tokens.budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processs_own_core_is_neither_borrowed_nor_lent_where_it_is_paid_for_or_missing() {
        for (cores, paid, claims, borrowed, lent) in [
            (0, false, false, 0, true),
            // It found none free.
            (0, false, true, 0, false),
            (1, false, false, 0, false),
            (3, false, true, 2, false),
            // It has its own beside these.
            (0, true, false, 0, false),
            (0, true, true, 0, false),
            (2, true, false, 2, false),
        ] {
            let mut holder = Holder::default();
            (holder.cores, holder.paid, holder.claims) = (cores, paid, claims);
            let counted = (beyond_its_own(&holder), lends_its_own(&holder));
            assert_eq!(counted, (borrowed, lent), "{holder:?}");
        }
    }
}
