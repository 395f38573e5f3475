//! The fence: who finds it open sees what opened it, and no admit is answered after it has closed that
//! its successor does not know.

use std::sync::Arc;

use interleavings::admission::credit::Credit;
use interleavings::admission::slots::{Slots, SlotsNow};
use interleavings::exploration::{Fault, explore, refute};
use interleavings::fence::Fence;
use interleavings::sync::{AtomicU64, Mutex, Ordering};

use crate::{end, with};

const NOW_US: i64 = 50;
const UNTIL_US: i64 = 100;

fn the_fence_is_moved_with_a_new_configuration(fence_first: bool) {
    // Of the configuration only that it is written before.
    let shared = Arc::new((Fence::default(), loom::sync::atomic::AtomicU32::new(1)));
    let exchange = with(&shared, |(fence, version)| {
        version.store(2, Ordering::Relaxed);
        fence.set(UNTIL_US, UNTIL_US);
    });
    let (fence, version) = &*shared;
    let early = version.load(Ordering::Relaxed);
    let open = fence.is_open(NOW_US);
    let late = version.load(Ordering::Relaxed);
    end(exchange);
    let used = if fence_first { late } else { early };
    assert!(!open || used == 2, "a configuration is older than the fence");
}

#[test]
fn who_finds_the_fence_open_sees_the_configuration_that_it_rests_on() {
    explore(|| the_fence_is_moved_with_a_new_configuration(true));
    let promise = "a configuration is older than the fence";
    refute(Fault::Unordered, promise, || the_fence_is_moved_with_a_new_configuration(true));
    // As an admit that reads its terms before the fence.
    refute(Fault::None, promise, || the_fence_is_moved_with_a_new_configuration(false));
}

/// A shard with one account and one table of calls: the generation each was admitted in.
struct Shard {
    slots: Slots,
    credit: Credit,
    fence: Fence,
    table: Mutex<Vec<u32>>,
    answered: AtomicU64,
}

fn shard() -> Arc<Shard> {
    let shard = Shard {
        slots: Slots::default(),
        credit: Credit::default(),
        fence: Fence::default(),
        table: Mutex::default(),
        answered: AtomicU64::new(0),
    };
    shard.slots.extend(2);
    shard.credit.set_max(2);
    shard.fence.set(UNTIL_US, UNTIL_US);
    Arc::new(shard)
}

impl Shard {
    /// As `Engine::decide`: whatever is taken first, then the fence, then the entry.
    fn admit(&self, table: &mut Vec<u32>) {
        if self.slots.take(2).is_err() {
            return;
        }
        let credit = self.credit.take();
        let generation = self.fence.generation();
        if self.fence.is_open(NOW_US) {
            table.push(generation);
            self.answered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if credit {
            self.credit.give_back();
        }
        self.slots.leave();
    }

    /// As `Engine::rejoin`: how many calls the new holder takes over.
    fn rejoin(&self, table: &[u32]) -> usize {
        self.fence.next_generation();
        self.slots.forfeit();
        self.credit.forfeit();
        self.fence.set(0, 0);
        table.len()
    }
}

fn a_holder_is_given_up_while_calls_are_admitted(locked: bool) {
    let shard = shard();
    let admits = with(&shard, move |shard| {
        let mut table = shard.table.lock();
        if locked {
            shard.admit(&mut table);
        } else {
            let mut entered = Vec::new();
            drop(table);
            shard.admit(&mut entered);
            shard.table.lock().extend(entered);
        }
    });
    let known = {
        let table = shard.table.lock();
        shard.rejoin(&table)
    };
    // What the hub says later of an admit of the former holder.
    let owed = shard.table.lock().iter().any(|one| *one == shard.fence.generation());
    if owed {
        shard.credit.give_back();
    }
    end(admits);
    let answered = shard.answered.load(Ordering::Relaxed);
    assert_eq!(answered, known as u64, "a call is answered that no holder has");
    let used = u32::try_from(known).expect("few");
    assert_eq!(shard.slots.now(), SlotsNow { lease: 0, used }, "the new holder has a slot");
    assert_eq!(
        (shard.credit.bound(), shard.credit.take()),
        (0, false),
        "the new holder has credit"
    );
}

#[test]
fn a_call_answered_before_a_holder_was_given_up_is_its_successors_and_none_is_after() {
    explore(|| a_holder_is_given_up_while_calls_are_admitted(true));
    let promise = "a call is answered that no holder has";
    refute(Fault::None, promise, || a_holder_is_given_up_while_calls_are_admitted(false));
}
