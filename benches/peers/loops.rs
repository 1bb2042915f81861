//! Compiled loops beside Numba's, and products beside NumPy's.

use ndarray::{Array2, s};
use threadctl_examples::loops::arrays::{add, multiply, sum_of_squares, zip_with};
use threadctl_examples::loops::distances::{Form, pairwise, squared};
use threadctl_examples::loops::kmeans::kmeans;
use threadctl_examples::loops::products::{by_blas, by_hand};

use crate::input::uniform;
use crate::rows::{Agree, Job, Peer, Row, Who, Workload, job};

const COUNT: usize = 10_000_000;
/// Matrices by hand and by BLAS.
const SIZE: usize = 600;
/// Points of all pairs.
const PAIRS: usize = 3000;
/// Points of k-means, its centroids and rounds.
const POINTS: usize = 100_000;
const CENTROIDS: usize = 16;
const ROUNDS: usize = 10;

pub const WORKLOAD: Workload = Workload {
    name: "loops",
    rows: ROWS,
    note: "Arrays of 10 million f64; matrices of 600 x 600; 3,000 points for pairs, 100,000 for k-means, of 16 centroids and 10 rounds. The rows beside \
           `prange` are what the geometric mean is of: the same computations as plain loops in Python, compiled by `njit(parallel=True)` with its default \
           floating-point rules (as ours has), its TBB layer and 2 threads. Ours are written for the vector instructions: distances and k-means go \
           through the other points coordinate by coordinate, and sums are made side by side.",
    mean: Some(1.2),
};

const fn numba(function: &'static str, agree: Agree) -> Peer {
    Peer {
        name: "Numba, `prange`",
        who: Who::Script(function),
        target: Some(1.0),
        agree,
    }
}

const fn numpy(function: &'static str, agree: Agree) -> Peer {
    Peer {
        name: "NumPy",
        who: Who::Script(function),
        target: None,
        agree,
    }
}

const SUM: Agree = Agree::Within(1e-12);
const DISTANCE: Agree = Agree::Within(1e-14);
/// By products, half of the digits are lost where points are near.
const BY_PRODUCT: Agree = Agree::OfLargest(3e-7);

const ROWS: &[Row] = &[
    Row {
        key: "add",
        what: "a + b",
        ours: |_| binary(|a, b, out| add(a, b, out).expect("it fits")),
        peers: &[
            numba("add", Agree::Exactly),
            numpy("add_numpy", Agree::Exactly),
        ],
    },
    Row {
        key: "multiply",
        what: "a * b, element by element",
        ours: |_| binary(|a, b, out| multiply(a, b, out).expect("it fits")),
        peers: &[
            numba("multiply", Agree::Exactly),
            numpy("multiply_numpy", Agree::Exactly),
        ],
    },
    Row {
        key: "sum-of-squares",
        what: "sum of squares",
        ours: |_| {
            job(
                (uniform(1, COUNT, -1.0, 1.0), 0.0),
                |(a, sum)| *sum = sum_of_squares(a),
                |(_, sum)| vec![*sum],
            )
        },
        peers: &[
            numba("sum_of_squares", SUM),
            numpy("sum_of_squares_numpy", SUM),
        ],
    },
    Row {
        key: "vectorize",
        what: "2 (a - b) / (a + b), a function of the user's",
        ours: |_| {
            binary(|a, b, out| {
                zip_with(
                    #[inline(always)]
                    |a: f64, b: f64| 2.0 * (a - b) / (a + b),
                    a,
                    b,
                    out,
                )
                .expect("it fits");
            })
        },
        peers: &[
            Peer {
                name: "Numba, `vectorize(target=\"parallel\")`",
                ..numba("relative_difference", Agree::Exactly)
            },
            numpy("relative_difference_numpy", Agree::Exactly),
        ],
    },
    Row {
        key: "product",
        what: "matrix product by hand",
        ours: |_| product(by_hand_of),
        peers: &[
            numba("product", Agree::OfLargest(1e-14)),
            Peer {
                name: "our product by BLAS",
                who: Who::Ours(|_| product(by_blas_of)),
                target: None,
                agree: Agree::OfLargest(1e-14),
            },
        ],
    },
    Row {
        key: "gemm",
        what: "matrix product by BLAS",
        ours: |_| product(by_blas_of),
        peers: &[
            numpy("product_numpy", Agree::OfLargest(1e-14)),
            Peer {
                name: "MKL with TBB",
                ..numpy("product_mkl", Agree::OfLargest(1e-14))
            },
        ],
    },
    Row {
        key: "pairs-3",
        what: "distances of all pairs, 3 dimensions, loop",
        ours: |_| pairs(3, Form::Loop),
        peers: &[numba("pairs_3", DISTANCE)],
    },
    Row {
        key: "pairs-16",
        what: "distances of all pairs, 16 dimensions, loop",
        ours: |_| pairs(16, Form::Loop),
        peers: &[numba("pairs_16", DISTANCE)],
    },
    Row {
        key: "pairs-product",
        what: "distances of all pairs, 16 dimensions, product",
        ours: |_| pairs(16, Form::Product),
        peers: &[
            numpy("pairs_product", BY_PRODUCT),
            Peer {
                name: "our loop",
                who: Who::Ours(|_| pairs(16, Form::Loop)),
                target: None,
                agree: BY_PRODUCT,
            },
        ],
    },
    Row {
        key: "centroids",
        what: "distances of points to 16 centroids, 8 dimensions, loop",
        ours: |_| centroids(Form::Loop),
        peers: &[numba("centroids", DISTANCE)],
    },
    Row {
        key: "centroids-product",
        what: "distances of points to 16 centroids, 8 dimensions, product",
        ours: |_| centroids(Form::Product),
        peers: &[numpy("centroids_product", BY_PRODUCT)],
    },
    Row {
        key: "kmeans",
        what: "k-means, 8 dimensions, loop",
        ours: |_| means(Form::Loop),
        peers: &[numba("kmeans", Agree::Within(1e-10))],
    },
    Row {
        key: "kmeans-product",
        what: "k-means, 8 dimensions, product",
        ours: |_| means(Form::Product),
        peers: &[numpy("kmeans_numpy", Agree::Within(1e-10))],
    },
];

