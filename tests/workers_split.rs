//! Workers as users write them, and cores shared out between two levels.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use threadctl::{ErrorKind, Workers, split};

fn workers(text: &str) -> Workers<'static> {
    text.parse().unwrap()
}

#[test]
fn a_split_never_exceeds_the_cores_and_never_leaves_one_idle() {
    for budget in 1..=64 {
        for tasks in 0..=256 {
            let split = split(budget, tasks);
            let widths: Vec<u32> = split.widths().collect();
            let sum: u32 = widths.iter().sum();
            let what = format!("{budget} cores, {tasks} tasks: {widths:?}");
            assert_eq!(
                u32::try_from(widths.len()).unwrap(),
                split.outer(),
                "{what}"
            );
            assert_eq!(
                split.outer(),
                u32::try_from(tasks).unwrap().min(budget),
                "{what}"
            );
            assert_eq!(sum, if tasks == 0 { 0 } else { budget }, "{what}");
            if let (Some(widest), Some(narrowest)) = (widths.first(), widths.last()) {
                assert!(widths.is_sorted_by(|one, next| one >= next), "{what}");
                assert!(*narrowest >= 1 && widest - narrowest <= 1, "{what}");
                assert_eq!(split.inner(), *narrowest, "{what}");
                let wider = widths.iter().filter(|width| **width > split.inner());
                assert_eq!(
                    u32::try_from(wider.count()).unwrap(),
                    split.remainder(),
                    "{what}"
                );
            }
            for (index, width) in widths.iter().enumerate() {
                assert_eq!(split.width(index), Some(*width), "{what}");
            }
            assert_eq!(split.width(widths.len()), None, "{what}");
        }
    }
}

#[test]
fn the_budget_of_a_split_is_given_as_workers_too() {
    let cores = threadctl::cores().count();
    assert_eq!(split(workers("-1"), 1).inner(), cores);
    assert_eq!(split(workers("1"), 9).outer(), 1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    assert_eq!(split(&pool, 9).widths().sum::<u32>(), 1);
}

#[test]
fn numbers_mean_what_they_mean_in_joblib() {
    // joblib's effective_n_jobs on 8 CPUs; only numbers above the cores differ, on purpose.
    for (text, number) in [
        ("1", 1),
        ("8", 8),
        ("-1", 8),
        ("-2", 7),
        ("-8", 1),
        ("-9", 1),
        ("-9223372036854775808", 1),
        ("9", 8),
        ("9223372036854775807", 8),
        (" 3 ", 3),
        ("007", 7),
    ] {
        assert_eq!(workers(text).resolve(8), number, "{text}");
    }
    assert_eq!(Workers::ALL, workers("-1"));
    assert_eq!(Workers::try_from(-1).unwrap(), Workers::ALL);
}

#[test]
fn what_is_no_number_of_workers_is_an_error_that_says_what_is() {
    for text in [
        "0",
        "-0",
        "",
        " ",
        "-",
        "+1",
        "--1",
        "1.5",
        "all",
        "1 2",
        "0x2",
        "９",
        "99999999999999999999",
    ] {
        let error = text.parse::<Workers>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidLimit, "{text}");
        let message = error.to_string();
        assert!(
            message.contains(&format!("{:?}", text.trim())) || text == "-0",
            "{message}"
        );
        assert!(message.contains("-1 all cores"), "{message}");
    }
    assert!(Workers::try_from(0).is_err() && Workers::try_from(0_i64).is_err());
}

#[test]
fn a_pool_counts_its_threads_and_is_kept() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let own = Workers::from(&pool);
    assert_eq!(own, Workers::pool(&pool));
    assert_eq!(own.resolve(8), 3);
    assert_eq!(own.resolve(2), 2);
    assert!(std::ptr::eq(own.as_pool().unwrap(), &pool));
    assert_ne!(own, workers("3"));
    // Asked from inside another pool, too.
    let other = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    assert_eq!(other.install(|| own.resolve(8)), 3);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = text.parse::<Workers>();
    }

    #[test]
    fn any_number_resolves_within_the_cores(count: i64, budget in 1_u32..) {
        if let Ok(workers) = Workers::try_from(count) {
            let resolved = workers.resolve(budget);
            prop_assert!(resolved <= budget);
            prop_assert_eq!(workers.to_string().parse::<Workers>().unwrap(), workers);
            prop_assert!(resolved >= 1 && i32::try_from(resolved).is_ok());
        } else {
            prop_assert_eq!(count, 0);
        }
    }

    #[test]
    fn any_budget_is_shared_out_exactly(budget in 1_u32..100_000, tasks: usize) {
        let split = split(budget, tasks);
        let expected = if tasks == 0 { 0 } else { budget };
        prop_assert_eq!(split.widths().sum::<u32>(), expected);
    }
}
