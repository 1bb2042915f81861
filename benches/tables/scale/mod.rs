//! Past this machine: the two MPI examples on nodes of many cores, simulated from times that are measured here.
//!
//! `record.rs` takes the times of tiles (`kmeans.rs`, `process.rs`: the programs), `pingpong.rs` those of messages; `simulate.rs` and
//! `collectives.rs` are the model, pure, whose tests are `tests/benchmarks_scale.rs`. What is assumed is in BENCHMARKS.md and under the
//! table.

mod collectives;
mod costs;
mod kmeans;
pub mod pingpong;
mod process;
mod record;
mod simulate;

use super::dispatch::{LIBRARIES, children, footnote, path, shared};
use crate::common::{CASES, Case, Spread, shown, spread};
use collectives::{Exchange, Fabric};
use costs::{Costs, PAUSES, ordinary, sharing, sleeping};
use record::Record;
use simulate::{Machine, Program, Terms};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use threadctl::dispatch::Blas;

/// Cores of a node, and how many nodes there are at most.
const CORES: usize = 64;
const MOST: usize = 1024;
/// Runs are simulated with these, the same each time.
const SEED: u64 = 20_050_301;

/// Blocks of points in a run: all of them, those of each node where these grow with the nodes, and those of the validation.
const BLOCKS: usize = 65_536;
const BLOCKS_EACH: usize = 16_384;
const FEW_BLOCKS: usize = 257;
/// Candidates: all of them, those of each node where these grow with the nodes, and those of the validation.
const CANDIDATES: usize = 4096;
const CANDIDATES_EACH: usize = 256;
const FEW_CANDIDATES: usize = 5;

/// The pools that tiles are cut for.
const WIDTHS: [usize; 3] = [1, 2, CORES];

/// Rounds of what is measured.
pub const ROUNDS: usize = 25;

/// Networks that are not here: line rates of IEEE 802.3by and of InfiniBand's HDR less what headers take; latencies as stated.
const ASSUMED: [(&str, f64, f64); 2] = [
    ("25 GbE, TCP", 25e-6, 2.5e9),
    ("HDR InfiniBand", 1.5e-6, 23e9),
];

/// The table, from a child.
pub fn table() -> String {
    let library = CASES.iter().find(|case| case.key == LIBRARIES[0]);
    children("scale", library.expect("a known library"), &[])
}

/// What is known of an example.
struct Example {
    name: &'static str,
    /// Of a pool of 1, of 2, and of a node.
    records: [Record; 3],
    programs: [Program; 3],
    kinds: &'static [&'static str],
    /// Items of the validation, of all nodes together, and of each.
    items: [usize; 3],
    /// In words: a run, and the items of the latter two.
    problems: [String; 3],
    /// What nodes tell each other, if they have so many items each and sleep takes so much longer than asked for.
    exchanges: fn(usize, f64) -> Vec<Exchange>,
    /// Seconds of the validation, in pools of 1 and 2.
    measured: [Spread; 2],
}

/// What the child prints.
pub fn rows(case: &Case) -> String {
    path(case);
    let blas = shared(case);
    let pools = [1, 2].map(super::dispatch::nested::pool);
    let costs = sharing(&pools[1]);
    let adding = spread(kmeans::adding(ROUNDS));
    let (messages, late) = ordinary(|| (pingpong::measure(), sleeping()));
    let examples = [
        clusters(&blas, &pools, adding.median, costs),
        candidates(&blas, &pools, costs),
    ];
    // Adding up what was received is what adding up branches is.
    let add = adding.median / kmeans::BRANCH as f64;
    let mut fabrics = vec![messages[0].fabric("TCP on loopback, as measured", add)];
    fabrics.extend(ASSUMED.map(|(name, latency, bandwidth)| Fabric {
        name: name.to_owned(),
        latency,
        per_byte: 1.0 / bandwidth,
        add,
    }));

    let mut text = measured_rows(&examples, costs, [adding, late], &messages);
    text += &validation(&examples);
    let mut ones = String::from(
        "\n| example | one node of 64 cores | time | of the cores | its tiles / one core's | tiles too few | serial part | calls and tiles | imbalance |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut many = format!(
        "\n| example | scaling | nodes | {} |\n| --- | --- | --- |{}\n",
        fabrics
            .iter()
            .map(|fabric| format!("{}: time | efficiency | limited by", fabric.name))
            .collect::<Vec<_>>()
            .join(" | "),
        " --- | --- | --- |".repeat(fabrics.len())
    );
    for example in &examples {
        for weak in [false, true] {
            scaling(
                example,
                weak,
                (&fabrics, late.median),
                (&mut ones, &mut many),
            );
        }
    }
    text + &ones + &many + &footnote(&legend(&examples, &fabrics, late.median))
}