fn binary(f: impl Fn(&[f64], &[f64], &mut [f64]) + 'static) -> Box<dyn Job> {
    let state = (
        uniform(1, COUNT, 0.0, 1.0),
        uniform(2, COUNT, 0.0, 1.0),
        vec![0.0; COUNT],
    );
    job(
        state,
        move |(a, b, out)| f(a, b, out),
        |(_, _, out)| out.clone(),
    )
}

fn matrix(seed: u64, rows: usize, columns: usize) -> Array2<f64> {
    let numbers = uniform(seed, rows * columns, -1.0, 1.0);
    Array2::from_shape_vec((rows, columns), numbers).expect("so many")
}

fn by_hand_of(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    by_hand(a.view(), b.view()).expect("it fits")
}

fn by_blas_of(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    by_blas(a.view(), b.view()).expect("it fits")
}

fn product(f: fn(&Array2<f64>, &Array2<f64>) -> Array2<f64>) -> Box<dyn Job> {
    let state = (
        matrix(1, SIZE, SIZE),
        matrix(2, SIZE, SIZE),
        Array2::zeros((0, 0)),
    );
    job(
        state,
        move |(a, b, out)| *out = f(a, b),
        |(_, _, out)| out.iter().copied().collect(),
    )
}

fn pairs(dimensions: usize, form: Form) -> Box<dyn Job> {
    job(
        (matrix(1, PAIRS, dimensions), Array2::zeros((0, 0))),
        move |(points, out)| *out = pairwise(points.view(), form),
        |(_, out)| out.iter().copied().collect(),
    )
}

fn centroids(form: Form) -> Box<dyn Job> {
    let state = (
        matrix(1, POINTS, 8),
        matrix(2, CENTROIDS, 8),
        Array2::zeros((0, 0)),
    );
    job(
        state,
        move |(points, centroids, out)| {
            *out = squared(points.view(), centroids.view(), form).expect("it fits");
        },
        |(_, _, out)| out.iter().copied().collect(),
    )
}

fn means(form: Form) -> Box<dyn Job> {
    job(
        (matrix(1, POINTS, 8), Vec::new()),
        move |(points, out)| {
            let begin = points.slice(s![..CENTROIDS, ..]);
            let found = kmeans(points.view(), begin, form, ROUNDS).expect("it fits");
            *out = found.centroids.into_iter().collect();
        },
        |(_, out)| out.clone(),
    )
}
