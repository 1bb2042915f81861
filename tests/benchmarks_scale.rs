//! The simulation of many nodes (`benches/tables/scale/`): closed forms, and what must hold whatever was measured.
#![allow(dead_code, reason = "the bench uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../benches/tables/scale/collectives.rs"]
mod collectives;
#[path = "../benches/tables/scale/simulate.rs"]
mod simulate;

use collectives::{Exchange, Fabric};
use simulate::{Machine, Program, Stage, Terms, Tile, compute, strong, weak};

fn fabric(latency: f64, per_byte: f64, add: f64) -> Fabric {
    Fabric {
        name: String::new(),
        latency,
        per_byte,
        add,
    }
}

fn machine(workers: usize, nodes: usize) -> Machine {
    Machine {
        workers,
        nodes,
        runs: 4,
        seed: 7,
    }
}

/// Items of stages of so many tiles that all take as long, and nothing else.
fn even(stages: &[usize], seconds: f64) -> Program {
    let stage = |count: &usize| Stage::Tiles(vec![Tile { seconds, kind: 0 }; *count]);
    Program {
        stages: stages.iter().map(stage).collect(),
        ratios: Vec::new(),
        after: 0.0,
        after_nodes: 0.0,
        call: 0.0,
        tile: 0.0,
        wake: 0.0,
    }
}

/// Something of everything.
fn rough() -> Program {
    Program {
        ratios: vec![vec![0.8, 0.9, 1.0, 1.3]],
        after: 1e-5,
        call: 2e-6,
        tile: 1e-7,
        wake: 1e-5,
        ..even(&[1, 9, 1, 30], 1e-4)
    }
}

fn run(items: usize, machine: Machine, fabric: &Fabric) -> Terms {
    let exchanges = [MEET, Exchange::Allreduce(4096), Exchange::Allgather(1000)];
    compute(&rough(), items, machine).with_exchanges(&exchanges, fabric, machine.nodes)
}

const MEET: Exchange = Exchange::Meet {
    shortest: 5e-5,
    longest: 1e-3,
    late: 1e-5,
};

fn close(found: f64, wanted: f64) {
    assert!(
        (found - wanted).abs() <= 1e-9 * wanted.abs().max(1e-12),
        "{found} is not {wanted}"
    );
}

#[test]
fn one_node_has_efficiency_one_and_tells_nobody() {
    let slow = fabric(1.0, 1.0, 1.0);
    let one = run(100, machine(4, 1), &slow);
    close(strong(&one, &one, 1), 1.0);
    close(weak(&one, &one), 1.0);
    close(one.latency + one.bandwidth + one.asleep, 0.0);
    assert_eq!(one.limit(&one), None);
}

#[test]
fn even_work_on_nodes_that_tell_nothing_has_efficiency_one() {
    for (workers, nodes) in [(1, 1), (4, 2), (64, 16)] {
        let items = 6 * workers * nodes;
        let program = even(&[3, 5], 1e-3);
        let terms = compute(&program, items, machine(workers, nodes));
        close(terms.total(), 6.0 * 8e-3);
        close(terms.work, terms.total());
        let one = compute(&program, items, machine(workers, 1));
        close(strong(&one, &terms, nodes), 1.0);
        let share = compute(&program, items / nodes, machine(workers, 1));
        close(weak(&share, &terms), 1.0);
    }
}

#[test]
fn one_item_is_helped_by_all_workers_and_a_stage_waits_for_the_one_before() {
    // 8 tiles by 4 workers, then one tile, then 5 tiles: two, one and two after each other.
    let program = even(&[8, 1, 5], 1.0);
    let terms = compute(&program, 1, machine(4, 1));
    close(terms.total(), 5.0);
    close(terms.work, 14.0 / 4.0);
    close(terms.few, 1.5);
    // With calls and tiles that cost: two stages are shared, and the longest way goes through five tiles.
    let costing = Program {
        call: 0.25,
        tile: 0.5,
        ..program
    };
    let terms = compute(&costing, 1, machine(4, 1));
    close(terms.overhead, 2.0 * 0.25 + 5.0 * 0.5);
}

#[test]
fn who_is_woken_late_takes_fewer_tiles() {
    let program = Program {
        wake: 2.5,
        ..even(&[1, 6], 1.0)
    };
    // Of the second stage the caller takes four tiles, the other worker, which has rested, two from 3.5 on.
    let terms = compute(&program, 1, machine(2, 1));
    close(terms.total(), 5.5);
    close(terms.overhead, 1.5);
}

#[test]
fn one_worker_takes_all_the_work_whatever_its_stages() {
    let program = Program {
        after: 0.5,
        ..even(&[3, 1, 7], 1.0)
    };
    close(compute(&program, 5, machine(1, 1)).total(), 5.0 * 11.5);
}

#[test]
fn what_one_worker_does_for_all_is_the_serial_part() {
    let program = Program {
        after: 0.25,
        ..even(&[1], 1.0)
    };
    let terms = compute(&program, 8, machine(4, 1));
    close(terms.total(), 2.0 + 2.0);
    close(terms.serial, 2.0 - 2.0 / 4.0);
}

