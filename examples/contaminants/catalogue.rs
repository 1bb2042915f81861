//! Catalogues: points on the unit sphere, read from `.npy` files or made at random.

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use thiserror::Error;

/// How far a length may be from 1: what f32 input rounds to, and no more.
const SLACK: f64 = 1e-6;
/// How far it may be without the vector being scaled: what f64 rounds to.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// Points on the unit sphere, coordinate by coordinate.
#[derive(Clone, Debug, PartialEq)]
pub struct Sphere {
    x: Vec<f64>,
    y: Vec<f64>,
    z: Vec<f64>,
}

/// Why something is no catalogue.
#[derive(Debug, Error)]
pub enum BadCatalogue {
    /// It cannot be read or written, or is no `.npy` file of the type wanted.
    #[error("{path}: {why}; wanted: a .npy file of float64, shape (n, 3)")]
    File {
        /// Its path.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// Its shape is not (n, 3).
    #[error("shape ({rows}, {columns}); wanted: (n, 3), rows of x, y, z")]
    Shape {
        /// The first dimension.
        rows: usize,
        /// The second dimension.
        columns: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("row {row} is ({}, {}, {}); wanted: finite numbers", point[0], point[1], point[2])]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// The row.
        point: [f64; 3],
    },
    /// A vector is not of unit length.
    #[error("row {row} has length {length}; wanted: unit vectors (1 within {SLACK:e})")]
    NotUnit {
        /// Counted from 0.
        row: usize,
        /// Its length.
        length: f64,
    },
}

impl Sphere {
    /// Checks the rows of an array and takes them over. Those whose length is 1 only within what f32 rounds to are scaled to it, since
    /// chords of small angles would show the difference; others stay as they are.
    ///
    /// # Errors
    /// The shape is not (n, 3), or a row is not finite or not of unit length; the first such row is named.
    pub fn new(rows: &Array2<f64>) -> Result<Sphere, BadCatalogue> {
        let (count, columns) = rows.dim();
        if columns != 3 {
            return Err(BadCatalogue::Shape {
                rows: count,
                columns,
            });
        }
        let mut sphere = Sphere {
            x: Vec::with_capacity(count),
            y: Vec::with_capacity(count),
            z: Vec::with_capacity(count),
        };
        for (row, point) in rows.rows().into_iter().enumerate() {
            let point = [point[0], point[1], point[2]];
            if !point.iter().all(|value| value.is_finite()) {
                return Err(BadCatalogue::NotFinite { row, point });
            }
            let length = point.iter().map(|value| value * value).sum::<f64>().sqrt();
            if (length - 1.0).abs() > SLACK {
                return Err(BadCatalogue::NotUnit { row, length });
            }
            let rounded = (length - 1.0).abs() <= ROUNDING;
            let [x, y, z] = point.map(|value| if rounded { value } else { value / length });
            sphere.x.push(x);
            sphere.y.push(y);
            sphere.z.push(z);
        }
        Ok(sphere)
    }

    /// Reads a `.npy` file.
    ///
    /// # Errors
    /// As [`Sphere::new`], and where the file cannot be read or holds another type.
    pub fn read(path: &Path) -> Result<Sphere, BadCatalogue> {
        let bad = |why: String| BadCatalogue::File {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(|error| bad(error.to_string()))?;
        let rows = Array2::<f64>::read_npy(file).map_err(|error| bad(error.to_string()))?;
        Sphere::new(&rows)
    }

    /// `count` points spread evenly over the sphere, the same for the same seed.
    #[must_use]
    pub fn random(count: usize, seed: u64) -> Sphere {
        let mut state = seed;
        let mut sphere = Sphere {
            x: Vec::new(),
            y: Vec::new(),
            z: Vec::new(),
        };
        for _ in 0..count {
            // Even in z and in longitude is even on the sphere (Archimedes).
            let z = 2.0 * uniform(&mut state) - 1.0;
            let longitude = std::f64::consts::TAU * uniform(&mut state);
            let radius = (1.0 - z * z).sqrt();
            sphere.x.push(radius * longitude.cos());
            sphere.y.push(radius * longitude.sin());
            sphere.z.push(z);
        }
        sphere
    }

    /// How many points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// One point.
    #[must_use]
    pub fn point(&self, index: usize) -> [f64; 3] {
        [self.x[index], self.y[index], self.z[index]]
    }

    /// All x, all y, all z.
    #[must_use]
    pub fn coordinates(&self) -> [&[f64]; 3] {
        [&self.x, &self.y, &self.z]
    }

    /// The points as rows, as the peers take them.
    #[must_use]
    pub fn rows(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.len(), 3), |(row, column)| {
            self.coordinates()[column][row]
        })
    }
}

/// Writes indices as int64.
///
/// # Errors
/// The file cannot be written.
pub fn write_indices(path: &Path, indices: &[usize]) -> Result<(), BadCatalogue> {
    let bad = |why: String| BadCatalogue::File {
        path: path.to_owned(),
        why,
    };
    let file = File::create(path).map_err(|error| bad(error.to_string()))?;
    let indices: Array1<i64> = indices.iter().map(|index| *index as i64).collect();
    indices
        .write_npy(file)
        .map_err(|error| bad(error.to_string()))
}

/// SplitMix64 (Steele, Lea and Flood 2014), in [0, 1).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
