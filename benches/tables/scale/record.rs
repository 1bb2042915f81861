//! Times of the tiles of one item, taken one by one on one core, round after round; and the program for the simulator that they make.
//!
//! Invariants: every round goes through the same stages and tiles in the same order; what a tile is said to take is the median of
//! its rounds times the mean ratio of its kind, so that its drawn times have it as their mean.

use super::simulate::{Program, Stage, Tile};
use crate::common::{Spread, spread};
use std::time::Instant;

/// The part of each kind's ratios that is left out at the upper end: times in which the machine, which is shared, did
/// something else.
const LEFT_OUT: f64 = 0.01;

/// One tile: its kind, and its time in each round.
struct Taken {
    kind: usize,
    times: Vec<f64>,
}

/// The times of one item.
#[derive(Default)]
pub struct Record {
    stages: Vec<Vec<Taken>>,
    /// Where the round is: the stages begun, and the tiles of the last one.
    at: (usize, usize),
}

impl Record {
    /// A round begins.
    pub fn round(&mut self) {
        self.at = (0, 0);
    }

    /// A stage begins.
    pub fn stage(&mut self) {
        self.at = (self.at.0 + 1, 0);
        if self.stages.len() < self.at.0 {
            self.stages.push(Vec::new());
        }
    }

    /// Computes a tile.
    pub fn tile<R>(&mut self, kind: usize, compute: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = compute();
        let time = start.elapsed().as_secs_f64();
        let stage = &mut self.stages[self.at.0 - 1];
        if stage.len() == self.at.1 {
            let times = Vec::new();
            stage.push(Taken { kind, times });
        }
        stage[self.at.1].times.push(time);
        self.at.1 += 1;
        result
    }

    fn tiles(&self) -> impl Iterator<Item = &Taken> {
        self.stages.iter().flatten()
    }

    /// How many tiles of that kind there are.
    pub fn count(&self, kind: usize) -> usize {
        self.tiles().filter(|tile| tile.kind == kind).count()
    }

    /// The medians of the tiles of that kind: how unlike they are.
    pub fn medians(&self, kind: usize) -> Spread {
        let tiles = self.tiles().filter(|tile| tile.kind == kind);
        spread(tiles.map(Taken::median).collect())
    }

    /// The sum of the tiles of that kind in each round.
    pub fn sums(&self, kind: usize) -> Spread {
        let mut sums: Vec<f64> = Vec::new();
        for tile in self.tiles().filter(|tile| tile.kind == kind) {
            sums.resize(tile.times.len(), 0.0);
            for (sum, time) in sums.iter_mut().zip(&tile.times) {
                *sum += time;
            }
        }
        spread(sums)
    }

    /// Times over the tile's median, of all tiles of that kind.
    pub fn ratios(&self, kind: usize) -> Vec<f64> {
        let mut ratios: Vec<f64> = self
            .tiles()
            .filter(|tile| tile.kind == kind)
            .flat_map(|tile| {
                let median = tile.median();
                tile.times.iter().map(move |time| time / median)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let kept = ((ratios.len() as f64 * (1.0 - LEFT_OUT)).ceil() as usize).max(1);
        ratios.truncate(kept);
        ratios
    }

    /// The program whose items are like this one; the rest of it is for the caller to say. Tiles of the kind `loops` are loops that
    /// are cut when they begin.
    pub fn program(&self, kinds: usize, loops: Option<usize>) -> Program {
        let mut ratios: Vec<Vec<f64>> = (0..kinds).map(|kind| self.ratios(kind)).collect();
        let means: Vec<f64> = ratios
            .iter()
            .map(|ratios| ratios.iter().sum::<f64>() / ratios.len().max(1) as f64)
            .collect();
        for (ratios, mean) in ratios.iter_mut().zip(&means) {
            ratios.iter_mut().for_each(|ratio| *ratio /= mean);
        }
        let stages = self.stages.iter().map(|stage| {
            let tiles: Vec<Tile> = stage
                .iter()
                .map(|tile| Tile {
                    seconds: tile.median() * means[tile.kind],
                    kind: tile.kind,
                })
                .collect();
            match tiles[..] {
                [tile] if Some(tile.kind) == loops => Stage::Loop(tile),
                _ => Stage::Tiles(tiles),
            }
        });
        Program {
            stages: stages.collect(),
            ratios,
            after: 0.0,
            after_nodes: 0.0,
            call: 0.0,
            tile: 0.0,
            wake: 0.0,
        }
    }
}

impl Taken {
    fn median(&self) -> f64 {
        spread(self.times.clone()).median
    }
}
