//! Contaminant removal at the astronomer's real size, by both methods, at a narrow and a wide angle.

use ndarray::Array2;
use threadctl_examples::contaminants::{Method, Sphere, clean};

use crate::input::uniform;
use crate::rows::{Agree, Job, Peer, Row, Who, Workload, job};

const OBJECTS: usize = 500_000;
const CONTAMINANTS: usize = 50_000;
const NARROW: f64 = 0.05;
const WIDE: f64 = 1.0;

pub const WORKLOAD: Workload = Workload {
    name: "contaminants",
    rows: ROWS,
    note: "500,000 objects, 50,000 contaminants, both spread evenly over the sphere; the results are the indices that stay. All pairs \
           are left at the first hit. Trees are built in the round.",
    mean: None,
};

const fn row(
    key: &'static str,
    what: &'static str,
    ours: fn(&crate::side::Side) -> Box<dyn Job>,
    peers: &'static [Peer],
) -> Row {
    Row {
        key,
        what,
        ours,
        peers,
    }
}

const fn peer(name: &'static str, function: &'static str, target: f64) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target: Some(target),
        agree: Agree::Exactly,
    }
}

const ROWS: &[Row] = &[
    row(
        "loop-narrow",
        "all pairs, 0.05 degrees",
        |_| removal(NARROW, Method::Pairs),
        &[peer("Numba, `prange` and `break`", "loop_narrow", 1.5)],
    ),
    row(
        "loop-wide",
        "all pairs, 1 degree",
        |_| removal(WIDE, Method::Pairs),
        &[peer("Numba, `prange` and `break`", "loop_wide", 1.5)],
    ),
    row(
        "tree-narrow",
        "k-d tree, 0.05 degrees",
        |_| removal(NARROW, Method::Tree),
        &[peer("SciPy, `cKDTree`, `workers=2`", "tree_narrow", 1.0)],
    ),
    row(
        "tree-wide",
        "k-d tree, 1 degree",
        |_| removal(WIDE, Method::Tree),
        &[peer("SciPy, `cKDTree`, `workers=2`", "tree_wide", 1.0)],
    ),
];

fn removal(degrees: f64, method: Method) -> Box<dyn Job> {
    let state = (sphere(1, OBJECTS), sphere(2, CONTAMINANTS), Vec::new());
    job(
        state,
        move |(objects, contaminants, stay)| {
            *stay = clean(objects, contaminants, degrees, method).expect("an angle");
        },
        |(_, _, stay)| stay.iter().map(|index| *index as f64).collect(),
    )
}

/// Points spread evenly over the sphere (Marsaglia 1972). Nothing but sums, products and roots, so that both sides have the
/// same bits.
fn sphere(seed: u64, count: usize) -> Sphere {
    let drawn = uniform(seed, 3 * count, -1.0, 1.0);
    let (pairs, _) = drawn.as_chunks::<2>();
    let points = pairs
        .iter()
        .map(|[u, v]| (u, v, u * u + v * v))
        .filter(|(_, _, squared)| *squared < 1.0)
        .flat_map(|(u, v, squared)| {
            let root = (1.0 - squared).sqrt();
            [2.0 * u * root, 2.0 * v * root, 1.0 - 2.0 * squared]
        })
        .take(3 * count)
        .collect();
    let rows = Array2::from_shape_vec((count, 3), points).expect("enough are inside");
    Sphere::new(&rows).expect("unit vectors")
}
