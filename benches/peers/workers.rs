//! `workers=`: Fourier transforms over axes, and differential evolution whose function calls LAPACK.

use ndarray::{Array, Array2, Dimension, IntoDimension};
use ndarray_linalg::{Cholesky, Diag, SolveTriangular, UPLO};
use rustfft::num_complex::Complex64;
use threadctl::Workers;
use threadctl_examples::arrays::into;
use threadctl_examples::workers::Map;
use threadctl_examples::workers::evolution::{Search, minimise};
use threadctl_examples::workers::fft::{fftn, ifftn};
use threadctl_src as _;

use crate::input::uniform;
use crate::rows::{Agree, Job, Peer, Row, Who, Workload, job};
use crate::side::Side;

/// Observations of the function that is fitted.
const OBSERVED: usize = 200;
const GENERATIONS: usize = 40;

pub const WORKLOAD: Workload = Workload {
    name: "workers",
    rows: ROWS,
    note: "2 workers. Transforms of complex numbers of 16 bytes, forwards and back, in place; what is compared is a transform forwards. The \
           evolution fits length, size and noise of a Gaussian process to 200 observations: 45 points, 40 generations, each evaluation one \
           Cholesky factorization and its solution; the two draw different random numbers, and what is compared is the least value found. Both have their pools from \
           before.",
    mean: None,
};

const fn scipy(name: &'static str, function: &'static str, agree: Agree) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target: Some(1.0),
        agree,
    }
}

const TRANSFORM: Agree = Agree::OfLargest(1e-14);

const ROWS: &[Row] = &[
    Row {
        key: "fft-2",
        what: "2048 x 2048 over both axes",
        ours: |side| transform((2048, 2048), &[0, 1], side),
        peers: &[scipy("SciPy, `workers=2`", "fft_2", TRANSFORM)],
    },
    Row {
        key: "fft-first",
        what: "2048 x 2048 over the first axis",
        ours: |side| transform((2048, 2048), &[0], side),
        peers: &[scipy("SciPy, `workers=2`", "fft_first", TRANSFORM)],
    },
    Row {
        key: "fft-last",
        what: "2000 x 2187 over the last axis",
        ours: |side| transform((2000, 2187), &[1], side),
        peers: &[scipy("SciPy, `workers=2`", "fft_last", TRANSFORM)],
    },
    Row {
        key: "fft-3",
        what: "160 x 160 x 160 over all axes",
        ours: |side| transform((160, 160, 160), &[0, 1, 2], side),
        peers: &[scipy("SciPy, `workers=2`", "fft_3", TRANSFORM)],
    },
    Row {
        key: "evolution",
        what: "differential evolution over a function that calls LAPACK",
        ours: evolution,
        peers: &[
            scipy(
                "SciPy, `workers=` a pool of 2 processes",
                "evolution",
                Agree::Within(1e-3),
            ),
            scipy(
                "the same, its BLAS at one thread",
                "evolution_limited",
                Agree::Within(1e-3),
            ),
        ],
    },
];

fn transform<S: IntoDimension>(shape: S, axes: &'static [usize], side: &Side) -> Box<dyn Job>
where
    S::Dim: Dimension + 'static,
{
    let workers = side.workers();
    let shape = shape.into_dimension();
    let parts = uniform(1, 2 * shape.size(), -1.0, 1.0);
    let (pairs, _) = parts.as_chunks::<2>();
    let numbers = pairs
        .iter()
        .map(|[re, im]| Complex64::new(*re, *im))
        .collect();
    let array: Array<Complex64, S::Dim> = Array::from_shape_vec(shape, numbers).expect("so many");
    job(
        array,
        move |array| {
            fftn(array.view_mut(), axes, workers).expect("workers");
            ifftn(array.view_mut(), axes, workers).expect("workers");
        },
        move |array| {
            let mut array = array.clone();
            fftn(array.view_mut(), axes, workers).expect("workers");
            array.iter().flat_map(|it| [it.re, it.im]).collect()
        },
    )
}

/// The negative logarithm of how likely the observations are, without its constant. Its exponentials are an array expression, as
/// the peer's are.
fn unlikely(places: &[f64], observed: &[f64], parameters: &[f64], workers: Workers<'_>) -> f64 {
    let [length, size, noise] = *parameters else {
        return f64::INFINITY;
    };
    let distances = Array2::from_shape_fn((OBSERVED, OBSERVED), |(i, j)| places[i] - places[j]);
    let mut covariance = Array2::zeros((OBSERVED, OBSERVED));
    into(
        covariance.view_mut(),
        [distances.view()],
        workers,
        #[inline(always)]
        |maths, [distance]| {
            let distance = distance / length;
            size * maths.exp(-0.5 * distance * distance)
        },
    )
    .expect("it fits");
    covariance.diag_mut().mapv_inplace(|it: f64| it + noise);
    let Ok(factor) = covariance.cholesky(UPLO::Lower) else {
        return f64::INFINITY;
    };
    let right = ndarray::Array1::from(observed.to_vec());
    let Ok(half) = factor.solve_triangular(UPLO::Lower, Diag::NonUnit, &right) else {
        return f64::INFINITY;
    };
    0.5 * half.dot(&half) + factor.diag().iter().map(|it| it.ln()).sum::<f64>()
}

fn evolution(side: &Side) -> Box<dyn Job> {
    let workers = side.workers();
    let places = uniform(1, OBSERVED, 0.0, 10.0);
    let noise = uniform(2, OBSERVED, -0.5, 0.5);
    let observed = places
        .iter()
        .zip(noise)
        .map(|(x, noise)| x.sin() + noise)
        .collect();
    let state: (Vec<f64>, Vec<f64>, f64) = (places, observed, 0.0);
    job(
        state,
        move |(places, observed, least)| {
            let search = Search {
                generations: GENERATIONS,
                tolerance: 0.0,
                ..Search::default()
            };
            let found = minimise(
                &|parameters: &[f64]| unlikely(places, observed, parameters, workers),
                &[(0.1, 5.0), (0.01, 5.0), (0.001, 1.0)],
                &search,
                &Map::Workers(workers),
            );
            *least = found.expect("bounds are right").value;
        },
        |(_, _, least)| vec![*least],
    )
}
