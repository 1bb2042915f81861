//! A thousand small SVDs, alone and beside a large one.

use ndarray::{Array1, Array2};
use threadctl_examples::batched::{singular_values, with_a_large_one};

use crate::input::uniform;
use crate::rows::{Agree, Peer, Row, Who, Workload, job};

const COUNT: usize = 1000;
const SMALL: usize = 64;
const LARGE: usize = 800;

pub const WORKLOAD: Workload = Workload {
    name: "batched",
    rows: ROWS,
    note: "1,000 matrices of 64 x 64, the large one 800 x 800; singular values alone, by LAPACK's gesdd on both sides. NumPy is in a \
           `ThreadPoolExecutor(2)`; its limits are threadpoolctl's on BLAS. A stack is one call for many matrices.",
    mean: None,
};

const fn peer(name: &'static str, function: &'static str, target: f64) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target: Some(target),
        agree: Agree::OfLargest(1e-13),
    }
}

/// Another library's LAPACK, for comparison: its gesdd is not ours to make faster.
const fn another(function: &'static str) -> Peer {
    Peer {
        target: None,
        ..peer("MKL with TBB, pool", function, 0.0)
    }
}

/// At least as fast as the best.
const ALONE: f64 = 1.0;
/// Faster than the best by this.
const BESIDE: f64 = 1.2;

const ROWS: &[Row] = &[
    Row {
        key: "alone",
        what: "1,000 SVDs of 64",
        ours: |_| {
            job(
                (small(), Vec::new()),
                |(small, values)| *values = singular_values(small).expect("SVDs"),
                |(_, values)| values.iter().flatten().copied().collect(),
            )
        },
        peers: &[
            peer("NumPy, pool, limit 1", "alone_1", ALONE),
            peer("NumPy, pool, limit 2", "alone_2", ALONE),
            peer("NumPy, pool, no limit", "alone_default", ALONE),
            peer("NumPy, pool, 2 stacks, limit 1", "alone_stacks_1", ALONE),
            peer(
                "NumPy, one stack, no limit, no pool",
                "alone_stack_default",
                ALONE,
            ),
            another("alone_mkl"),
        ],
    },
    Row {
        key: "beside",
        what: "and one of 800 beside them",
        ours: |_| {
            job(
                (
                    small(),
                    matrix(COUNT, LARGE),
                    (Vec::new(), Array1::default(0)),
                ),
                |(small, large, values)| *values = with_a_large_one(small, large).expect("SVDs"),
                |(_, _, (small, large))| small.iter().flatten().chain(large).copied().collect(),
            )
        },
        peers: &[
            peer("NumPy, pool, limit 1", "beside_1", BESIDE),
            peer("NumPy, pool, limit 2", "beside_2", BESIDE),
            peer("NumPy, pool, no limit", "beside_default", BESIDE),
            peer("NumPy, pool, 16 stacks, limit 1", "beside_stacks_1", BESIDE),
            another("beside_mkl"),
        ],
    },
];

fn small() -> Vec<Array2<f64>> {
    (0..COUNT).map(|seed| matrix(seed, SMALL)).collect()
}

fn matrix(seed: usize, order: usize) -> Array2<f64> {
    let numbers = uniform(seed as u64, order * order, -1.0, 1.0);
    Array2::from_shape_vec((order, order), numbers).expect("as many as fit")
}
