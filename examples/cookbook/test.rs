//! The helpers' promises: order, errors and panics with their index, workers as a number or a pool; and the program.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use threadctl::Workers;
use threadctl_examples::cookbook::{Failed, exp, foreach, map};

const COUNT: u64 = 1000;

fn items() -> Vec<u64> {
    (0..COUNT).collect()
}

fn workers(text: &str) -> Workers<'static> {
    text.parse().unwrap()
}

#[test]
fn results_are_in_the_order_of_the_items_with_any_workers() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let expected: Vec<u64> = (0..COUNT).map(|item| item * item).collect();
    for workers in [
        workers("1"),
        workers("2"),
        workers("-1"),
        Workers::pool(&pool),
    ] {
        let squares = map(|item| Ok::<_, String>(item * item), &items(), workers).unwrap();
        assert_eq!(squares, expected, "{workers:?}");
    }
}

#[test]
fn a_pool_of_the_callers_is_the_one_that_works() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .thread_name(|index| format!("callers-{index}"))
        .build()
        .unwrap();
    let names = map(
        |_| Ok::<_, String>(std::thread::current().name().map(str::to_owned)),
        &items(),
        Workers::pool(&pool),
    );
    for name in names.unwrap() {
        assert!(name.unwrap().starts_with("callers-"));
    }
}

#[test]
fn every_item_is_visited_once() {
    let sum = AtomicU64::new(0);
    foreach(
        |item| {
            sum.fetch_add(item + 1, Ordering::Relaxed);
        },
        &items(),
        workers("2"),
    )
    .unwrap();
    assert_eq!(sum.into_inner(), COUNT * (COUNT + 1) / 2);
}

#[test]
fn the_first_of_the_items_that_fail_is_reported() {
    for round in 0..50 {
        let failing = 300 + round;
        let error = map(
            |item| {
                if *item >= failing {
                    Err(format!("no {item}"))
                } else {
                    Ok(())
                }
            },
            &items(),
            workers("2"),
        )
        .unwrap_err();
        assert_eq!(error.index(), usize::try_from(failing).ok());
        assert_eq!(error.to_string(), format!("item {failing}: no {failing}"));
    }
}

#[test]
fn a_panic_is_an_error_with_its_index_and_the_next_call_works() {
    for text in ["2", "1"] {
        let error = foreach(
            |item| assert!(*item != 17, "seventeen"),
            &items(),
            workers(text),
        )
        .unwrap_err();
        match error {
            Failed::Panic { index, message } => {
                assert_eq!((index, message.as_str()), (17, "seventeen"));
            }
            other => panic!("{other}"),
        }
        foreach(|_| (), &items(), workers(text)).unwrap();
    }
}

#[test]
fn no_items_are_no_error() {
    let none: Vec<u64> = map(|item: &u64| Ok::<_, String>(*item), &[], workers("2")).unwrap();
    assert!(none.is_empty());
}

#[test]
fn exponentials_are_those_of_the_plain_loop_at_sizes_around_a_chunk() {
    for count in [0, 1, 4095, 4096, 4097, 20_000] {
        let numbers: Vec<f64> = (0..count)
            .map(|index| f64::from(index) * 1e-3 - 5.0)
            .collect();
        let mut out = vec![f64::NAN; numbers.len()];
        exp(&numbers, &mut out, workers("2")).unwrap();
        assert!(
            out.iter()
                .zip(&numbers)
                .all(|(out, number)| *out == number.exp()),
            "{count}"
        );
    }
}

#[test]
fn the_program_finds_that_threads_and_processes_agree() {
    let output = Command::new(env!("CARGO_BIN_EXE_cookbook"))
        .args(["--numbers", "10007"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(text.lines().count(), 3, "{text}");
}
