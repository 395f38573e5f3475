//! From the bytes of a key to its account: SHA-256, key table, account table. Random keys of a million
//! miss the caches; a connection's own key is remembered and costs none of this.

use std::hint::black_box;

use benches::in_process::engine::{Accounts, TOMBSTONES_MAX, World};
use benches::in_process::{Sequence, cpu_time, names};
use criterion::{Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACCOUNTS: u64 = 1_000_000;

fn look_up(criterion: &mut Criterion) {
    let accounts = Accounts { count: ACCOUNTS, slots: None, billed: false, keys: true };
    let world = World::open(accounts, TOMBSTONES_MAX).expect("a world");
    let secrets: Vec<String> = (0..ACCOUNTS).map(names::secret).collect();
    let account = |secret: &str| {
        let scope = world.engine.authenticate(secret.as_bytes()).expect("a known key").scope;
        black_box(world.engine.account(scope, None).expect("its account"));
    };
    let mut group = criterion.benchmark_group("look up by key");
    group.bench_function("hot", |bencher| {
        bencher.iter_custom(|count| cpu_time(|| (0..count).for_each(|_| account(&secrets[0]))));
    });
    group.bench_function("random of 1 M", |bencher| {
        let mut random = Sequence::new(3);
        bencher.iter_custom(|count| {
            cpu_time(|| (0..count).for_each(|_| account(&secrets[random.below(secrets.len())])))
        });
    });
    group.finish();
}

criterion_group!(look_ups, look_up);
criterion_main!(look_ups);
