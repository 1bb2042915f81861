//! Nearest neighbours by cosine among 100,000 vectors: the ten nearest of each, and all pairs above a threshold.

use ndarray::{Array2, ArrayView1};
use threadctl_examples::neighbours::{nearest, pairs_above};

use crate::input::uniform;
use crate::rows::{Agree, Peer, Row, Who, Workload, job};

const VECTORS: usize = 100_000;
const DIMENSIONS: usize = 256;
const COUNT: usize = 10;
const THRESHOLD: f32 = 0.3;

pub const WORKLOAD: Workload = Workload {
    name: "neighbours",
    rows: ROWS,
    note: "100,000 vectors of 256 dimensions in f32, all queries. NumPy multiplies tiles on OpenBLAS's own 2 threads, with the tile \
           sizes that were best for it. Indices are compared after both sides' neighbours were put in order by cosines in f64 (two \
           that differ by less than f32 rounds may stand either way round), without the last of each ten, which may be \
           one of two for the same reason.",
    mean: None,
};

const fn peer(name: &'static str, function: &'static str, target: Option<f64>) -> Peer {
    Peer {
        name,
        who: Who::Script(function),
        target,
        agree: Agree::Exactly,
    }
}

const ROWS: &[Row] = &[
    Row {
        key: "nearest",
        what: "the 10 nearest of each",
        ours: |_| {
            job(
                (vectors(), Array2::default((0, 0))),
                |(vectors, found)| {
                    *found = nearest(vectors.view(), COUNT).expect("vectors").indices();
                },
                |(vectors, found)| in_exact_order(vectors, found),
            )
        },
        peers: &[peer(
            "NumPy, `@` and `argpartition`",
            "nearest_10",
            Some(1.3),
        )],
    },
    Row {
        key: "pairs",
        what: "all pairs above 0.3",
        ours: |_| {
            job(
                (vectors(), Vec::new()),
                |(vectors, found)| {
                    *found = pairs_above(vectors.view(), THRESHOLD).expect("vectors");
                },
                |(_, found)| {
                    let both = found.iter().flat_map(|pair| [pair.first, pair.second]);
                    both.map(f64::from).collect()
                },
            )
        },
        peers: &[
            peer("NumPy, `@` and `>`, all tiles", "pairs", Some(1.3)),
            // As many products as ours: what is left is how fast a product is, which is the library's.
            peer("NumPy, the same, half of the tiles", "pairs_half", None),
        ],
    },
];

fn vectors() -> Array2<f32> {
    let numbers = uniform(1, VECTORS * DIMENSIONS, -1.0, 1.0);
    let numbers = numbers.into_iter().map(|number| number as f32).collect();
    Array2::from_shape_vec((VECTORS, DIMENSIONS), numbers).expect("as many as fit")
}

/// The neighbours of each vector by their cosines in f64, without the last.
fn in_exact_order(vectors: &Array2<f32>, found: &Array2<i64>) -> Vec<f64> {
    let product = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        let both = a.iter().zip(b);
        both.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let mut ordered = Vec::new();
    for (own, found) in vectors.rows().into_iter().zip(found.rows()) {
        // The length of `own` changes no order.
        let mut cosines: Vec<(f64, i64)> = found
            .iter()
            .map(|index| {
                let other = vectors.row(*index as usize);
                (product(own, other) / product(other, other).sqrt(), *index)
            })
            .collect();
        cosines.sort_by(|a, b| b.0.total_cmp(&a.0));
        cosines.truncate(COUNT - 1);
        ordered.extend(cosines.iter().map(|(_, index)| *index as f64));
    }
    ordered
}
