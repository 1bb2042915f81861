//! Array expressions of ten million elements.

use ndarray::{Array1, s};
use rayon::prelude::*;
use threadctl_examples::arrays::{Maths, Number, in_place, into};

use crate::input::uniform;
use crate::rows::{Agree, Job, Peer, Row, Who, Workload, job};
use crate::side::Side;

const COUNT: usize = 10_000_000;

pub const WORKLOAD: Workload = Workload {
    name: "arrays",
    rows: ROWS,
    note: "10 million elements. The copy is by `memcpy`, of as many bytes as the row reads and writes, so its ratio is that of bandwidths. \
           NumPy computes into an output that is there already; in the expressions, whose intermediate arrays it makes itself, only the last step does.",
    mean: None,
};

/// Where the cores set the pace.
const COMPUTE: Option<f64> = Some(1.9);
/// Where the memory does, of the copy's bandwidth.
const MEMORY: Option<f64> = Some(0.95);
/// Several operations in one pass.
const FUSED: Option<f64> = Some(2.5);

const fn script(
    name: &'static str,
    function: &'static str,
    target: Option<f64>,
    agree: Agree,
) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target,
        agree,
    }
}

/// A copy of half as many bytes from and to: so many elements of f64 in all.
macro_rules! copy {
    ($elements:expr) => {
        Peer {
            name: "a copy, two workers",
            who: Who::Ours(|side| copy($elements, side)),
            target: MEMORY,
            agree: Agree::Apart,
        }
    };
}

const UNITS: Agree = Agree::Within(1e-15);
const UNITS_F32: Agree = Agree::Within(5e-7);
/// Sums of such, of which some nearly cancel.
const SUMS: Agree = Agree::OfLargest(1e-15);

const ROWS: &[Row] = &[
    Row {
        key: "add",
        what: "A = B + C, f64",
        ours: |side| {
            binary::<f64>(
                side,
                #[inline(always)]
                |_, [b, c]| b + c,
            )
        },
        peers: &[
            copy!(3 * COUNT),
            script("NumPy", "add", None, Agree::Exactly),
        ],
    },
    Row {
        key: "add-f32",
        what: "A = B + C, f32",
        ours: |side| {
            binary::<f32>(
                side,
                #[inline(always)]
                |_, [b, c]| b + c,
            )
        },
        peers: &[
            copy!(3 * COUNT / 2),
            script("NumPy", "add_f32", None, Agree::Exactly),
        ],
    },
    Row {
        key: "add-in-place",
        what: "A = A / 2 + B, f64, in place",
        ours: halves_in_place,
        peers: &[
            copy!(3 * COUNT),
            script("NumPy", "add_in_place", None, Agree::Exactly),
        ],
    },
    Row {
        key: "sin",
        what: "A = sin(B), f64",
        ours: |side| {
            unary::<f64>(
                side,
                (-100.0, 100.0),
                #[inline(always)]
                |maths, [b]| maths.sin(b),
            )
        },
        peers: &[script("NumPy", "sin", COMPUTE, UNITS)],
    },
    Row {
        key: "sin-f32",
        what: "A = sin(B), f32",
        ours: |side| {
            unary::<f32>(
                side,
                (-100.0, 100.0),
                #[inline(always)]
                |maths, [b]| maths.sin(b),
            )
        },
        peers: &[script("NumPy", "sin_f32", COMPUTE, Agree::OfLargest(2e-7))],
    },
    Row {
        key: "exp",
        what: "A = exp(B), f64",
        ours: |side| {
            unary::<f64>(
                side,
                (-10.0, 10.0),
                #[inline(always)]
                |maths, [b]| maths.exp(b),
            )
        },
        peers: &[script("NumPy", "exp", COMPUTE, UNITS)],
    },
    Row {
        key: "exp-f32",
        what: "A = exp(B), f32",
        ours: |side| {
            unary::<f32>(
                side,
                (-10.0, 10.0),
                #[inline(always)]
                |maths, [b]| maths.exp(b),
            )
        },
        peers: &[script("NumPy", "exp_f32", COMPUTE, UNITS_F32)],
    },
    Row {
        key: "isf",
        what: "A = norm.isf(B), f64",
        ours: |side| {
            unary::<f64>(
                side,
                (0.0, 1.0),
                #[inline(always)]
                |maths, [b]| maths.isf(b),
            )
        },
        peers: &[
            script("SciPy, `norm.isf`", "isf", COMPUTE, Agree::OfLargest(1e-15)),
            script(
                "SciPy, `-ndtri`",
                "ndtri_f64",
                None,
                Agree::OfLargest(1e-15),
            ),
        ],
    },
    Row {
        key: "isf-f32",
        what: "A = norm.isf(B), f32",
        ours: |side| {
            unary::<f32>(
                side,
                (0.0, 1.0),
                #[inline(always)]
                |maths, [b]| maths.isf(b),
            )
        },
        peers: &[
            script(
                "SciPy, `norm.isf`",
                "isf_f32",
                COMPUTE,
                Agree::OfLargest(2e-6),
            ),
            script("SciPy, `-ndtri`", "ndtri_f32", None, Agree::OfLargest(2e-6)),
        ],
    },
    Row {
        key: "sin-strided",
        what: "A = sin(B), f64, every second of 20 million",
        ours: sin_strided,
        peers: &[script("NumPy", "sin_strided", COMPUTE, UNITS)],
    },
    Row {
        key: "polynomial",
        what: "A = 2 B + 3 C - B C, f64",
        ours: |side| {
            binary::<f64>(
                side,
                #[inline(always)]
                |_, [b, c]| 2.0 * b + 3.0 * c - b * c,
            )
        },
        peers: &[
            script("NumPy", "polynomial", FUSED, Agree::Exactly),
            copy!(3 * COUNT),
        ],
    },
    Row {
        key: "polynomial-f32",
        what: "A = 2 B + 3 C - B C, f32",
        ours: |side| {
            binary::<f32>(
                side,
                #[inline(always)]
                |_, [b, c]| 2.0 * b + 3.0 * c - b * c,
            )
        },
        peers: &[script("NumPy", "polynomial_f32", FUSED, Agree::Exactly)],
    },
    Row {
        key: "fused",
        what: "A = exp(-B B / 2) C + sin(B), f64",
        ours: |side| {
            binary::<f64>(
                side,
                #[inline(always)]
                |maths, [b, c]| maths.exp(-b * b / 2.0) * c + maths.sin(b),
            )
        },
        peers: &[script("NumPy", "fused", FUSED, SUMS)],
    },
];

