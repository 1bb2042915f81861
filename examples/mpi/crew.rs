//! A rank's pool: as many workers as its BLAS calls could be helped by, of which as many as it has cores work at once.
//!
//! A call of BLAS is cut for the whole pool, and helpers need a token of the node's budget; so a rank whose neighbours rest gets
//! their cores for its calls. Loops of rayon need no token. So that they stay within the rank's own cores, they are run in lanes: as
//! many tasks as cores, each of which takes one item after the other.
//!
//! Invariants: no more lanes run at once than the rank has cores; results are in the order of the items.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use threadctl::dispatch::Pool;

/// A rank's workers.
#[derive(Debug)]
pub struct Crew {
    pool: Pool,
    lanes: usize,
    running: AtomicUsize,
}

impl Crew {
    /// So many workers, of a rank with so many cores of its own.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(workers: u32, cores: u32) -> threadctl::Result<Self> {
        Ok(Crew {
            pool: Pool::new(workers)?,
            lanes: usize::try_from(cores.min(workers)).unwrap_or(1),
            running: AtomicUsize::new(0),
        })
    }

    /// Does `work` for each item.
    pub fn each<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let lane = |_| {
            // Relaxed, here and below: numbers that go with no data.
            self.running.fetch_add(1, Ordering::Relaxed);
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { break };
                done.push((index, work(item)));
            }
            self.running.fetch_sub(1, Ordering::Relaxed);
            done
        };
        let mut done: Vec<(usize, R)> = self.pool.rayon().install(|| {
            let lanes = (0..self.lanes).into_par_iter().with_max_len(1);
            lanes.flat_map_iter(lane).collect()
        });
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// Into how many pieces a loop inside a lane is to be cut: the rank's cores, over the lanes that run now.
    pub fn pieces(&self) -> usize {
        (self.lanes / self.running.load(Ordering::Relaxed).max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn results_are_in_order_and_no_more_lanes_run_than_cores() {
        let crew = Crew::new(4, 2).unwrap();
        let most = AtomicUsize::new(0);
        let items: Vec<usize> = (0..200).collect();
        let squares = crew.each(&items, |item| {
            most.fetch_max(crew.running.load(Ordering::Relaxed), Ordering::Relaxed);
            assert!((1..=2).contains(&crew.pieces()));
            item * item
        });
        assert!(
            squares
                .iter()
                .enumerate()
                .all(|(index, square)| index * index == *square)
        );
        assert!((1..=2).contains(&most.into_inner()));
        assert_eq!(crew.each(&[0; 0], |item| *item), [0; 0]);
    }
}
