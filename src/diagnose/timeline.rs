//! What happened when: runnable threads by group and run-queue wait, along the run, and whatever else is looked at as often. Pure.
//!
//! Invariant: at most [`POINTS`] points, however long the run is: when there are more, each two neighbours become one that
//! stands for both of their times, so that all points cover the same stretch but for the last one.

use std::collections::BTreeMap;

/// The most points that are kept.
const POINTS: usize = 1024;

/// One stretch of the run.
///
/// ```
/// let point = threadctl::diagnose::Point::default();
/// assert_eq!(point.runnable, 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Point {
    /// When it begins, in seconds from the start.
    pub at: f64,
    /// How long it is, in seconds.
    pub seconds: f64,
    /// The most threads that a look found running or waiting for a CPU.
    pub runnable: u32,
    /// How many CPUs were in use, on average.
    pub running: f64,
    /// How many threads waited for a CPU, on average.
    pub waiting: f64,
    /// The runnable threads by group, in the look that found the most.
    pub groups: BTreeMap<String, u32>,
    /// The runnable threads by group, on average over the looks, each of which counts for the time since the one before.
    pub groups_mean: BTreeMap<String, f64>,
}

/// What a [`Timeline`] is made of: a stretch of time and what was seen in it.
///
/// ```
/// use threadctl::diagnose::{Stretch, Timeline};
/// struct Seconds(f64);
/// impl Stretch for Seconds {
///     fn join(self, next: Self) -> Self {
///         Self(self.0 + next.0)
///     }
/// }
/// let mut timeline = Timeline::default();
/// (0..5000).for_each(|_| timeline.add(Seconds(0.5)));
/// assert!(timeline.points().len() <= 1024);
/// assert_eq!(timeline.points().iter().map(|point| point.0).sum::<f64>(), 2500.0);
/// ```
pub trait Stretch {
    /// One that stands for this one and the one after it.
    #[must_use]
    fn join(self, next: Self) -> Self;
}

impl Stretch for Point {
    fn join(self, next: Point) -> Point {
        let seconds = self.seconds + next.seconds;
        let mean = |own: f64, other: f64| {
            if seconds > 0.0 {
                (own * self.seconds + other * next.seconds) / seconds
            } else {
                0.0
            }
        };
        let running = mean(self.running, next.running);
        let waiting = mean(self.waiting, next.waiting);
        let mut groups_mean = BTreeMap::new();
        let names = self.groups_mean.keys().chain(next.groups_mean.keys());
        for name in names {
            let of = |point: &Point| point.groups_mean.get(name).copied().unwrap_or(0.0);
            groups_mean.insert(name.clone(), mean(of(&self), of(&next)));
        }
        let (at, larger) = (
            self.at,
            if next.runnable > self.runnable {
                next
            } else {
                self
            },
        );
        Point {
            at,
            seconds,
            runnable: larger.runnable,
            running,
            waiting,
            groups: larger.groups,
            groups_mean,
        }
    }
}

/// The points so far: at most 1,024, however many are added.
///
/// ```
/// use threadctl::diagnose::{Point, Timeline};
/// let mut timeline = Timeline::default();
/// timeline.add(Point::default());
/// assert_eq!(timeline.points().len(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct Timeline<P> {
    points: Vec<P>,
    /// How many looks make a full point.
    looks: u32,
    /// How many are in the last one.
    in_last: u32,
}

impl<P> Default for Timeline<P> {
    fn default() -> Self {
        Timeline {
            points: Vec::new(),
            looks: 1,
            in_last: 1,
        }
    }
}

impl<P: Stretch> Timeline<P> {
    /// The stretch after those that there are.
    ///
    /// ```
    /// # use threadctl::diagnose::{Point, Timeline};
    /// let mut timeline = Timeline::default();
    /// timeline.add(Point::default());
    /// ```
    pub fn add(&mut self, point: P) {
        if self.in_last < self.looks
            && let Some(last) = self.points.pop()
        {
            self.points.push(last.join(point));
            self.in_last += 1;
            return;
        }
        if self.points.len() >= POINTS {
            let mut points = std::mem::take(&mut self.points).into_iter();
            while let Some(first) = points.next() {
                self.points.push(match points.next() {
                    Some(second) => first.join(second),
                    None => first,
                });
            }
            self.looks *= 2;
        }
        self.points.push(point);
        self.in_last = 1;
    }

    /// In the order of time.
    ///
    /// ```
    /// # use threadctl::diagnose::{Point, Timeline};
    /// assert!(Timeline::<Point>::default().points().is_empty());
    /// ```
    pub fn points(&self) -> &[P] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_looks_fits_and_no_peak_and_no_time_is_lost() {
        for count in [0, 1, 1023, 1024, 1025, 5000, 100_000] {
            let mut timeline = Timeline::default();
            for index in 0..count {
                timeline.add(Point {
                    at: f64::from(index),
                    seconds: 1.0,
                    runnable: if index == count / 3 { 77 } else { 2 },
                    running: 2.0,
                    waiting: f64::from(index % 2),
                    groups: BTreeMap::new(),
                    groups_mean: BTreeMap::from([(format!("g{}", index % 3), 1.0)]),
                });
            }
            let points = timeline.points();
            assert!(points.len() <= POINTS);
            let sum = |value: fn(&Point) -> f64| points.iter().map(value).sum::<f64>();
            assert_eq!(sum(|point| point.seconds), f64::from(count));
            let waited = sum(|point| point.seconds * point.waiting);
            assert!((waited - f64::from(count / 2)).abs() < 1e-6, "{waited}");
            let threads = sum(|point| point.seconds * point.groups_mean.values().sum::<f64>());
            assert!((threads - f64::from(count)).abs() < 1e-6, "{threads}");
            if count > 0 {
                assert_eq!(points.iter().map(|point| point.runnable).max(), Some(77));
            }
            assert!(points.is_sorted_by(|one, next| one.at + one.seconds <= next.at + 1e-9));
        }
    }
}