/// f64 and f32 as both sides have them.
trait Shown: Number {
    fn of(number: f64) -> Self;
    fn shown(self) -> f64;
}

impl Shown for f64 {
    fn of(number: f64) -> f64 {
        number
    }
    fn shown(self) -> f64 {
        self
    }
}

impl Shown for f32 {
    fn of(number: f64) -> f32 {
        number as f32
    }
    fn shown(self) -> f64 {
        f64::from(self)
    }
}

fn numbers<T: Shown>(seed: u64, (low, high): (f64, f64)) -> Array1<T> {
    let numbers = uniform(seed, COUNT, low, high);
    numbers.into_iter().map(T::of).collect()
}

fn unary<T: Shown + 'static>(
    side: &Side,
    range: (f64, f64),
    f: impl Fn(&mut Maths, [T; 1]) -> T + Sync + Copy + 'static,
) -> Box<dyn Job> {
    let workers = side.workers();
    job(
        (numbers::<T>(1, range), Array1::from_elem(COUNT, T::zero())),
        move |(b, out)| into(out.view_mut(), [b.view()], workers, f).expect("it fits"),
        |(_, out)| out.iter().map(|it| it.shown()).collect(),
    )
}

fn binary<T: Shown + 'static>(
    side: &Side,
    f: impl Fn(&mut Maths, [T; 2]) -> T + Sync + Copy + 'static,
) -> Box<dyn Job> {
    let workers = side.workers();
    let state = (
        numbers::<T>(1, (0.0, 1.0)),
        numbers::<T>(2, (0.0, 1.0)),
        Array1::from_elem(COUNT, T::zero()),
    );
    job(
        state,
        move |(b, c, out)| {
            into(out.view_mut(), [b.view(), c.view()], workers, f).expect("it fits");
        },
        |(_, _, out)| out.iter().map(|it| it.shown()).collect(),
    )
}

fn halves_in_place(side: &Side) -> Box<dyn Job> {
    let workers = side.workers();
    job(
        (numbers::<f64>(1, (0.0, 1.0)), numbers::<f64>(2, (0.0, 1.0))),
        move |(a, b)| {
            in_place(
                a.view_mut(),
                [b.view()],
                workers,
                #[inline(always)]
                |_, a, [b]| a * 0.5 + b,
            )
            .expect("it fits");
        },
        |(a, _)| a.to_vec(),
    )
}

fn sin_strided(side: &Side) -> Box<dyn Job> {
    let workers = side.workers();
    let b: Array1<f64> = uniform(1, 2 * COUNT, -100.0, 100.0).into();
    job(
        (b, Array1::zeros(2 * COUNT)),
        move |(b, out)| {
            let out = out.slice_mut(s![..;2]);
            into(
                out,
                [b.slice(s![..;2])],
                workers,
                #[inline(always)]
                |maths, [b]| maths.sin(b),
            )
            .expect("it fits");
        },
        |(_, out)| out.slice(s![..;2]).to_vec(),
    )
}

/// Moves 8 bytes for each of so many elements, half of them reads.
fn copy(elements: usize, side: &Side) -> Box<dyn Job> {
    let from = uniform(3, elements / 2, 0.0, 1.0);
    let to = vec![0.0; from.len()];
    let workers = side.workers();
    job(
        (from, to),
        move |(from, to)| {
            // Pieces of 128 KiB: faster here than each worker's half at once.
            let pool = workers.as_pool().expect("a pool");
            pool.install(|| {
                let pieces = to.par_chunks_mut(1 << 14).zip(from.par_chunks(1 << 14));
                pieces.for_each(|(to, from)| to.copy_from_slice(from));
            });
        },
        |(_, to)| to.clone(),
    )
}
