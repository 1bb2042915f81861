//! The time line cut into stretches that can be seen, and the series that are stacked. Pure.
//!
//! Invariants: stretches follow each other without gaps that the report does not have; a series has a value for every stretch;
//! every thread of the report is in some series, so the stack's height is the number of runnable threads.

use std::collections::{BTreeMap, HashMap};

use super::data::{Group, Picture, Point};

/// The most stretches: each is then three points wide.
const MOST: f64 = 240.0;

/// The kernel counts waiting at its clock's ticks, so that in less time than this, in seconds, there is none or too much.
const COARSE: f64 = 0.04;

/// The most series; of more groups the last ones are added up.
const SERIES: usize = 10;

/// What is stacked.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Its name; of several groups, how many they are.
    pub(super) name: String,
    pub(super) threads: u32,
    pub(super) cpu_seconds: f64,
    pub(super) wait_seconds: f64,
    pub(super) is_guess: bool,
    /// Runnable threads in each stretch, on average over the looks in it.
    pub(super) values: Vec<f64>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bin {
    pub(super) from: f64,
    pub(super) to: f64,
    /// The most runnable threads in one look.
    pub(super) peak: u32,
    /// Threads that waited for a core, on average.
    pub(super) waiting: f64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Bins {
    pub(super) bins: Vec<Bin>,
    /// From the bottom of the stack up.
    pub(super) series: Vec<Series>,
}

impl Bins {
    pub(super) fn of(picture: &Picture) -> Self {
        Self::with(picture, MOST)
    }

    /// The same in at most so many stretches.
    pub(super) fn with(picture: &Picture, most: f64) -> Self {
        let stretches = stretches(&picture.timeline, least(picture.length(), most));
        let (mut series, place) = series(&picture.who, &picture.timeline);
        let bins = stretches.iter().map(|points| bin(points)).collect();
        for points in &stretches {
            let mut sums = vec![0.0; series.len()];
            for point in *points {
                for (name, mean) in &point.groups_mean {
                    let at = place
                        .get(name.as_str())
                        .copied()
                        .unwrap_or(series.len() - 1);
                    if let Some(sum) = sums.get_mut(at) {
                        *sum += mean * point.seconds;
                    }
                }
            }
            let seconds = seconds(points);
            for (series, sum) in series.iter_mut().zip(sums) {
                series.values.push(sum / seconds);
            }
        }
        Bins { bins, series }
    }

    /// The height of the stack in each stretch.
    pub(super) fn heights(&self) -> Vec<f64> {
        let mut heights = vec![0.0; self.bins.len()];
        for series in &self.series {
            for (height, value) in heights.iter_mut().zip(&series.values) {
                *height += value;
            }
        }
        heights
    }
}

/// The shortest stretch.
fn least(length: f64, most: f64) -> f64 {
    (length / most).max(COARSE.min(length / 10.0))
}

/// Neighbouring points that make a stretch each. What is left at the end belongs to the last one.
fn stretches(points: &[Point], least: f64) -> Vec<&[Point]> {
    let mut all = Vec::new();
    let (mut begins, mut ends, mut sum) = (0, 0, 0.0);
    for (at, point) in points.iter().enumerate() {
        sum += point.seconds;
        // A sum of many is a little off.
        if sum >= least * 0.999 {
            all.push((begins, at + 1));
            (begins, ends, sum) = (at + 1, at + 1, 0.0);
        }
    }
    if ends < points.len() && sum > 0.0 {
        match all.last_mut() {
            Some((_, end)) => *end = points.len(),
            None => all.push((begins, points.len())),
        }
    }
    all.into_iter()
        .filter_map(|(from, to)| points.get(from..to))
        .collect()
}

fn seconds(points: &[Point]) -> f64 {
    let sum: f64 = points.iter().map(|point| point.seconds).sum();
    sum.max(1e-9)
}

fn bin(points: &[Point]) -> Bin {
    let from = points.first().map_or(0.0, |point| point.at);
    let waited: f64 = points
        .iter()
        .map(|point| point.waiting * point.seconds)
        .sum();
    Bin {
        from,
        to: points.last().map_or(from, |point| point.at + point.seconds),
        peak: points.iter().map(|point| point.runnable).max().unwrap_or(0),
        waiting: waited / seconds(points),
    }
}

/// The series, and which of them a group belongs to. What belongs to none of them belongs to the last one.
fn series<'a>(who: &'a [Group], points: &[Point]) -> (Vec<Series>, HashMap<&'a str, usize>) {
    // Those that are there most of the time, in the order of the report: it is the one of the table.
    let mut seen: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points {
        for (name, mean) in &point.groups_mean {
            *seen.entry(name).or_default() += mean * point.seconds;
        }
    }
    let nameless = seen
        .keys()
        .any(|name| who.iter().all(|group| group.name != **name));
    let shown = if who.len() + usize::from(nameless) > SERIES {
        SERIES - 1
    } else {
        who.len()
    };
    let (named, rest) = who.split_at(shown);
    let mut all: Vec<Series> = named
        .iter()
        .map(|group| of(std::slice::from_ref(group), group.name.clone()))
        .collect();
    let place = named
        .iter()
        .enumerate()
        .map(|(at, group)| (group.name.as_str(), at))
        .collect();
    if !rest.is_empty() {
        all.push(of(rest, format!("{} others", rest.len())));
    } else if nameless || all.is_empty() {
        all.push(of(rest, "not known yet".to_owned()));
    }
    (all, place)
}

