//! Admit and release of one call in process. `core`: the admission core alone (no parse, key, token,
//! governor, answer, hub), which has targets; `engine`: with hub, state machine and journal,
//! flushed every 64 calls as a busy event loop does. Processor time of the thread, not wall time.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use benches::in_process::core::{Core, Size};
use benches::in_process::engine::{Accounts, World};
use benches::in_process::{Sequence, cpu_time};
use benches::request::CallIds;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway::request::Admit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ended calls that are still remembered, and the time between two pairs: 90 s of it wait in the wheel.
#[derive(Clone, Copy)]
struct Ended {
    tombstones_max: usize,
    pair_us: i64,
}

/// What the targets were set with.
const FEW: Ended = Ended { tombstones_max: 10_000, pair_us: 10_000 };
/// 20,000 pairs a second: each forgets a call that has long left the caches, and meets it in the wheel.
const MANY: Ended = Ended { tombstones_max: 1_000_000, pair_us: 50 };
const FLUSH_EVERY: u64 = 64;
const ACKNOWLEDGE_EVERY: u64 = 1 << 14;

fn core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair/core");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (name, accounts, live, ended) in [
        ("1 account", 1, 0, FEW),
        ("1,000 accounts, 1 M live calls", 1_000, 1_000_000, FEW),
        ("100,000 accounts", 100_000, 0, FEW),
        ("1 M accounts at random", 1_000_000, 0, FEW),
        ("1,000 accounts, 1 M live calls, 1 M tombstones", 1_000, 1_000_000, MANY),
    ] {
        let Ended { tombstones_max, pair_us } = ended;
        let core = Core::new(Size { accounts, live, tombstones_max, pair_us });
        let mut seed = 0;
        for threads in [1, 2] {
            let id = BenchmarkId::new(name, format!("{threads} threads"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|pairs| {
                    seed += 1_000;
                    on_threads(&core, seed, threads, pairs)
                });
            });
        }
    }
    group.finish();
}

/// The mean over the threads of the time that `pairs` pairs take on each.
fn on_threads(core: &Core, seed: u128, threads: u32, pairs: u64) -> Duration {
    let start = Barrier::new(threads as usize);
    let spent: Duration = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|index| {
                let start = &start;
                scope.spawn(move || {
                    let mut driver = core.driver(seed + u128::from(index), index == 0);
                    start.wait();
                    cpu_time(|| (0..pairs).for_each(|_| driver.pair()))
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a driver")).sum()
    });
    spent / threads
}

fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair/engine");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    // Ended calls stay in the wheel until their second comes: a longer run only takes memory.
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for (name, count) in [("1 account", 1), ("100,000 accounts", 100_000)] {
        let accounts = Accounts { count, slots: Some(1_000), billed: false, keys: false };
        let world = World::open(accounts).expect("a world");
        let accounts: Vec<_> = (0..count).map(|number| world.account(number)).collect();
        let mut seed = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|pairs| {
                seed += 1;
                let ids = CallIds::new(seed << 64);
                let mut random = Sequence::new(9);
                let mut id = Vec::new();
                cpu_time(|| {
                    for pair in 0..pairs {
                        let account = &accounts[random.below(accounts.len())];
                        id.clear();
                        ids.append(pair, &mut id);
                        let call_id = std::str::from_utf8(&id).unwrap_or_default();
                        world.admit(account, &Admit { call_id, ..Admit::default() });
                        world.release(account, call_id);
                        if pair.is_multiple_of(FLUSH_EVERY) {
                            world.engine.flush().expect("recorded");
                        }
                        if pair.is_multiple_of(ACKNOWLEDGE_EVERY) {
                            world.acknowledge().expect("recorded");
                        }
                    }
                })
            });
        });
    }
    group.finish();
}

criterion_group!(pairs, core, engine);
criterion_main!(pairs);
