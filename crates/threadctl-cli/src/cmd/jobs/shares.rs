//! Who starts when, on how many cores. Pure: time is given.
//!
//! Invariants, tested by simulation: the widths of the jobs that run never add up to more than the cores, unless more are
//! to run at once than there are cores (then each has one); never more run than at once; while jobs are left and a place and
//! a core are free, a start is put off only where fewer are left than run at once, and for a tenth of a job's time at most.

use std::time::Duration;

use threadctl::split;

/// Fewer jobs than places are left: a core that is free waits so long for the next one, so that those who are left share
/// both. A part of the mean time of the jobs so far; what it costs where the others take longer is that part of one
/// core, once for each of the last jobs.
const PATIENCE: u32 = 10;

/// The cores, and what is known of the jobs.
#[derive(Debug)]
pub(super) struct Shares {
    cores: u32,
    at_once: u32,
    running: u32,
    /// What the running ones have.
    used: u32,
    ended: u32,
    took: Duration,
    /// Since when a start is put off.
    waiting: Option<Duration>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start jobs, one of each width.
    Start(Vec<u32>),
    /// Nothing, until a job ends or this time has come.
    Until(Duration),
    /// Nothing, until a job ends.
    Nothing,
}

impl Shares {
    pub(super) fn new(cores: u32, at_once: u32) -> Self {
        Shares {
            cores: cores.max(1),
            at_once: at_once.max(1),
            running: 0,
            used: 0,
            ended: 0,
            took: Duration::ZERO,
            waiting: None,
        }
    }

    /// At the time `now`, with so many jobs left to start; `oldest` is for how long the oldest of those that run has run.
    pub(super) fn next(&mut self, now: Duration, left: usize, oldest: Duration) -> Next {
        let places = self.at_once.saturating_sub(self.running);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        if left.min(places) == 0 {
            return Next::Nothing;
        }
        if self.at_once > self.cores {
            return Next::Start(vec![1; usize::try_from(left.min(places)).unwrap_or(1)]);
        }
        let free = self.cores.saturating_sub(self.used);
        if free == 0 {
            return Next::Nothing;
        }
        if self.running > 0 && left < self.at_once {
            let mean = self.took / self.ended.max(1);
            let patience = mean / PATIENCE;
            let begun = *self.waiting.get_or_insert(now);
            // Nobody is expected to end before the patience does.
            let hopeless = oldest + patience < mean;
            if !hopeless && now < begun + patience {
                return Next::Until(begun + patience);
            }
        }
        self.waiting = None;
        let count = left.min(places).min(free);
        Next::Start(
            split(free, usize::try_from(count).unwrap_or(1))
                .widths()
                .collect(),
        )
    }

    pub(super) fn started(&mut self, width: u32) {
        self.running += 1;
        self.used += width;
    }

