//! threadctl's limits act on the OpenBLAS that a program links in the usual way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linked_openblas::{residual, sample};
use std::fs;
use threadctl::{Limits, Runtime, runtimes};

unsafe extern "C" {
    // The linked library's own word.
    safe fn openblas_get_num_threads() -> i32;
    safe fn openblas_set_num_threads(threads: i32);
}

fn openblas() -> Runtime {
    let found = runtimes().select(|runtime| runtime.internal_api() == "openblas");
    assert_eq!(found.len(), 1, "libopenblas-dev is linked, so it is loaded");
    found.iter().next().unwrap().clone()
}

/// CPU time of this process's threads but the calling one, in nanoseconds.
fn time_of_other_threads() -> u64 {
    let own = fs::read_link("/proc/thread-self").unwrap();
    let own = own.file_name().unwrap().to_owned();
    fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| {
            let task = task.unwrap();
            if task.file_name() == own {
                return None;
            }
            // A thread of the test harness may end meanwhile.
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

#[test]
fn limits_act_on_a_linked_program() {
    let matrix = sample(600);
    openblas_set_num_threads(2);
    let before = time_of_other_threads();
    assert!(residual(&matrix).unwrap() < 1e-10);
    let millisecond = 1_000_000;
    assert!(
        time_of_other_threads() > before + millisecond,
        "with 2 threads, another one works too"
    );
    {
        let guard = Limits::new()
            .user_api("blas", 1)
            .strict(true)
            .limit_process()
            .unwrap();
        assert_eq!(openblas_get_num_threads(), 1);
        assert!(
            guard
                .outcomes()
                .iter()
                .all(|outcome| outcome.effective == Some(1))
        );
        // The pool's threads spin for a while after the last call; wait until they sleep.
        let quiet = |from: u64| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            time_of_other_threads() == from
        };
        let waited = (0..100).any(|_| quiet(time_of_other_threads()));
        assert!(waited, "the pool's threads never fell asleep");
        let before = time_of_other_threads();
        for _ in 0..5 {
            assert!(residual(&matrix).unwrap() < 1e-10);
        }
        assert_eq!(
            time_of_other_threads(),
            before,
            "no other thread ran under the limit"
        );
    }
    assert_eq!(openblas_get_num_threads(), 2);
    assert_eq!(openblas().num_threads(), Some(2));
}
