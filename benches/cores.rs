//! What it costs to ask for the cores: the kept answer (which must stay below 50 ns), and a fresh one.
#![allow(missing_docs, reason = "criterion's macros write public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn cores(c: &mut Criterion) {
    c.bench_function("cores/kept", |b| {
        b.iter(|| black_box(threadctl::cores().count()));
    });
    c.bench_function("cores/fresh", |b| {
        let system = threadctl::cores::System::this();
        b.iter(|| black_box(system.cores().count()));
    });
}

criterion_group!(benches, cores);
criterion_main!(benches);
