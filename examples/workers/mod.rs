//! SciPy's `workers=`: Fourier transforms over axes, and differential evolution whose population the workers evaluate.
//!
//! Invariant: the number of workers changes how long something takes, never its result; but where the function that is evaluated calls
//! BLAS, its values, and so the result, repeat bit for bit only on pools of one size.

pub mod evolution;
pub mod fft;

use rayon::prelude::*;
use threadctl::Workers;
use threadctl::dispatch::{Pool, region_in};

/// What evaluates many points: an integer's worth of workers, a pool, or a map of the caller's.
pub enum Map<'a> {
    /// So many workers, or those of a pool.
    Workers(Workers<'a>),
    /// Gets the function and the points, and gives the values in the order of the points.
    With(&'a MapLike),
}

/// A map of the caller's: over processes, machines, or one after the other.
pub type MapLike = dyn Fn(&Function<'_>, &[Vec<f64>]) -> Vec<f64>;
/// What is evaluated. It may call BLAS.
pub type Function<'f> = dyn Fn(&[f64]) -> f64 + Sync + 'f;

impl Map<'_> {
    /// The values at all points, in order.
    ///
    /// # Errors
    /// The workers cannot be started.
    pub fn apply(
        &self,
        function: &Function<'_>,
        points: &[Vec<f64>],
    ) -> threadctl::Result<Vec<f64>> {
        match self {
            Map::Workers(workers) => on(*workers, || {
                points.par_iter().map(|point| function(point)).collect()
            }),
            Map::With(map) => Ok(map(function, points)),
        }
    }
}

/// Runs `work` on so many workers. BLAS calls in it use one thread each while all of them are busy.
fn on<R: Send>(workers: Workers<'_>, work: impl FnOnce() -> R + Send) -> threadctl::Result<R> {
    match workers.as_pool() {
        Some(pool) => {
            let _region = region_in(pool)?;
            Ok(pool.install(work))
        }
        None => Pool::new(workers)?.install(work),
    }
}