    pub(super) fn ended(&mut self, width: u32, took: Duration) {
        self.running = self.running.saturating_sub(1);
        self.used = self.used.saturating_sub(width);
        self.ended = self.ended.saturating_add(1);
        self.took = self.took.saturating_add(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs jobs whose work is in core-seconds, and that use all cores that they get; returns the widths in the order of their
    /// starts, and the time at the end.
    fn simulate(cores: u32, at_once: u32, work: &[f64]) -> (Vec<u32>, f64) {
        let mut shares = Shares::new(cores, at_once);
        let (mut now, mut next_job) = (Duration::ZERO, 0);
        let mut running: Vec<(Duration, Duration, u32)> = Vec::new();
        let mut widths = Vec::new();
        loop {
            let oldest = running
                .iter()
                .map(|job| now - job.0)
                .max()
                .unwrap_or_default();
            let mut timer = None;
            match shares.next(now, work.len() - next_job, oldest) {
                Next::Start(starts) => {
                    assert!(!starts.is_empty());
                    for width in starts {
                        let took = Duration::from_secs_f64(work[next_job] / f64::from(width));
                        shares.started(width);
                        running.push((now, now + took, width));
                        widths.push(width);
                        next_job += 1;
                    }
                    let used: u32 = running.iter().map(|job| job.2).sum();
                    assert!(used <= cores.max(at_once), "{running:?}");
                    assert!(running.len() <= at_once as usize);
                    assert!(at_once > cores || used <= cores, "{running:?}");
                    continue;
                }
                Next::Until(time) => {
                    assert!(time > now && !running.is_empty());
                    timer = Some(time);
                }
                Next::Nothing => {}
            }
            let Some(end) = running.iter().map(|job| job.1).min() else {
                assert_eq!(next_job, work.len(), "jobs are left and nothing runs");
                return (widths, now.as_secs_f64());
            };
            now = timer.map_or(end, |timer| timer.min(end));
            if now == end {
                let at = running.iter().position(|job| job.1 == end);
                let (begun, end, width) = running.remove(at.unwrap_or_default());
                shares.ended(width, end - begun);
            }
        }
    }

    #[test]
    fn a_full_queue_has_one_core_each_and_fewer_jobs_share_all() {
        assert_eq!(simulate(4, 4, &[1.0; 8]).0, [1; 8]);
        assert_eq!(simulate(8, 8, &[1.0; 3]).0, [3, 3, 2]);
        assert_eq!(simulate(8, 2, &[1.0; 4]).0, [4; 4]);
        assert_eq!(simulate(2, 5, &[1.0; 7]).0, [1; 7]);
        assert_eq!(simulate(1, 1, &[1.0; 2]).0, [1; 2]);
        assert_eq!(simulate(4, 4, &[]).0, [0; 0]);
    }

    #[test]
    fn the_last_jobs_share_the_cores_of_those_that_ended_before() {
        // Three waves of four, and one job that would have one core of four.
        let (widths, time) = simulate(4, 4, &[1.0; 13]);
        assert_eq!(widths[12], 4);
        assert!((time - 3.25).abs() < 1e-6, "{time}");
        // Alike within a few per cent, as real ones are.
        let work: Vec<f64> = (0..13).map(|job| 1.0 + f64::from(job % 5) * 0.01).collect();
        let (widths, time) = simulate(4, 4, &work);
        assert_eq!(widths[12], 4, "{widths:?}");
        assert!(time < 3.5, "{time}");
    }

    #[test]
    fn jobs_of_any_length_wait_little() {
        // Pseudo-random lengths over two orders of magnitude; the bound is all work on all cores.
        let mut state = 12_345_u32;
        for (cores, at_once) in [(2, 2), (3, 2), (8, 8), (16, 5), (64, 64)] {
            for count in [1, 2, 5, 17, 100] {
                let work: Vec<f64> = (0..count)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        0.1 * f64::from(1 + (state >> 24) % 100)
                    })
                    .collect();
                let (widths, time) = simulate(cores, at_once, &work);
                assert_eq!(widths.len(), count);
                let (sum, longest) = work.iter().fold((0.0, 0.0_f64), |(sum, most), own| {
                    (sum + own, most.max(*own))
                });
                let least = sum / f64::from(cores);
                // List scheduling stays below the bound and one more job (R. L. Graham, 1966); with patience, a tenth more.
                assert!(
                    time <= (least + longest) * 1.1 + 1e-6,
                    "{cores} {at_once} {count}: {time}"
                );
            }
        }
    }

    #[test]
    fn nobody_waits_for_a_job_that_has_just_begun() {
        let mut shares = Shares::new(2, 2);
        shares.started(1);
        shares.started(1);
        shares.ended(1, SECOND * 10);
        assert_eq!(shares.next(SECOND * 10, 1, SECOND), Next::Start(vec![1]));
        assert_eq!(
            shares.next(SECOND * 10, 1, SECOND * 95 / 10),
            Next::Until(SECOND * 11)
        );
        assert_eq!(
            shares.next(SECOND * 11, 1, SECOND * 11),
            Next::Start(vec![1])
        );
    }
}