/// Nodes from one to many, with a fixed problem or one that grows with them.
fn scaling(
    example: &Example,
    weak: bool,
    (fabrics, late): (&[Fabric], f64),
    (ones, many): (&mut String, &mut String),
) {
    let program = &example.programs[2];
    let one_node = example.items[1 + usize::from(weak)];
    let name = if weak { "weak" } else { "strong" };
    let mut one = Terms::default();
    let mut nodes = 1;
    while nodes <= MOST {
        let items = if weak { one_node * nodes } else { one_node };
        let machine = Machine {
            workers: CORES,
            nodes,
            // As many nodes are drawn for few as for many, up to a limit.
            runs: (256 / nodes).clamp(1, 16),
            seed: SEED,
        };
        let terms = simulate::compute(program, items, machine);
        if nodes == 1 {
            one = terms;
            let whole = one_node as f64 * example.programs[0].work();
            // No minus before a zero.
            let share = |time: f64| {
                let percent = 100.0 * time / one.total();
                format!("{:.1} %", if percent.abs() < 0.05 { 0.0 } else { percent })
            };
            let _ = writeln!(
                ones,
                "| {} | {} | {} | {:.3} | {:.3} | {} | {} | {} | {} |",
                example.name,
                example.problems[1 + usize::from(weak)],
                seconds(one.total()),
                whole / CORES as f64 / one.total(),
                program.work() / example.programs[0].work(),
                share(one.few),
                share(one.serial),
                share(one.overhead),
                share(one.imbalance),
            );
        } else {
            let _ = write!(many, "| {} | {name} | {nodes} |", example.name);
            for fabric in fabrics {
                let exchanges = (example.exchanges)(items.div_ceil(nodes), late);
                let terms = terms.with_exchanges(&exchanges, fabric, nodes);
                let efficiency = if weak {
                    simulate::weak(&one, &terms)
                } else {
                    simulate::strong(&one, &terms, nodes)
                };
                let limit = terms.limit(&one).map_or_else(
                    || "-".to_owned(),
                    |(name, share)| format!("{name}, {:.1} %", 100.0 * share),
                );
                let _ = write!(
                    many,
                    " {} | {efficiency:.3} | {limit} |",
                    seconds(terms.total())
                );
            }
            many.push('\n');
        }
        nodes *= 2;
    }
}

/// What is under the tables.
fn legend(examples: &[Example; 2], fabrics: &[Fabric], late: f64) -> String {
    let reduced: Vec<String> = fabrics
        .iter()
        .map(|fabric| {
            let of = |exchange: Exchange| {
                let cost = exchange.cost(fabric, MOST, 0.0);
                format!("{} ({})", seconds(cost.total()), cost.name)
            };
            format!(
                "{}: {} for what k-means gathers, {} for the same by an allreduce, {} for a barrier, {} asleep",
                fabric.name,
                of(Exchange::Allgather(kmeans::BRANCH)),
                of(Exchange::Allreduce(kmeans::BRANCH)),
                of(Exchange::Allreduce(0)),
                seconds(meet(late).cost(fabric, MOST, 0.0).asleep),
            )
        })
        .collect();
    format!(
        "Median, quartiles in brackets, of {ROUNDS} rounds and more. k-means: {}. Gaussian processes: {}. Simulated: nodes of {CORES} cores, \
         seed {SEED}; networks that are assumed: {}. Tiles, and the programs on one core, were measured while \
         the other core did the same. Efficiency is that against one node (strong: of the same problem, weak: of \
         one node's share); the limit is the term whose share of the run has grown most since one node, and by how much. Of the cores: \
         the work as one core does it undivided, over the time of all cores. Between {MOST} nodes: {}.",
        examples[0].problems[0],
        examples[1].problems[0],
        ASSUMED
            .map(|(name, latency, bandwidth)| format!(
                "{name} {:.1} us and {:.1} GB/s",
                latency * 1e6,
                bandwidth / 1e9
            ))
            .join(", "),
        reduced.join("; ")
    )
}

