//! Times of calls, on one core and shared, in turn; and how much of the machine others take.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use threadctl::dispatch::Blas;
use threadctl::dispatch::tuning::{Family, Least};

use super::calls::{self, Operands};
use super::search::{self, GAIN, median_and_spread};

/// So long one timing is at least, so that the clock does not matter.
const TIMING: f64 = 300e-6;
/// The fewest timings of either way.
const TIMINGS: usize = 7;
/// How often a size is timed again whose times differ.
const TRIES: u32 = 3;
/// How long the cores are watched.
const WATCHED: Duration = Duration::from_millis(20);

/// What is measured, and how thoroughly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) quick: bool,
    /// By how much times may differ, as a part of them.
    pub(crate) max_noise: f64,
}

impl Effort {
    fn for_each_size(self) -> Duration {
        Duration::from_millis(if self.quick { 30 } else { 250 })
    }
}

/// One size of one family.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Point {
    /// Rows and columns, or elements.
    pub(crate) size: usize,
    /// How much that is, in the family's unit.
    pub(crate) amount: usize,
    /// Seconds of a call.
    pub(crate) alone: f64,
    pub(crate) shared: f64,
    /// The distance between the quartiles of `alone`, as a part of it.
    pub(crate) spread: f64,
}

impl Point {
    /// How many times as fast it is when shared.
    pub(crate) fn gain(&self) -> f64 {
        self.alone / self.shared
    }
}

/// What was found out of a family.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) family: Family,
    /// From so much on it is worth sharing.
    pub(crate) least: usize,
    /// The sizes that were looked at, in their order.
    pub(crate) points: Vec<Point>,
}

/// Finds from where on calls of a family are worth sharing.
pub(crate) fn family(blas: &Blas, family: Family, effort: Effort) -> Result<Found> {
    let sizes = calls::sizes(family, effort.quick);
    let mut operands = Operands::new(family, sizes.last().copied().unwrap_or(0));
    let mut points: Vec<Option<Point>> = vec![None; sizes.len()];
    let first = search::first(sizes.len(), |index| {
        let point = match &points[index] {
            Some(point) => point,
            None => {
                let point = point(blas, family, sizes[index], &mut operands, effort)?;
                points[index].insert(point)
            }
        };
        Ok(point.gain() >= GAIN)
    })?;
    Ok(Found {
        family,
        least: first.map_or(Least::NEVER, |index| calls::amount(family, sizes[index])),
        points: points.into_iter().flatten().collect(),
    })
}

fn point(
    blas: &Blas,
    family: Family,
    size: usize,
    operands: &mut Operands,
    effort: Effort,
) -> Result<Point> {
    let amount = calls::amount(family, size);
    // Sharing as it would be if this were the smallest size that is shared.
    let ways = [Least::NEVER, amount]
        .map(|least| blas.with_least(blas.least().clone().with(family, least)));
    let mut tries = 1;
    loop {
        let long = effort.for_each_size() * tries;
        let [mut alone, mut shared] = times(&ways, family, size, operands, long)?;
        let (alone, spread) = median_and_spread(&mut alone);
        let (shared, _) = median_and_spread(&mut shared);
        if spread <= effort.max_noise || tries == TRIES {
            return Ok(Point {
                size,
                amount,
                alone,
                shared,
                spread,
            });
        }
        tries += 1;
    }
}

/// Seconds of a call either way, timing by timing.
fn times(
    ways: &[Blas; 2],
    family: Family,
    size: usize,
    operands: &mut Operands,
    at_least: Duration,
) -> Result<[Vec<f64>; 2]> {
    let mut run = |way: &Blas, calls: u32| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..calls {
            operands.call(way, family, size)?;
        }
        Ok(start.elapsed().as_secs_f64() / f64::from(calls))
    };
    // Whoever helps wakes up, and the operands come into the caches.
    run(&ways[1], 2)?;
    let once = run(&ways[0], 2)?;
    let calls = (TIMING / once).ceil().clamp(1.0, 10_000.0) as u32;
    let mut times = [Vec::new(), Vec::new()];
    let start = Instant::now();
    while times[0].len() < TIMINGS || start.elapsed() < at_least {
        for (way, times) in ways.iter().zip(&mut times) {
            times.push(run(way, calls)?);
        }
    }
    Ok(times)
}

/// Which part of the time others had one of `cores` cores, at the core where that was most: as many threads as there are
/// cores compute for a while, and look how much of it they got.
pub(crate) fn taken_by_others(cores: usize) -> f64 {
    let watch = || {
        let (start, before) = (Instant::now(), own_time());
        while start.elapsed() < WATCHED {
            std::hint::spin_loop();
        }
        let all = start.elapsed().as_secs_f64();
        (1.0 - (own_time() - before) / all).max(0.0)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(watch)).collect();
        let parts = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(1.0));
        parts.fold(0.0, f64::max)
    })
}

/// Seconds that the calling thread had a core.
fn own_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
