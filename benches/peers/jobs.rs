//! Programs of NumPy's as jobs: more of them than cores, and fewer.

use std::path::PathBuf;

use threadctl::Workers;
use threadctl_examples::jobs::{Outcome, run};

use crate::driver::python;
use crate::rows::{Agree, Job, Peer, Row, Who, Workload};
use crate::side::WORKERS;

pub const WORKLOAD: Workload = Workload {
    name: "jobs",
    rows: ROWS,
    note: "A job is a Python process: a product of 800 x 2000 by its transpose and the eigenvalues of that, with NumPy. The start of the \
           processes is in the times, and the run-queue wait is that of the jobs.",
    mean: None,
};

const fn peer(name: &'static str, function: &'static str) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target: None,
        // Products of one and of two threads add in another order.
        agree: Agree::OfLargest(1e-13),
    }
}

const ROWS: &[Row] = &[
    Row {
        key: "eight",
        what: "8 jobs on 2 cores",
        ours: |_| Box::new(Jobs::new(8)),
        peers: &[
            peer("`xargs -P 2`, a thread per job", "eight_1"),
            peer("`xargs -P 2`, the library's threads", "eight"),
        ],
    },
    Row {
        key: "one",
        what: "1 job on 2 cores",
        ours: |_| Box::new(Jobs::new(1)),
        peers: &[
            peer("`xargs -P 2`, a thread per job", "one_1"),
            peer("`xargs -P 2`, the library's threads", "one"),
        ],
    },
];

struct Jobs {
    folder: tempfile::TempDir,
    count: usize,
}

impl Jobs {
    fn new(count: usize) -> Jobs {
        let folder = tempfile::tempdir().expect("a folder");
        Jobs { folder, count }
    }

    fn file(&self, seed: usize) -> PathBuf {
        self.folder.path().join(seed.to_string())
    }

    /// What a job left: nanoseconds that it ran and waited, and its numbers.
    fn left(&self, seed: usize) -> Vec<f64> {
        let bytes = std::fs::read(self.file(seed)).expect("the job's file");
        let (numbers, _) = bytes.as_chunks::<8>();
        numbers.iter().map(|it| f64::from_le_bytes(*it)).collect()
    }
}

impl Job for Jobs {
    fn round(&mut self) {
        let command = |seed: usize| {
            let mut command = python("job");
            command.arg(seed.to_string()).arg(self.file(seed));
            command
        };
        let workers = Workers::try_from(WORKERS).expect("some workers");
        let outcomes = run((0..self.count).map(command).collect(), workers, |_, _| ());
        assert!(outcomes.iter().all(Outcome::is_success), "{outcomes:?}");
    }

    fn result(&self) -> Vec<f64> {
        (0..self.count)
            .flat_map(|seed| self.left(seed).split_off(2))
            .collect()
    }

    fn children(&self) -> (u64, u64) {
        let queues = (0..self.count).map(|seed| self.left(seed));
        queues.fold((0, 0), |(ran, waited), left| {
            (ran + left[0] as u64, waited + left[1] as u64)
        })
    }
}
