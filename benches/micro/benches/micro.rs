//! Times every scenario.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use steeple_micro::{COUNT, scenarios};

fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("steeple");
    group.throughput(Throughput::Elements(COUNT as u64));
    for mut scenario in scenarios() {
        group.bench_function(scenario.name, |bencher| bencher.iter(|| scenario.run()));
    }
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);
