//! The core's hot paths on the clock: `cargo bench --package core-benches`.

use std::hint::black_box;
use std::time::Duration;

use core_benches::{Settings, Sweep, classify, decode, envelope, failures};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn settings(criterion: &mut Criterion) {
    let settings = Settings::default();
    criterion.bench_function("settings to definition hash", |bencher| bencher.iter(|| settings.hash()));
}

fn outcome(criterion: &mut Criterion) {
    let jobs = failures();
    criterion.bench_function("classification of 12 failures", |bencher| bencher.iter(|| classify(black_box(&jobs))));
}

fn envelopes(criterion: &mut Criterion) {
    for (name, size) in [("1 kB", 1 << 10), ("64 kB", 1 << 16), ("8 MB", 8 << 20)] {
        let pickle = envelope(size);
        let name = format!("envelope with {name} decoded");
        criterion.bench_function(&name, |bencher| bencher.iter(|| decode(black_box(&pickle))));
    }
}

fn sweep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("watcher");
    group.sample_size(10);
    group.bench_function("sweep over 10,000 jobs", |bencher| {
        bencher.iter_batched_ref(Sweep::default, Sweep::sweep, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = settings, outcome, envelopes, sweep
}
criterion_main!(benches);
