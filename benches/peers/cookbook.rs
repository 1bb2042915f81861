//! The parallel cookbook: exp of ten million numbers item by item, and many small items through `map`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::ArrayViewMut1;
use threadctl::Workers;
use threadctl::dispatch::Pool;
use threadctl_examples::arrays::into;
use threadctl_examples::cookbook::processes::{self, exp_in_processes, number};
use threadctl_examples::cookbook::{exp, exp_one_by_one, map};

use crate::rows::{Agree, Job, Peer, Row, Who, Workload, job};
use crate::side::Side;

const COUNT: usize = 10_000_000;
const ITEMS: usize = 100_000;

pub const WORKLOAD: Workload = Workload {
    name: "cookbook",
    rows: ROWS,
    note: "10 million numbers, 8 bytes each; 100,000 items. The loops call exp once for each number. With processes, each is started in the round, and results \
           come back to the first; the run-queue wait is that of the first alone.",
    mean: None,
};

const fn peer(name: &'static str, function: &'static str, target: Option<f64>) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target,
        // Two libraries' exp, each within a unit or two of the last place.
        agree: Agree::Within(7e-16),
    }
}

const ROWS: &[Row] = &[
    Row {
        key: "loop",
        what: "scalar loop, sequential",
        ours: |_| {
            job(
                (numbers(), vec![0.0; COUNT]),
                |(numbers, out)| exp_one_by_one(numbers, out),
                |(_, out)| out.clone(),
            )
        },
        peers: &[
            peer("a loop in Python", "loop_python", None),
            peer("Numba", "loop_numba", None),
        ],
    },
    Row {
        key: "loop-threads",
        what: "scalar loop, two threads",
        ours: |side| {
            let workers = side.workers();
            job(
                (numbers(), vec![0.0; COUNT]),
                move |(numbers, out)| exp(numbers, out, workers).expect("workers"),
                |(_, out)| out.clone(),
            )
        },
        peers: &[
            peer("Python, `ThreadPool(2).map`", "loop_python_threads", None),
            peer("Numba, `prange`", "loop_numba_threads", None),
        ],
    },
    Row {
        key: "loop-processes",
        what: "scalar loop, two processes",
        ours: |side| in_processes(program("cookbook"), side),
        peers: &[
            peer("Python, `Pool(2).map`", "loop_python_processes", None),
            peer("joblib, `Parallel(2)`", "loop_joblib", None),
        ],
    },
    Row {
        key: "array",
        what: "array operation, sequential",
        ours: |_| sequential(),
        peers: &[peer("NumPy", "array_numpy", None)],
    },
    Row {
        key: "array-threads",
        what: "array operation, two threads",
        ours: |side| array(side.workers()),
        peers: &[peer(
            "NumPy, `ThreadPool(2).map` of halves",
            "array_threads",
            None,
        )],
    },
    Row {
        key: "array-processes",
        what: "array operation, two processes",
        ours: |side| {
            let own = std::env::current_exe().expect("this program");
            in_processes(own, side)
        },
        peers: &[peer(
            "NumPy, `Pool(2).map` of halves",
            "array_processes",
            None,
        )],
    },
    Row {
        key: "map",
        what: "`map` over 100,000 items, two workers",
        ours: map_items,
        peers: &[
            peer("Python, `ThreadPool(2).map`", "map_threads", None),
            peer("Python, `Pool(2).map`, made before", "map_processes", None),
        ],
    },
];

fn numbers() -> Vec<f64> {
    (0..COUNT).map(number).collect()
}

/// A program of the examples.
fn program(name: &str) -> PathBuf {
    let folder = std::env::var("PEERS_PROGRAMS");
    let folder = folder.expect("run it through `cargo xtask peers`, which sets PEERS_PROGRAMS");
    Path::new(&folder).join(name)
}

/// Processes of this program, told `--part`.
fn in_processes(program: PathBuf, side: &Side) -> Box<dyn Job> {
    let workers = side.workers();
    job(
        (program, Vec::new()),
        move |(program, out)| {
            *out = exp_in_processes(program, COUNT, workers).expect("the processes work");
        },
        |(_, out)| out.clone(),
    )
}

/// exp by vector instructions, as in the example `arrays`.
fn array(workers: Workers<'static>) -> Box<dyn Job> {
    job(
        (numbers(), vec![0.0; COUNT]),
        move |(numbers, out)| array_exp(numbers, out, workers),
        |(_, out)| out.clone(),
    )
}

/// On one worker, of a pool of its own. It is asked for by a thread of no pool, since a worker would look for work while it waits.
fn sequential() -> Box<dyn Job> {
    let one = Workers::try_from(1).expect("one");
    let pool = Box::leak(Box::new(Pool::new(one).expect("a pool")));
    let workers = Workers::pool(pool.rayon());
    job(
        (numbers(), vec![0.0; COUNT]),
        move |(numbers, out)| {
            std::thread::scope(|scope| {
                scope.spawn(|| array_exp(numbers, out, workers));
            });
        },
        |(_, out)| out.clone(),
    )
}

fn array_exp(numbers: &[f64], out: &mut [f64], workers: Workers<'_>) {
    into(
        ArrayViewMut1::from(out),
        [numbers.into()],
        workers,
        #[inline(always)]
        |maths, [number]| maths.exp(number),
    )
    .expect("it fits");
}

/// A process's side of the array operation.
pub fn part(bounds: Range<usize>) {
    let one = Workers::try_from(1).expect("one");
    let f = |numbers: &[f64], out: &mut [f64]| array_exp(numbers, out, one);
    processes::part(bounds, f, &mut std::io::stdout().lock()).expect("the first process reads");
}

/// A little work for each item.
fn item(start: &f64) -> Result<f64, String> {
    Ok((0..10).fold(*start, |value, _| (-value).exp()))
}

fn map_items(side: &Side) -> Box<dyn Job> {
    let workers = side.workers();
    job(
        ((0..ITEMS).map(number).collect::<Vec<f64>>(), Vec::new()),
        move |(items, out)| *out = map(item, items, workers).expect("no item fails"),
        |(_, out)| out.clone(),
    )
}