/// A time in a unit that suits it.
fn seconds(time: f64) -> String {
    if time >= 1.0 {
        format!("{time:.2} s")
    } else {
        format!("{:.3} ms", time * 1e3)
    }
}

fn scaled(spread: Spread, by: f64) -> Spread {
    Spread {
        low: spread.low * by,
        median: spread.median * by,
        high: spread.high * by,
    }
}

fn measured_rows(
    examples: &[Example; 2],
    costs: Costs,
    [adding, late]: [Spread; 2],
    messages: &[pingpong::Measured],
) -> String {
    let mut text = String::from(
        "| measured here | tiles | all together, us | one of them, us (quartiles: unlike tiles) | same tile, over its median (quartiles) | latest in a hundred |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for example in examples {
        for (width, record) in WIDTHS.iter().zip(&example.records) {
            for (kind, name) in example.kinds.iter().enumerate() {
                if record.count(kind) == 0 {
                    continue;
                }
                let ratios = record.ratios(kind);
                let last = ratios.last().copied().unwrap_or(1.0);
                let _ = writeln!(
                    text,
                    "| {}, cut for {width}: {name} | {} | {} | {} | {} | {last:.2} |",
                    example.name,
                    record.count(kind),
                    shown(scaled(record.sums(kind), 1e6), 1),
                    shown(scaled(record.medians(kind), 1e6), 1),
                    shown(spread(ratios), 3),
                );
            }
        }
    }
    text += "\n| measured here | | |\n| --- | --- | --- |\n";
    let mut row = |name: &str, value: String, unit: &str| {
        let _ = writeln!(text, "| {name} | {value} | {unit} |");
    };
    let of = [
        ("a shared call, beyond its tiles", costs.call),
        ("a tile of such a call, empty", costs.tile),
        ("until a worker that rested is at a tile", costs.wake),
    ];
    for (name, cost) in of {
        row(name, shown(scaled(cost, 1e6), 3), "us");
    }
    row(
        "k-means: a block's sums added up by one thread",
        shown(scaled(adding, 1e6), 3),
        "us",
    );
    row(
        "a pause of 50 us, longer than asked for",
        shown(scaled(late, 1e6), 1),
        "us",
    );
    for message in messages {
        row(
            &format!("{}: 8 bytes, one way", message.name),
            shown(scaled(message.latency, 1e6), 2),
            "us",
        );
        row(
            &format!("{}: 1 MiB", message.name),
            shown(scaled(message.bandwidth, 1e-9), 2),
            "GB/s",
        );
    }
    text
}

fn validation(examples: &[Example; 2]) -> String {
    let mut text = String::from(
        "\n| validation | cores | measured, ms | simulated, ms | simulated over measured |\n| --- | --- | --- | --- | --- |\n",
    );
    for example in examples {
        for (at, cores) in [1, 2].into_iter().enumerate() {
            let machine = Machine {
                workers: cores,
                nodes: 1,
                runs: 64,
                seed: SEED,
            };
            let terms = simulate::compute(&example.programs[at], example.items[0], machine);
            let measured = example.measured[at];
            let _ = writeln!(
                text,
                "| {}, {} | {cores} | {} | {:.2} | {:+.1} % |",
                example.name,
                match example.name {
                    "k-means" => format!("{FEW_BLOCKS} blocks"),
                    _ => format!("{FEW_CANDIDATES} candidates"),
                },
                shown(scaled(measured, 1e3), 2),
                terms.total() * 1e3,
                100.0 * (terms.total() / measured.median - 1.0),
            );
        }
    }
    text
}