#[test]
fn a_loop_is_cut_for_the_workers_that_have_no_item() {
    let program = Program {
        stages: vec![Stage::Loop(Tile {
            seconds: 12.0,
            kind: 0,
        })],
        ..even(&[], 0.0)
    };
    for (items, time) in [(1, 3.0), (2, 6.0), (4, 12.0), (8, 24.0)] {
        close(compute(&program, items, machine(4, 1)).total(), time);
    }
}

#[test]
fn what_each_node_does_for_each_is_serial_too() {
    let program = Program {
        after_nodes: 0.25,
        ..even(&[1], 1.0)
    };
    close(
        compute(&program, 32, machine(4, 8)).total(),
        1.0 + 8.0 * 0.25,
    );
}

#[test]
fn more_nodes_than_items_are_tiles_too_few() {
    let program = even(&[1], 1.0);
    let one = compute(&program, 4, machine(4, 1));
    let many = compute(&program, 4, machine(4, 8));
    close(many.total(), 1.0);
    close(strong(&one, &many, 8), 1.0 / 8.0);
    assert_eq!(many.limit(&one).map(|it| it.0), Some("tiles too few"));
}

#[test]
fn the_last_of_more_nodes_comes_later() {
    let program = Program {
        ratios: vec![vec![0.5, 1.5]],
        ..even(&[1], 1.0)
    };
    let of = |nodes| {
        let machine = Machine {
            runs: 50,
            ..machine(4, nodes)
        };
        compute(&program, 40 * nodes, machine).imbalance
    };
    let (one, ten, hundred) = (of(1), of(10), of(100));
    assert!(
        0.0 < one && one < ten && ten < hundred,
        "{one} {ten} {hundred}"
    );
}

#[test]
fn higher_latencies_and_narrower_networks_never_help() {
    let of = |latency: f64, per_byte: f64| {
        run(200, machine(4, 32), &fabric(latency, per_byte, 1e-10)).total()
    };
    let times: Vec<f64> = (0..12).map(|at| of(1e-7 * 3_f64.powi(at), 1e-9)).collect();
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
    let times: Vec<f64> = (0..12).map(|at| of(1e-6, 1e-12 * 3_f64.powi(at))).collect();
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
}

#[test]
fn terms_add_up_and_the_same_seed_gives_the_same_bits() {
    let again = || {
        let terms = run(333, machine(8, 5), &fabric(1e-6, 1e-9, 1e-10));
        let losses: f64 = terms.losses().iter().map(|(_, time)| time).sum();
        close(terms.total(), terms.work + losses);
        terms
    };
    assert_eq!(again(), again());
    let other = Machine {
        seed: 8,
        ..machine(8, 5)
    };
    assert_ne!(compute(&rough(), 333, other).imbalance, again().imbalance);
}

#[test]
fn the_limit_is_the_term_that_grew_most() {
    let one = Terms {
        work: 1.0,
        serial: 0.5,
        ..Terms::default()
    };
    let many = Terms {
        work: 0.5,
        serial: 0.25,
        latency: 0.2,
        bandwidth: 0.1,
        ..Terms::default()
    };
    let (name, share) = many.limit(&one).unwrap();
    assert_eq!(name, "latency");
    close(share, 0.2 / 1.05);
}

#[test]
fn collectives_cost_what_their_closed_forms_say() {
    let fabric = fabric(1e-6, 1e-9, 1e-10);
    // Short: recursive doubling, log2 p (latency + n per byte + n to add).
    let short = Exchange::Allreduce(8).cost(&fabric, 64, 0.0);
    assert_eq!(short.name, "recursive doubling");
    close(short.total(), 6.0 * (1e-6 + 8.0 * (1e-9 + 1e-10)));
    // Long: Rabenseifner, 2 log2 p latencies, each byte there and back but for a node's own part.
    let long = Exchange::Allreduce(1 << 20).cost(&fabric, 64, 0.0);
    assert_eq!(long.name, "Rabenseifner");
    let bytes = f64::from(1 << 20) * 63.0 / 64.0;
    close(long.latency, 12.0 * 1e-6);
    close(long.bandwidth, bytes * (2e-9 + 1e-10));
    // Two nodes: one message each.
    close(Exchange::Allreduce(8).cost(&fabric, 2, 0.0).latency, 1e-6);
    let gathered = Exchange::Allgather(100).cost(&fabric, 8, 0.0);
    close(gathered.total(), 3e-6 + 7.0 * 100.0 * 1e-9);
    // A number of nodes between two powers of two has the steps of the next one.
    close(Exchange::Allreduce(0).cost(&fabric, 5, 0.0).latency, 3e-6);
    // A barrier: log2 p empty messages, each of which finds its rank asleep.
    close(MEET.cost(&fabric, 64, 0.0).total(), 6.0 * (1e-6 + 6e-5));
    close(MEET.cost(&fabric, 64, 4e-4).asleep, 6.0 * 1.6e-4);
    close(MEET.cost(&fabric, 64, 1.0).asleep, 6.0 * 1.01e-3);
    for exchange in [Exchange::Allreduce(9), Exchange::Allgather(9), MEET] {
        close(exchange.cost(&fabric, 1, 0.0).total(), 0.0);
    }
}
