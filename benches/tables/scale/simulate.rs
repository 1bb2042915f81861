//! How long a program takes on many nodes, by simulation (pure): nodes with so many workers, each its share of the items, tiles of
//! measured times, and what nodes have to tell each other.
//!
//! A node is simulated event by event, as rayon and dispatch run it. A free worker begins an item; it goes through the item's
//! stages, whose tiles anybody may compute who has nothing to begin, and waits for these without doing something else. Nodes are
//! alike and begin together; the last one decides. The pool's cost for a call and for a tile is added. What the nodes tell each
//! other comes afterwards.
//!
//! Invariants: the same arguments give the same bits, however many threads simulate; the terms of a run add up to its time;
//! where tiles take their mean, fall evenly on the workers and cost nothing to hand out, a run takes the work over the workers.

use super::collectives::{Exchange, Fabric};
use rayon::prelude::*;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A piece of work that one worker does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// What it takes in the mean.
    pub seconds: f64,
    /// Which of the program's ratios it is spread by.
    pub kind: usize,
}

/// What is done at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// These tiles, by anybody.
    Tiles(Vec<Tile>),
    /// A loop that is cut when it begins: into as many parts as there are workers for each item under way.
    Loop(Tile),
}

/// What is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What each item goes through. A stage begins when the one before it has ended.
    pub stages: Vec<Stage>,
    /// For each kind of tile, times over their mean, one drawn for each tile; none for no spread.
    pub ratios: Vec<Vec<f64>>,
    /// What one worker of a node does for each of the node's items when all are done, while the others wait.
    pub after: f64,
    /// The same for each of all nodes.
    pub after_nodes: f64,
    /// What a call that shares tiles costs its caller.
    pub call: f64,
    /// What it costs to take a tile.
    pub tile: f64,
    /// How long after a call's begin a worker that has nothing to do takes its first tile.
    pub wake: f64,
}

/// Where it is run, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Cores of a node.
    pub workers: usize,
    /// How many nodes there are.
    pub nodes: usize,
    /// Runs that the mean is of.
    pub runs: usize,
    /// Runs with the same seed are the same.
    pub seed: u64,
}

/// Seconds of a run, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// All work, over all workers.
    pub work: f64,
    /// Workers that had nothing to do, if all tiles took their mean: there are too few, or they do not come out even.
    pub few: f64,
    /// One worker of each node that does something for all others.
    pub serial: f64,
    /// What calls and tiles cost, and waking who helps.
    pub overhead: f64,
    /// Tiles that took longer than the mean, and waiting for the last node.
    pub imbalance: f64,
    /// Latencies between nodes.
    pub latency: f64,
    /// Bytes between nodes.
    pub bandwidth: f64,
    /// Messages that have come to nodes that sleep.
    pub asleep: f64,
}

impl Terms {
    /// The run's time.
    pub fn total(&self) -> f64 {
        self.work + self.losses().iter().map(|(_, time)| time).sum::<f64>()
    }

