//! What a call costs, and how long money lasts: arithmetic on every admit and release.

use std::hint::black_box;

use benches::in_process::names;
use criterion::{Criterion, criterion_group, criterion_main};
use hub::money::Amount;

fn price(criterion: &mut Criterion) {
    let rate = names::rate();
    let money = Amount::from_micros(3_500_000);
    let mut group = criterion.benchmark_group("price");
    group.bench_function("charge", |bencher| {
        bencher.iter(|| black_box(rate).charge(black_box(263)));
    });
    group.bench_function("affordable", |bencher| {
        bencher.iter(|| black_box(rate).affordable(black_box(money), black_box(300)));
    });
    group.finish();
}

criterion_group!(prices, price);
criterion_main!(prices);
