//! Admit and release of one call in process, without HTTP, key, token, governor or answer.
//! `admission`: what the threads that serve do, which has targets; `engine`: with hub, state machine
//! and journal, flushed every 64 pairs as a busy event loop does. Processor time of the thread, not
//! wall time.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use benches::in_process::cpu_time;
use benches::in_process::engine::{Accounts, World};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway::engine::Account;
use gateway::request::Admit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ended calls that are remembered.
const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
const FLUSH_EVERY: u64 = 64;
/// Flushes between two acknowledgements of all records.
const ACKNOWLEDGE_EVERY: u64 = 256;
/// Slots of each account: never in the way.
const SLOTS: u32 = 1_000_000;

/// What of a turn is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The pairs alone.
    Admission,
    /// And the flush.
    Engine,
}

fn pair(criterion: &mut Criterion) {
    for (name, count, live, tombstones_max) in [
        ("1 account", 1, 0, FEW),
        ("1,000 accounts, 1 M live calls", 1_000, 1_000_000, FEW),
        ("1 M accounts at random", 1_000_000, 0, FEW),
        ("1,000 accounts, 1 M live calls, 1 M tombstones", 1_000, 1_000_000, MANY),
    ] {
        let accounts = Accounts { count, slots: Some(SLOTS), billed: true, keys: false };
        let world = World::open(accounts, tombstones_max).expect("a world");
        let accounts = world.accounts(count);
        world.lease_slots(&accounts).expect("recorded");
        keep_live(&world, &accounts, live);
        let mut seed = 1;
        for (part, threads) in [(Part::Admission, 1), (Part::Admission, 2), (Part::Engine, 1)] {
            let group = if part == Part::Admission { "pair/admission" } else { "pair/engine" };
            let mut group = criterion.benchmark_group(group);
            group.throughput(Throughput::Elements(1)).sample_size(10);
            let id = BenchmarkId::new(name, format!("{threads} threads"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|pairs| {
                    seed += 1_000;
                    on_threads((&world, &accounts), seed, threads, pairs, part)
                });
            });
            group.finish();
        }
    }
}

fn keep_live(world: &World, accounts: &[Arc<Account>], count: u64) {
    let mut driver = world.driver(accounts, u64::MAX);
    for _ in 0..count / FLUSH_EVERY {
        driver.admit(FLUSH_EVERY, &Admit::default());
        world.engine.flush().expect("recorded");
    }
}

/// The mean over the threads of the time that `pairs` pairs take on each.
fn on_threads(
    (world, accounts): (&World, &[Arc<Account>]),
    seed: u64,
    threads: u32,
    pairs: u64,
    part: Part,
) -> Duration {
    let start = Barrier::new(threads as usize);
    let spent: Duration = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|index| {
                let start = &start;
                scope.spawn(move || {
                    let mut driver = world.driver(accounts, seed + u64::from(index));
                    start.wait();
                    let turns = pairs.div_ceil(FLUSH_EVERY);
                    let spent: Duration = (0..turns)
                        .map(|turn| {
                            let flush = || world.engine.flush().expect("recorded");
                            driver.prepare(FLUSH_EVERY);
                            let pairs = cpu_time(|| driver.pairs());
                            let flush = cpu_time(flush);
                            if turn % ACKNOWLEDGE_EVERY == 0 {
                                world.acknowledge().expect("recorded");
                            }
                            if part == Part::Engine { pairs + flush } else { pairs }
                        })
                        .sum();
                    // As many as were asked for, of those that were run.
                    let ran = u32::try_from(turns * FLUSH_EVERY).unwrap_or(u32::MAX);
                    spent / ran * u32::try_from(pairs).unwrap_or(u32::MAX)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a driver")).sum()
    });
    spent / threads
}

criterion_group!(pairs, pair);
criterion_main!(pairs);