    /// What is not work, with its name in the table.
    pub fn losses(&self) -> [(&'static str, f64); 7] {
        [
            ("tiles too few", self.few),
            ("serial part", self.serial),
            ("calls and tiles", self.overhead),
            ("imbalance", self.imbalance),
            ("latency", self.latency),
            ("bandwidth", self.bandwidth),
            ("waiting asleep", self.asleep),
        ]
    }

    /// The same with what is told between so many nodes over this fabric.
    pub fn with_exchanges(self, exchanges: &[Exchange], fabric: &Fabric, nodes: usize) -> Self {
        let waited = self.imbalance;
        exchanges.iter().fold(self, |terms, exchange| {
            let cost = exchange.cost(fabric, nodes, waited);
            Terms {
                asleep: terms.asleep + cost.asleep,
                latency: terms.latency + cost.latency,
                bandwidth: terms.bandwidth + cost.bandwidth,
                ..terms
            }
        })
    }

    /// The term whose share of the run has grown most since `one`, and by how much: what this run's efficiency is lost to. `None`
    /// where none has grown by more than one in a thousand.
    pub fn limit(&self, one: &Terms) -> Option<(&'static str, f64)> {
        let grown = self.losses().into_iter().zip(one.losses());
        grown
            .map(|((name, many), (_, once))| (name, many / self.total() - once / one.total()))
            .filter(|(_, share)| *share > 1e-3)
            .max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// Efficiency of a run on so many nodes against the same work on one of them.
pub fn strong(one: &Terms, many: &Terms, nodes: usize) -> f64 {
    one.total() / (nodes as f64 * many.total())
}

/// Efficiency of a run with so many times the work on so many nodes.
pub fn weak(one: &Terms, many: &Terms) -> f64 {
    one.total() / many.total()
}

impl Stage {
    fn tiles(&self) -> &[Tile] {
        match self {
            Stage::Tiles(tiles) => tiles,
            Stage::Loop(tile) => std::slice::from_ref(tile),
        }
    }
}

impl Program {
    /// What an item takes on one core, nothing but its tiles and what is done for it afterwards.
    pub fn work(&self) -> f64 {
        self.tiles() + self.after
    }

    fn tiles(&self) -> f64 {
        let stages = self.stages.iter().flat_map(Stage::tiles);
        stages.map(|tile| tile.seconds).sum()
    }
}

/// The terms of a run with so many items, without what nodes tell each other.
pub fn compute(program: &Program, items: usize, machine: Machine) -> Terms {
    let Machine { workers, nodes, .. } = machine;
    let everybody = (workers * nodes) as f64;
    // The node that has most; the first ones have one more where they do not come out even.
    let most = items.div_ceil(nodes);
    let free = Program {
        call: 0.0,
        tile: 0.0,
        wake: 0.0,
        ..program.clone()
    };
    let equal = |program: &Program| node(&Draw::means(program), &mut Random(0), most, workers);
    let tiles = items as f64 * program.tiles() / everybody;
    let after = items as f64 * program.after / everybody;
    let (bare, costing) = (equal(&free), equal(program));
    let draw = Draw::spread(program, machine.seed);
    let runs = machine.runs.max(1);
    let lasts: Vec<f64> = (0..runs * nodes)
        .into_par_iter()
        .map(|index| {
            let at = index % nodes;
            let items = items / nodes + usize::from(at < items % nodes);
            node(&draw, &mut Random::of(machine.seed, index), items, workers)
        })
        .collect();
    // Of each run the last node, which the others wait for. Collected in order and added up in order: the same bits each time.
    let slowest = lasts
        .chunks(nodes)
        .map(|run| run.iter().copied().fold(0.0, f64::max));
    let spread = slowest.sum::<f64>() / runs as f64;
    Terms {
        work: tiles + after,
        few: bare - tiles,
        serial: most as f64 * program.after - after + nodes as f64 * program.after_nodes,
        overhead: costing - bare,
        imbalance: spread - costing,
        ..Terms::default()
    }
}

/// How long tiles take.
struct Draw<'p> {
    program: &'p Program,
    /// Whether they are spread.
    spread: bool,
    /// Whole items by one worker, some of which stand for all.
    alone: Vec<f64>,
}

impl<'p> Draw<'p> {
    fn means(program: &'p Program) -> Self {
        Draw::new(program, false, 1, 0)
    }

    fn spread(program: &'p Program, seed: u64) -> Self {
        Draw::new(program, true, 4096, seed)
    }

    fn new(program: &'p Program, spread: bool, samples: u64, seed: u64) -> Self {
        let mut draw = Draw {
            program,
            spread,
            alone: Vec::new(),
        };
        let mut random = Random(seed ^ 0x5bd1_e995);
        draw.alone = (0..samples).map(|_| draw.item(&mut random)).collect();
        draw
    }

    fn tile(&self, tile: &Tile, random: &mut Random) -> f64 {
        let ratios = self.program.ratios.get(tile.kind).map_or(&[][..], |it| it);
        let ratio = if self.spread && !ratios.is_empty() {
            ratios[random.below(ratios.len())]
        } else {
            1.0
        };
        self.program.tile + tile.seconds * ratio
    }

    fn item(&self, random: &mut Random) -> f64 {
        let stages = self.program.stages.iter();
        stages
            .map(|stage| {
                let tiles = stage.tiles();
                let call = f64::from(u8::from(tiles.len() > 1)) * self.program.call;
                let times = tiles.iter().map(|tile| self.tile(tile, random));
                call + times.sum::<f64>()
            })
            .sum()
    }
}

/// A time that can be put in order.
#[derive(Clone, Copy, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What a worker has done when its event comes.
#[derive(Clone, Copy)]
enum Done {
    /// It has been woken, or has begun.
    Nothing,
    /// A whole item.
    Item,
    /// A tile of that item.
    Tile(usize),
}

/// An item that is under way.
struct Active {
    caller: usize,
    stage: usize,
    /// How many tiles its stage has, and the next one that nobody has taken.
    count: usize,
    next: usize,
    /// Tiles that are not done.
    left: usize,
}

/// A node while it is simulated.
struct Node<'d> {
    draw: &'d Draw<'d>,
    events: BinaryHeap<Reverse<(Time, usize)>>,
    /// What each worker does, and the item that it is in.
    doing: Vec<Done>,
    own: Vec<Option<usize>>,
    /// Whether it waits for tiles of its item that others compute.
    waiting: Vec<bool>,
    idle: Vec<usize>,
    active: Vec<Active>,
    /// Items with tiles that nobody has taken.
    open: Vec<usize>,
    /// Helpers go to one after the other.
    turn: usize,
    /// Items that have been begun and are not done.
    under_way: usize,
}

/// How long a node needs for so many items, without what is done for them afterwards.
fn node(draw: &Draw<'_>, random: &mut Random, items: usize, workers: usize) -> f64 {
    if items == 0 {
        return 0.0;
    }
    let mut node = Node {
        draw,
        events: (0..workers)
            .map(|worker| Reverse((Time(0.0), worker)))
            .collect(),
        doing: vec![Done::Nothing; workers],
        own: vec![None; workers],
        waiting: vec![false; workers],
        idle: Vec::new(),
        active: Vec::new(),
        open: Vec::new(),
        turn: 0,
        under_way: 0,
    };
    let (mut left, mut end) = (items, 0.0);
    while let Some(Reverse((Time(now), worker))) = node.events.pop() {
        match std::mem::replace(&mut node.doing[worker], Done::Nothing) {
            Done::Nothing => {}
            Done::Item => {
                end = now;
                node.under_way -= 1;
            }
            Done::Tile(item) => {
                end = now;
                node.active[item].left -= 1;
                if node.active[item].left == 0 {
                    // Its caller goes on when the next stage has begun, also where it is this worker.
                    let caller = node.active[item].caller;
                    node.waiting[caller] |= caller == worker;
                    node.advance(item, now);
                    if caller == worker {
                        continue;
                    }
                }
            }
        }
        if let Some(item) = node.own[worker] {
            if node.active[item].next < node.active[item].count {
                node.take(worker, item, now, random);
            } else {
                node.waiting[worker] = true;
            }
        } else if left > 0 {
            left -= 1;
            node.under_way += 1;
            // As long as there is so much to begin that nobody comes to help, an item is one event.
            if left >= 2 * workers {
                let alone = draw.alone[random.below(draw.alone.len())];
                node.schedule(worker, Done::Item, now + alone);
            } else {
                node.begin(worker, now);
            }
        } else if node.open.is_empty() {
            node.idle.push(worker);
        } else {
            node.turn = (node.turn + 1) % node.open.len();
            let item = node.open[node.turn];
            node.take(worker, item, now, random);
        }
    }
    end
}

impl Node<'_> {
    fn schedule(&mut self, worker: usize, done: Done, at: f64) {
        self.doing[worker] = done;
        self.events.push(Reverse((Time(at), worker)));
    }