fn clusters(blas: &Blas, pools: &[rayon::ThreadPool; 2], adding: f64, costs: Costs) -> Example {
    let data = kmeans::Data::new(FEW_BLOCKS);
    let mut records = WIDTHS.map(|_| Record::default());
    let mut measured = [Vec::new(), Vec::new()];
    let each = FEW_BLOCKS.div_ceil(ROUNDS);
    // The first round warms up.
    for round in 0..=ROUNDS {
        let run = |pool: usize| pools[pool].install(|| data.run(blas));
        let mut warm = WIDTHS.map(|_| Record::default());
        let records = if round == 0 { &mut warm } else { &mut records };
        let blocks = round * each..(round + 1) * each;
        let one = beside(&|| data.run(blas), || {
            pools[0].install(|| data.record(blas, WIDTHS, records, blocks));
            run(0)
        });
        let times = [one, run(1)];
        if round > 0 {
            measured
                .iter_mut()
                .zip(times)
                .for_each(|(all, time)| all.push(time));
        }
    }
    let measured = measured.map(spread);
    let programs = records.each_ref().map(|record| {
        costs.of(Program {
            after: adding,
            after_nodes: adding,
            ..record.program(kmeans::KINDS.len(), None)
        })
    });
    let points = |blocks: usize| format!("{} points", grouped(blocks * kmeans::BLOCK));
    Example {
        name: "k-means",
        records,
        programs,
        kinds: kmeans::KINDS,
        items: [FEW_BLOCKS, BLOCKS, BLOCKS_EACH],
        problems: [
            format!(
                "one round over points of {} dimensions, {} centroids, blocks of {} points; {} bytes of each node for all others",
                kmeans::DIMENSIONS,
                kmeans::CENTROIDS,
                kmeans::BLOCK,
                kmeans::BRANCH,
            ),
            points(BLOCKS),
            points(BLOCKS_EACH),
        ],
        exchanges: |_, late| vec![meet(late), Exchange::Allgather(kmeans::BRANCH)],
        measured,
    }
}

fn candidates(blas: &Blas, pools: &[rayon::ThreadPool; 2], costs: Costs) -> Example {
    let data = process::Data::new();
    let mut records = WIDTHS.map(|_| Record::default());
    let mut measured = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let run = |pool: usize| pools[pool].install(|| data.run(blas, FEW_CANDIDATES));
        let mut warm = WIDTHS.map(|_| Record::default());
        let records = if round == 0 { &mut warm } else { &mut records };
        let one = beside(&|| data.run(blas, 1), || {
            for (width, record) in WIDTHS.into_iter().zip(records) {
                pools[0].install(|| data.record(blas, width, record));
            }
            run(0)
        });
        let times = [one, run(1)];
        if round > 0 {
            measured
                .iter_mut()
                .zip(times)
                .for_each(|(all, time)| all.push(time));
        }
    }
    let measured = measured.map(spread);
    let programs = records
        .each_ref()
        .map(|record| costs.of(record.program(process::KINDS.len(), Some(process::EXPONENTIALS))));
    Example {
        name: "Gaussian processes",
        records,
        programs,
        kinds: process::KINDS,
        items: [FEW_CANDIDATES, CANDIDATES, CANDIDATES_EACH],
        problems: [
            format!(
                "one round over candidates of {} rows and {} features; {} bytes of each candidate for all nodes, and {} in which they \
                 agree that none has failed",
                process::ROWS,
                process::FEATURES,
                process::SCORE,
                process::AGREED,
            ),
            format!("{} candidates", grouped(CANDIDATES)),
            format!("{CANDIDATES_EACH} candidates"),
        ],
        exchanges: |candidates, late| {
            vec![
                meet(late),
                Exchange::Allreduce(process::AGREED),
                Exchange::Allgather(candidates * process::SCORE),
            ]
        },
        measured,
    }
}

/// What the examples do before they tell each other anything: `threadctl::mpi::meet`, where sleep takes so much longer than asked for.
fn meet(late: f64) -> Exchange {
    let [shortest, longest] = PAUSES.map(|pause| pause.as_secs_f64());
    Exchange::Meet {
        shortest,
        longest,
        late,
    }
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", grouped(number / 1000), number % 1000)
    }
}

/// Runs it while another thread is busy with the same: as on a node whose cores are all busy, and which may be two to a
/// processor's one.
fn beside<R>(same: &(dyn Fn() -> f64 + Sync), run: impl FnOnce() -> R) -> R {
    let done = AtomicBool::new(false);
    let pool = super::dispatch::nested::pool(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: it goes with no data.
            while !done.load(Ordering::Relaxed) {
                pool.install(same);
            }
        });
        let result = run();
        done.store(true, Ordering::Relaxed);
        result
    })
}
