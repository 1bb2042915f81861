//! Which objects of a catalogue are farther than an angle from every contaminant, both on the unit sphere.
//!
//! Two exact methods: a loop over all pairs, vectorised and left at the first hit (`pairs`), and a k-d tree (`tree`). Both
//! compare the same quantity, the squared chord |a - b|^2 = 4 sin^2(angle / 2): for small angles the scalar product, which is
//! next to 1 there, has lost the digits that tell them apart.
//!
//! Invariants: rows are x, y, z; what `Sphere` holds is finite and of unit length; indices come out in order.

pub mod catalogue;
mod pairs;
mod tree;

pub use catalogue::{BadCatalogue, Sphere};

use std::fmt;
use std::str::FromStr;

/// How the pairs are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The one that the numbers of objects and contaminants and the angle call for.
    Auto,
    /// Every pair, left at the first contaminant that is near enough. Needs no preparation, so it wins where there are few.
    Pairs,
    /// A k-d tree of the contaminants: some tens of comparisons per object in place of all of them.
    Tree,
}

/// The names on the command line.
const METHODS: &[(&str, Method)] = &[
    ("auto", Method::Auto),
    ("pairs", Method::Pairs),
    ("tree", Method::Tree),
];

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Method, String> {
        let found = METHODS.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, method)| *method)
            .ok_or_else(|| format!("no method `{text}`: auto, pairs or tree"))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = METHODS.iter().find(|(_, method)| method == self);
        out.write_str(found.map_or("?", |(name, _)| name))
    }
}

impl Method {
    /// What `Auto` stands for, and why.
    ///
    /// Compared is how many comparisons an object needs. The loop leaves at the first hit, which comes after 1 / p of them on
    /// average where a point is near with probability p, and after all of them where none is; the tree needs about `TREE` for
    /// each object and `BUILD` for each contaminant.
    #[must_use]
    pub fn settle(self, objects: usize, contaminants: usize, degrees: f64) -> (Method, String) {
        if self != Method::Auto {
            return (self, "asked for".to_owned());
        }
        let (objects, contaminants) = (objects.max(1) as f64, contaminants as f64);
        // The part of the sphere that is within the angle of a point.
        let near = ((1.0 - degrees.to_radians().cos()) / 2.0).max(1e-12);
        let pairs = (1.0 - (1.0 - near).powf(contaminants)) / near;
        let tree = TREE + BUILD * contaminants / objects;
        let why = format!(
            "an object takes the loop about {pairs:.0} comparisons, a tree the time of {tree:.0}"
        );
        if pairs <= tree {
            (Method::Pairs, why)
        } else {
            (Method::Tree, why)
        }
    }
}

// Measured with 50,000 contaminants on two cores with AVX-512: 0.05 ns for a comparison; 0.1 us (0.05 degrees) to 0.23 us (1 degree)
// for an object in the tree; 2.5 ms for building it. A smaller tree is cheaper, which is left out: both give the same answer.
/// What an object costs in a tree, in comparisons of the loop.
const TREE: f64 = 3000.0;
/// What building the tree costs for each contaminant, in comparisons of the loop; of one core, while others wait.
const BUILD: f64 = 2000.0;

/// The square of the chord that belongs to an angle in degrees.
///
/// # Errors
/// The angle is not between 0 and 180 (both included), or no number.
pub fn chord(degrees: f64) -> Result<f64, String> {
    if !(0.0..=180.0).contains(&degrees) {
        return Err(format!("an angle of {degrees} degrees: wanted 0 to 180"));
    }
    let half = (degrees.to_radians() / 2.0).sin();
    Ok(4.0 * half * half)
}

/// The indices, in order, of the objects that no contaminant is within `degrees` of. On rayon's current pool.
///
/// # Errors
/// The angle is not between 0 and 180.
pub fn clean(
    objects: &Sphere,
    contaminants: &Sphere,
    degrees: f64,
    method: Method,
) -> Result<Vec<usize>, String> {
    let chord = chord(degrees)?;
    let (method, _) = method.settle(objects.len(), contaminants.len(), degrees);
    let near = match method {
        Method::Tree => tree::near(objects, contaminants, chord),
        Method::Pairs | Method::Auto => pairs::near(objects, contaminants, chord),
    };
    Ok(near
        .iter()
        .enumerate()
        .filter(|(_, near)| !**near)
        .map(|(index, _)| index)
        .collect())
}
