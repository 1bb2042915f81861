//! Differential evolution (Storn and Price 1997), `best1bin` with the population replaced a generation at a time, as SciPy does
//! where `workers` is given.

use super::{Function, Map};

/// How it is searched. `Default` has SciPy's numbers.
#[derive(Clone, Debug)]
pub struct Search {
    /// Points per dimension.
    pub population: usize,
    /// The most generations.
    pub generations: usize,
    /// Ends when the spread of the values is this part of their mean.
    pub tolerance: f64,
    /// From where to where the weight of differences goes, drawn once per generation.
    pub mutation: (f64, f64),
    /// How likely a coordinate is changed.
    pub recombination: f64,
    /// The same numbers for the same seed.
    pub seed: u64,
}

impl Default for Search {
    fn default() -> Search {
        Search {
            population: 15,
            generations: 1000,
            tolerance: 0.01,
            mutation: (0.5, 1.0),
            recombination: 0.7,
            seed: 1,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// Where.
    pub point: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// How many generations it took.
    pub generations: usize,
    /// Whether it ended for the tolerance, and not for the generations.
    pub converged: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A bound is no range.
    #[error(
        "bounds of coordinate {at}: {low} to {high}; wanted: two finite numbers, the smaller first"
    )]
    Bounds {
        /// Which coordinate, from 0.
        at: usize,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
    },
    /// No coordinates at all.
    #[error("no bounds; wanted: one pair for each coordinate")]
    Empty,
    /// A map of the caller's gave another number of values.
    #[error("the map gave {found} values for {points} points")]
    Map {
        /// How many points it got.
        points: usize,
        /// How many values it gave.
        found: usize,
    },
    /// The workers could not be started.
    #[error(transparent)]
    Workers(#[from] threadctl::Error),
}

/// Looks for the least value of `function` within the bounds. A value that is NaN counts as infinite.
///
/// # Errors
/// See [`Failed`].
pub fn minimise(
    function: &Function<'_>,
    bounds: &[(f64, f64)],
    search: &Search,
    map: &Map<'_>,
) -> Result<Minimum, Failed> {
    if bounds.is_empty() {
        return Err(Failed::Empty);
    }
    for (at, &(low, high)) in bounds.iter().enumerate() {
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return Err(Failed::Bounds { at, low, high });
        }
    }
    let mut random = Random(search.seed);
    // best1bin needs the best and two others.
    let count = (search.population * bounds.len()).max(5);
    let inside = |random: &mut Random| {
        bounds
            .iter()
            .map(|(low, high)| low + (high - low) * random.unit())
            .collect()
    };
    let mut points: Vec<Vec<f64>> = (0..count).map(|_| inside(&mut random)).collect();
    let mut values = evaluate(function, &points, map)?;
    let mut generations = 0;
    loop {
        let best = (0..count).fold(
            0,
            |best, at| if values[at] < values[best] { at } else { best },
        );
        let converged = spread(&values) <= search.tolerance;
        if converged || generations == search.generations {
            return Ok(Minimum {
                point: points[best].clone(),
                value: values[best],
                generations,
                converged,
            });
        }
        let (low, high) = search.mutation;
        let weight = low + (high - low) * random.unit();
        let trials: Vec<Vec<f64>> = (0..count)
            .map(|at| {
                let (one, other) = random.two_but(at, count);
                let certain = random.below(bounds.len());
                let coordinate = |(axis, &(low, high)): (usize, &(f64, f64))| {
                    let (draw, fresh) = (random.unit(), random.unit());
                    if axis != certain && draw >= search.recombination {
                        return points[at][axis];
                    }
                    let moved =
                        points[best][axis] + weight * (points[one][axis] - points[other][axis]);
                    // Outside of the bounds it starts anew.
                    if (low..=high).contains(&moved) {
                        moved
                    } else {
                        low + (high - low) * fresh
                    }
                };
                bounds.iter().enumerate().map(coordinate).collect()
            })
            .collect();
        let found = evaluate(function, &trials, map)?;
        for ((trial, value), (point, old)) in trials
            .into_iter()
            .zip(found)
            .zip(points.iter_mut().zip(&mut values))
        {
            if value <= *old {
                (*point, *old) = (trial, value);
            }
        }
        generations += 1;
    }
}

fn evaluate(
    function: &Function<'_>,
    points: &[Vec<f64>],
    map: &Map<'_>,
) -> Result<Vec<f64>, Failed> {
    let values = map.apply(function, points)?;
    if values.len() != points.len() {
        return Err(Failed::Map {
            points: points.len(),
            found: values.len(),
        });
    }
    Ok(values
        .into_iter()
        .map(|value| if value.is_nan() { f64::INFINITY } else { value })
        .collect())
}

/// Their standard deviation in parts of their mean.
fn spread(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    if variance == 0.0 {
        0.0
    } else {
        variance.sqrt() / mean.abs()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// Two different ones that are not `at`.
    fn two_but(&mut self, at: usize, count: usize) -> (usize, usize) {
        let one = (at + 1 + self.below(count - 1)) % count;
        loop {
            let other = (at + 1 + self.below(count - 1)) % count;
            if other != one {
                return (one, other);
            }
        }
    }
}
