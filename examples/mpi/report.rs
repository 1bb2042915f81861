//! What the first rank tells: the result's digest, who computed it on which cores, and what it took.
//!
//! Invariant: a change that takes a field of the document away or gives it another meaning needs a new [`SCHEMA`].

use std::time::{Duration, Instant};

use serde::Serialize;
use threadctl::mpi::Sharing;

use super::Digest;
use super::ranks::Ranks;
use super::tree::Traffic;

/// The name and the version of the document.
pub const SCHEMA: &str = "threadctl.mpi/1";

/// What `--json` prints. `result` is what the program has found.
#[derive(Debug, Serialize)]
pub struct Document<R> {
    schema: &'static str,
    program: &'static str,
    /// Of the result, bit for bit: the same on any number of ranks.
    digest: String,
    ranks: usize,
    hosts: u32,
    /// The cores of each rank's own.
    rank_cores: Vec<u32>,
    /// The cores of all hosts together that the ranks may use.
    machine_cores: u32,
    /// Ranks of a host have cores in common, so times say nothing about more machines.
    oversubscribed: bool,
    /// The most cores that each rank has had at once for calls of BLAS: more than its own where others rested.
    rank_peaks: Vec<u32>,
    /// How the ranks of a node share: `made`, `found`, `refused`.
    sharing: &'static str,
    /// The workers of each rank's pool.
    width: u32,
    iterations: usize,
    seconds: Seconds,
    /// What all ranks put into the reductions of one iteration.
    reduced_bytes: u64,
    /// In how many parts.
    reduced_messages: u64,
    result: R,
}

/// Times. All but the first are of one iteration, the median of all; each is that of the rank that took longest.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seconds {
    /// Until every rank had its part of the data.
    pub read: f64,
    /// Until it had computed its part.
    pub compute: f64,
    /// For ranks that had more to do.
    pub wait: f64,
    /// From when all were there until each had the whole.
    pub reduce: f64,
    /// All of it.
    pub total: f64,
}

/// Measures a rank's iterations.
#[derive(Debug)]
pub struct Clock {
    begun: Instant,
    read: Duration,
    laps: Vec<[Duration; 4]>,
}

impl Clock {
    /// Begins with reading.
    #[must_use]
    pub fn begin() -> Self {
        Clock {
            begun: Instant::now(),
            read: Duration::ZERO,
            laps: Vec::new(),
        }
    }

    /// The data is there.
    pub fn has_read(&mut self) {
        self.read = self.begun.elapsed();
    }

    /// An iteration: what it computes, and what it reduces when all ranks have come.
    pub fn iteration<C, R>(
        &mut self,
        ranks: &Ranks,
        compute: impl FnOnce() -> C,
        reduce: impl FnOnce(C) -> R,
    ) -> R {
        let begun = Instant::now();
        let computed = compute();
        let at_compute = begun.elapsed();
        threadctl::mpi::meet(ranks.world());
        let at_wait = begun.elapsed();
        let reduced = reduce(computed);
        let total = begun.elapsed();
        let lap = [at_compute, at_wait - at_compute, total - at_wait, total];
        self.laps.push(lap);
        reduced
    }

    /// What it took. All ranks ask.
    #[must_use]
    pub fn seconds(&self, ranks: &Ranks) -> Seconds {
        let own: Vec<f64> = std::iter::once(&self.read)
            .chain(self.laps.iter().flatten())
            .map(Duration::as_secs_f64)
            .collect();
        let all = ranks.largest(&own);
        let (read, laps) = all
            .split_first()
            .map_or((0.0, &[][..]), |(read, laps)| (*read, laps));
        let [compute, wait, reduce, total] =
            [0, 1, 2, 3].map(|part| median(laps.iter().skip(part).step_by(4).copied().collect()));
        Seconds {
            read,
            compute,
            wait,
            reduce,
            total,
        }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let middle = times.len() / 2;
    match times.get(middle) {
        None => 0.0,
        Some(upper) if times.len() % 2 == 1 => *upper,
        Some(upper) => (times[middle - 1] + upper) / 2.0,
    }
}

impl<R: Serialize> Document<R> {
    /// Put together.
    #[must_use]
    pub fn new(
        program: &'static str,
        ranks: &Ranks,
        digest: Digest,
        clock: &Clock,
        traffic: Traffic,
        result: R,
    ) -> Self {
        Document {
            schema: SCHEMA,
            program,
            digest: format!("{:016x}", digest.value()),
            ranks: ranks.count(),
            hosts: ranks.node.hosts(),
            rank_cores: ranks.cores.clone(),
            machine_cores: ranks.machine,
            oversubscribed: ranks.oversubscribed,
            rank_peaks: ranks.each(threadctl::budget::status().peak),
            sharing: match ranks.node.sharing() {
                Sharing::Made => "made",
                Sharing::Found => "found",
                _ => "refused",
            },
            width: ranks.width,
            iterations: clock.laps.len(),
            seconds: clock.seconds(ranks),
            reduced_bytes: traffic.bytes,
            reduced_messages: traffic.messages,
            result,
        }
    }

    /// As JSON, or in words after what the program says of its result.
    ///
    /// # Errors
    /// The result cannot be written as JSON.
    pub fn show(&self, json: bool, result: &str) -> Result<String, serde_json::Error> {
        if json {
            return serde_json::to_string_pretty(self);
        }
        let cores: Vec<String> = self.rank_cores.iter().map(u32::to_string).collect();
        let label = if self.oversubscribed {
            "; OVERSUBSCRIBED: ranks have cores in common, so the times are no measure of scaling"
        } else {
            ""
        };
        let seconds = &self.seconds;
        Ok(format!(
            "{result}\n\
             {} rank(s) on {} host(s): {} of {} core(s), pools of {}, budget {}{label}\n\
             seconds: read {:.3}; of {} iteration(s), the median: compute {:.5}, wait {:.5}, reduce {:.5}, all {:.5}\n\
             reduced in each: {} bytes in {} part(s)\n\
             digest {}",
            self.ranks,
            self.hosts,
            cores.join(" + "),
            self.machine_cores,
            self.width,
            self.sharing,
            seconds.read,
            self.iterations,
            seconds.compute,
            seconds.wait,
            seconds.reduce,
            seconds.total,
            self.reduced_bytes,
            self.reduced_messages,
            self.digest,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_ones() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
