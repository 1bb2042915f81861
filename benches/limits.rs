//! A guard that changes a BLAS's number of threads, beside the bare calls (get, set, set), and a query.
//!
//! `cargo bench --bench limits`; THREADCTL_BENCH_LIB chooses another library of the manifest. The comparison in turn,
//! with threadpoolctl beside it, is the bench `tables`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails by panicking"
)]

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use threadctl::{Limits, runtimes};

fn limits(criterion: &mut Criterion) {
    let key =
        std::env::var("THREADCTL_BENCH_LIB").unwrap_or_else(|_| "openblas-pthread".to_owned());
    let case = common::CASES
        .iter()
        .find(|case| case.key == key)
        .unwrap_or_else(|| {
            panic!("THREADCTL_BENCH_LIB={key}: not among the cases in benches/common.rs")
        });
    let library = common::open(case.key);
    let (get, set) = common::functions(library, case);
    // SAFETY: the library is open for good.
    unsafe { set(2) };
    let plan = Limits::new().user_api("blas", 1).plan(&runtimes()).unwrap();

    let mut group = criterion.benchmark_group(case.key);
    group.bench_function("bare get, set, set", |bencher| {
        bencher.iter(|| {
            // SAFETY: the library is open for good.
            let before = unsafe { get() };
            // SAFETY: as above.
            unsafe { set(black_box(1)) };
            // SAFETY: as above.
            unsafe { set(before) };
        });
    });
    group.bench_function("guard", |bencher| {
        if case.thread {
            bencher.iter(|| drop(black_box(plan.limit_thread().unwrap())));
        } else {
            bencher.iter(|| drop(black_box(plan.limit_process().unwrap())));
        }
    });
    group.bench_function("query, nothing newly loaded", |bencher| {
        bencher.iter(runtimes)
    });
    group.finish();
}

criterion_group!(benches, limits);
criterion_main!(benches);