fn of(groups: &[Group], name: String) -> Series {
    Series {
        name,
        threads: groups.iter().map(|group| group.threads).sum(),
        cpu_seconds: groups.iter().map(|group| group.cpu_seconds).sum(),
        wait_seconds: groups.iter().map(|group| group.wait_seconds).sum(),
        is_guess: groups.iter().any(|group| group.guessed > 0),
        values: Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    fn point(at: f64, seconds: f64, groups: &[(&str, f64)]) -> serde_json::Value {
        let groups: BTreeMap<_, _> = groups.iter().copied().collect();
        json!({"at": at, "seconds": seconds, "runnable": 5, "waiting": 1.0, "groups_mean": groups})
    }

    fn picture(groups: usize, points: Vec<serde_json::Value>) -> Picture {
        let who: Vec<_> = (0..groups)
            .map(|at| json!({"name": format!("g{at}"), "threads": 2, "cpu_seconds": 1.0}))
            .collect();
        Picture::of(json!({"schema": "threadctl.run/1", "who": who, "timeline": points})).unwrap()
    }

    #[test]
    fn any_number_of_points_makes_stretches_that_can_be_seen_and_loses_no_time() {
        for (count, length) in [
            (1, 0.001),
            (3, 0.2),
            (10, 0.2),
            (100, 2.0),
            (1024, 20.0),
            (1000, 3600.0),
        ] {
            let each = length / f64::from(count);
            let points = (0..count)
                .map(|at| point(f64::from(at) * each, each, &[("g0", 2.0)]))
                .collect();
            let bins = Bins::of(&picture(1, points));
            assert!(
                (1..=241).contains(&bins.bins.len()),
                "{count}: {}",
                bins.bins.len()
            );
            let covered: f64 = bins.bins.iter().map(|bin| bin.to - bin.from).sum();
            assert!(
                (covered - length).abs() < length * 1e-6,
                "{covered} of {length}"
            );
            assert!(
                bins.heights()
                    .iter()
                    .all(|height| (height - 2.0).abs() < 1e-9)
            );
            assert!(
                bins.bins
                    .is_sorted_by(|one, next| (one.to - next.from).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn a_stretch_is_the_mean_by_time_and_remembers_the_most() {
        let points = vec![
            point(0.0, 0.03, &[("g0", 1.0)]),
            point(0.03, 0.01, &[("g0", 5.0), ("g1", 4.0)]),
            point(0.04, 0.96, &[]),
        ];
        let bins = Bins::of(&picture(2, points));
        assert_eq!(bins.bins.len(), 2);
        let first: Vec<f64> = bins.series.iter().map(|series| series.values[0]).collect();
        assert!(
            (first[0] - 2.0).abs() < 1e-9 && (first[1] - 1.0).abs() < 1e-9,
            "{first:?}"
        );
        assert_eq!(bins.bins[0].peak, 5);
    }

    #[test]
    fn many_groups_are_added_up_and_strangers_are_not_lost() {
        let all: Vec<String> = (0..14).map(|at| format!("g{at}")).collect();
        let groups: Vec<(&str, f64)> = all.iter().map(|name| (name.as_str(), 1.0)).collect();
        let bins = Bins::of(&picture(12, vec![point(0.0, 1.0, &groups)]));
        assert_eq!(bins.series.len(), SERIES);
        assert_eq!(bins.series.last().unwrap().name, "3 others");
        assert_eq!(bins.series.last().unwrap().threads, 6);
        assert_eq!(bins.heights(), [14.0]);
        let bins = Bins::of(&picture(0, vec![point(0.0, 1.0, &[("new", 3.0)])]));
        assert_eq!(bins.heights(), [3.0]);
        assert!(Bins::of(&picture(0, vec![])).bins.is_empty());
    }
}