    fn take(&mut self, worker: usize, item: usize, now: f64, random: &mut Random) {
        let active = &mut self.active[item];
        let tile = match &self.draw.program.stages[active.stage] {
            Stage::Tiles(tiles) => tiles[active.next],
            Stage::Loop(whole) => Tile {
                seconds: whole.seconds / active.count as f64,
                ..*whole
            },
        };
        active.next += 1;
        if active.next == active.count {
            self.open.retain(|open| *open != item);
        }
        let time = self.draw.tile(&tile, random);
        self.schedule(worker, Done::Tile(item), now + time);
    }

    /// A worker begins an item.
    fn begin(&mut self, worker: usize, now: f64) {
        let item = self.active.len();
        self.active.push(Active {
            caller: worker,
            stage: 0,
            count: 0,
            next: 0,
            left: 0,
        });
        self.own[worker] = Some(item);
        self.waiting[worker] = true;
        self.open_stage(item, now);
    }

    /// All tiles of a stage are done.
    fn advance(&mut self, item: usize, now: f64) {
        self.active[item].stage += 1;
        if self.active[item].stage < self.draw.program.stages.len() {
            self.open_stage(item, now);
        } else {
            let caller = self.active[item].caller;
            self.own[caller] = None;
            self.under_way -= 1;
            self.wake(caller, now);
        }
    }

    fn open_stage(&mut self, item: usize, now: f64) {
        let count = match &self.draw.program.stages[self.active[item].stage] {
            Stage::Tiles(tiles) => tiles.len(),
            Stage::Loop(_) => self.doing.len() / self.under_way.max(1),
        };
        let active = &mut self.active[item];
        (active.count, active.next, active.left) = (count, 0, count);
        let caller = active.caller;
        let mut start = now;
        if count > 1 {
            start += self.draw.program.call;
            self.open.push(item);
        }
        self.wake(caller, start);
        for _ in 1..count {
            let Some(worker) = self.idle.pop() else { break };
            self.schedule(worker, Done::Nothing, start + self.draw.program.wake);
        }
    }

    /// A caller that waits goes on.
    fn wake(&mut self, caller: usize, at: f64) {
        if std::mem::take(&mut self.waiting[caller]) {
            self.schedule(caller, Done::Nothing, at);
        }
    }
}

/// Random numbers: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct Random(u64);

impl Random {
    /// One of its own for each index.
    fn of(seed: u64, index: usize) -> Self {
        let mut random = Random(seed ^ (index as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a count that is not zero.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}
