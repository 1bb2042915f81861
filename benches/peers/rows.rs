//! What a workload, its rows and their peers are: data, from which the driver and our side both work.
//!
//! Invariant: a job's input is made by [`Prepare`], outside of what is timed, and its result is kept where [`Job::result`] finds it.

use crate::side::Side;

/// A folder of `examples/` and its table.
pub struct Workload {
    /// Of the module, of the script and of the marks (`peers-NAME`).
    pub name: &'static str,
    pub rows: &'static [Row],
    /// Below the table: sizes, and what cannot be seen from the columns.
    pub note: &'static str,
    /// A geometric mean over the rows is to be at least this, against each row's first peer.
    pub mean: Option<f64>,
}

/// One thing of ours that is timed, beside one or more peers.
pub struct Row {
    /// On the command line, and between driver and children.
    pub key: &'static str,
    /// In the table's first column; no other row of the workload has it.
    pub what: &'static str,
    pub ours: Prepare,
    pub peers: &'static [Peer],
}

/// What it is beside.
pub struct Peer {
    /// In the table.
    pub name: &'static str,
    pub who: Who,
    /// The peer's time in ours, by which a target is reached; `None`: for comparison only.
    pub target: Option<f64>,
    pub agree: Agree,
}

pub enum Who {
    /// The function of this name in the script, decorated with `@peer.row`.
    Script(&'static str),
    /// Another job of our own, in the same process.
    Ours(Prepare),
}

/// How near the results must be.
#[derive(Clone, Copy)]
pub enum Agree {
    /// The same numbers.
    Exactly,
    /// Each number to within this part of the larger of the two.
    Within(f64),
    /// Each number to within this part of the largest in the peer's result.
    OfLargest(f64),
    /// The two compute different things, which the row's text says.
    Apart,
}

pub type Prepare = fn(&Side) -> Box<dyn Job>;

/// Something that can be done again and again.
pub trait Job {
    /// What is timed.
    fn round(&mut self);
    /// What the last round has computed. Indices are exact as f64.
    fn result(&self) -> Vec<f64>;
    /// Nanoseconds that processes started by the last round ran, and waited for a core.
    fn children(&self) -> (u64, u64) {
        (0, 0)
    }
}

struct Of<S, F, R> {
    state: S,
    round: F,
    result: R,
}

impl<S, F: FnMut(&mut S), R: Fn(&S) -> Vec<f64>> Job for Of<S, F, R> {
    fn round(&mut self) {
        (self.round)(&mut self.state);
    }

    fn result(&self) -> Vec<f64> {
        (self.result)(&self.state)
    }
}

/// A job over a state: what it reads, and where it leaves its result.
pub fn job<S: 'static>(
    state: S,
    round: impl FnMut(&mut S) + 'static,
    result: impl Fn(&S) -> Vec<f64> + 'static,
) -> Box<dyn Job> {
    Box::new(Of {
        state,
        round,
        result,
    })
}
