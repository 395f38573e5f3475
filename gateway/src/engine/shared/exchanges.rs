//! Keeps up with a shared hub: a task per shard that has an organization sends one exchange after the
//! other. All of them run on one thread, so what a reply brings is carried out by one of them at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hub::call::Call;
use hub::clock;
use hub::id::HolderId;
use hub::money::Amount;
use hub::shared::{Exchanged, NoAnswer};
use hub::state::exchange::Exchange;
use hub::state::request::{Event, Lease};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::hears::Heard;
use crate::admission::calls::{Live, Standing};
use crate::engine::{Engine, Hub};
use crate::link::{Inventory, Link, Now};
use crate::sharing::{After, Shard, Sharing, Stock, Till, now};

/// Between two attempts while the hub does not answer; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Between two looks for shards with organizations that nobody told of.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The wall clock against the clock since boot: more is a jump (rule 5).
const JUMP_US: i64 = 250_000;
/// Exchanges of a stop: with that many events told, what is left has to wait for the call lease.
const LAST_EXCHANGES_MAX: u32 = 1_000;

/// The tasks that keep up with the hub. To be run on a runtime of its own thread.
pub struct Exchanges {
    engine: Arc<Engine>,
    ready: watch::Sender<bool>,
}

impl Exchanges {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, ready: watch::channel(false).0 }
    }

    /// Becomes true when the configuration of all shards is in force.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Keeps up until `stop`, then tells what is left, leaves the live calls to the hub and goes.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Hub::Shared(sharing) = &self.engine.hub else {
            return;
        };
        let Some(mut questions) = sharing.take_questions() else {
            return;
        };
        let (mut shards, mut replies) = (JoinSet::new(), JoinSet::new());
        let (leaving, _) = watch::channel(false);
        let mut stop = pin!(stop);
        tokio::select! {
            () = self.engine.read_everything() => {}
            // Nothing is held yet.
            () = &mut stop => return,
        }
        self.ready.send_replace(true);
        loop {
            self.engine.join_shards(&mut shards, &leaving);
            // What is asked of the hub is waited for in any case: a call that is given up closes the
            // connection that the last exchanges need.
            tokio::select! {
                () = &mut stop => break,
                shards = sharing.hub.news() => self.engine.hear_of(sharing, &shards).await,
                Some((shard, message)) = questions.recv() => {
                    replies.spawn(Arc::clone(&self.engine).reply_to(shard, message));
                }
                () = sleep(LOOK_EVERY) => self.engine.look_at_others().await,
                Some(ended) = shards.join_next() => crash(ended),
                Some(ended) = replies.join_next() => crash(ended),
            }
        }
        replies.shutdown().await;
        leaving.send_replace(true);
        while let Some(ended) = shards.join_next().await {
            crash(ended);
        }
        self.engine.leave().await;
    }
}

/// Without its exchanges a shard would go on until the fence and then refuse everything: better a new
/// process at once (rule 5).
fn crash(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "keeping up with the hub has failed: the process ends");
        std::process::abort();
    }
}

impl Engine {
    /// Starts the exchanges of shards that have got an organization.
    fn join_shards(self: &Arc<Self>, tasks: &mut JoinSet<()>, leaving: &watch::Sender<bool>) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        let mut wanted = [false; hub::id::SHARDS];
        self.directory.visit_organizations(|organization| {
            wanted[usize::from(organization.shard)] = true;
        });
        for (number, shard) in sharing.shards() {
            let mut state = shard.state.lock();
            if wanted[usize::from(number)] && !state.is_joined {
                state.is_joined = true;
                tasks.spawn(Arc::clone(self).keep_up(number, leaving.subscribe()));
            }
        }
    }

    /// One exchange after the other until this gateway leaves.
    async fn keep_up(self: Arc<Self>, number: u8, mut leaving: watch::Receiver<bool>) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        let shard = sharing.shard(number);
        let offset_us = |now: Now| now.wall_us - now.boot_us;
        let mut offset_at_first_us = offset_us(now());
        let mut pauses = Pauses::default();
        while unless_told(&mut leaving, until_due(shard)).await {
            let before = now();
            if (offset_us(before) - offset_at_first_us).abs() > JUMP_US {
                tracing::warn!(number, "the clock has jumped: going on as a new holder");
                offset_at_first_us = offset_us(before);
                self.rejoin(sharing, number);
            }
            match self.exchange(sharing, number, false).await {
                Ok(is_gone) => {
                    pauses = Pauses::default();
                    if is_gone {
                        tracing::warn!(number, "this holder was given up: going on as a new one");
                        self.rejoin(sharing, number);
                    }
                }
                Err(no_answer) => {
                    tracing::debug!(number, %no_answer, "an exchange without an answer");
                    unless_told(&mut leaving, sleep(pauses.next())).await;
                }
            }
        }
    }

    /// One exchange and what follows from it; whether this holder is gone.
    async fn exchange(
        self: &Arc<Self>,
        sharing: &Sharing,
        number: u8,
        leaving: bool,
    ) -> Result<bool, NoAnswer> {
        let shard = sharing.shard(number);
        let sent = now();
        let (exchange, durable) = self.next_exchange(sharing, number, sent, leaving);
        let answer = sharing.hub.exchange(number, &exchange, durable).await;
        sharing.exchanges.add(clock::boot_us() - sent.boot_us);
        let mut effects = Vec::new();
        let answer = match answer {
            Ok(Exchanged { reply, is_durable, directory }) => {
                let is_current = self.catch_up(sharing, number, directory).await;
                let mut state = shard.state.lock();
                let before = state.link.unposted();
                state.link.take(reply, now(), &mut effects);
                sharing.posted(before, state.link.unposted());
                shard.set_fence(&state, is_current);
                Ok(is_durable)
            }
            Err(no_answer) => {
                let mut state = shard.state.lock();
                state.link.lost(now(), &mut effects);
                shard.set_fence(&state, false);
                Err(no_answer)
            }
        };
        let heard = Heard { shard: number, is_durable: *answer.as_ref().unwrap_or(&false) };
        let is_gone = self.hear(heard, effects);
        answer.map(|_| is_gone)
    }

    /// What is to be told next, and whether somebody waits for its replicas.
    fn next_exchange(
        &self,
        sharing: &Sharing,
        number: u8,
        now: Now,
        leaving: bool,
    ) -> (Exchange, bool) {
        let shard = sharing.shard(number);
        if !shard.state.lock().link.must_report() {
            let mut state = shard.state.lock();
            let exchange = state.link.send(now, None, leaving);
            let durable = state.link.has_sent(must_be_durable);
            return (exchange, durable);
        }
        // Everything at one instant: nothing happens to any call meanwhile.
        let tables = self.calls.lock_all();
        let mut state = shard.state.lock();
        let mut inventory = Inventory::default();
        let live = tables.iter().flat_map(|table| table.live()).filter(|live| is_at(live, number));
        let mut held = hashbrown::HashMap::<_, Amount>::new();
        for live in live {
            let is_owned = matches!(live.standing, Standing::Owned | Standing::Unflushed);
            if is_owned {
                inventory.calls.push((live.call.clone(), live.lease));
            }
            if (is_owned || live.standing.is_open())
                && let Some(wallet) = &live.wallet
            {
                let sum = held.entry(wallet.owner).or_default();
                *sum = sum.saturating_add(live.lease.hold);
            }
        }
        let counters: Vec<_> = state.stocks.keys().copied().collect();
        for account in counters.iter().filter_map(|id| self.directory.account(*id)) {
            let granted = u64::from(account.slots.now().lease);
            state.stocks.insert(account.id, Stock { granted, returned: 0 });
            inventory.holdings.push(state.holding(&account));
        }
        let owners: Vec<_> = state.tills.keys().copied().collect();
        for owner in owners {
            let funds = &self.directory.wallet(owner).funds;
            let held = held.get(&owner).copied().unwrap_or_default();
            let granted = funds.free().saturating_add(funds.quarantined()).saturating_add(held);
            state.tills.insert(owner, Till { granted, returned: Amount::ZERO });
            inventory.purses.push(state.purse(owner));
        }
        let exchange = state.link.send(now, Some(inventory), leaving);
        let durable = state.link.has_sent(must_be_durable);
        (exchange, durable)
    }

    /// This holder is gone for the hub, or the clock has jumped: a new one goes on with the calls that
    /// stacks were told of. What lay idle is the hub's.
    fn rejoin(&self, sharing: &Sharing, number: u8) {
        let shard = sharing.shard(number);
        let mut untold = Vec::new();
        {
            let mut tables = self.calls.lock_all();
            let mut state = shard.state.lock();
            shard.fence.next_generation();
            let live = take_standing(&mut tables, number, &mut untold);
            let holder = HolderId(rand::random());
            let link = std::mem::replace(&mut state.link, Link::new(holder, sharing.rhythm()));
            let unposted = link.unposted();
            state.link = link.rejoin(holder, live, now());
            sharing.posted(unposted, 0);
            for id in std::mem::take(&mut state.stocks).into_keys() {
                if let Some(account) = self.directory.account(id) {
                    account.slots.forfeit();
                    account.credit.forfeit();
                }
            }
            for owner in std::mem::take(&mut state.tills).into_keys() {
                self.directory.wallet(owner).funds.forfeit();
            }
            shard.set_fence(&state, false);
        }
        for call in untold {
            self.never_told(sharing, number, &call);
        }
    }

    /// The last exchanges: everything is told, live calls are the hub's, idle units and money free.
    async fn leave(self: &Arc<Self>) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        let mut shards = JoinSet::new();
        for (number, shard) in sharing.shards() {
            if shard.state.lock().is_joined {
                let engine = Arc::clone(self);
                shards.spawn(async move { engine.leave_shard(number).await });
            }
        }
        while let Some(ended) = shards.join_next().await {
            crash(ended);
        }
    }

    /// Goes on while the hub is away, for as long as whoever waits for it does: what the hub is not told
    /// is free only when this holder has stood still for long enough.
    async fn leave_shard(self: Arc<Self>, number: u8) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        let shard = sharing.shard(number);
        let mut pauses = Pauses::default();
        for _ in 0..LAST_EXCHANGES_MAX {
            let leaving = shard.state.lock().link.fits_one_exchange();
            match self.exchange(sharing, number, leaving).await {
                // What happened since it was given up a new holder has to tell.
                Ok(true) => self.rejoin(sharing, number),
                Ok(false) if leaving && shard.state.lock().link.is_member() => return,
                Ok(false) => {}
                Err(no_answer) => {
                    tracing::info!(number, %no_answer, "the hub is told again that this gateway goes");
                    sleep(pauses.next()).await;
                }
            }
        }
    }
}

/// Between attempts while the hub does not answer.
struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (2 * pause).min(LONGEST_PAUSE);
        pause
    }
}

/// Waits for `event`; false when it was told to stop before.
async fn unless_told(stop: &mut watch::Receiver<bool>, event: impl Future<Output = ()>) -> bool {
    tokio::select! {
        // A sender that is gone has said it too.
        _ = stop.wait_for(|stop| *stop) => false,
        () = event => true,
    }
}

fn is_at(live: &Live, number: u8) -> bool {
    live.account.organization.shard == number
}

/// Whether a stack is told of a call only when replicas have it.
fn must_be_durable(event: &Event, after: Option<&After>) -> bool {
    match event {
        Event::Wanted { call, .. } => call.facts().lease_s > 0,
        _ => matches!(after, Some(After::Told { durable: true, .. })),
    }
}

/// The calls that stacks were told of, which are to be adopted; the others become `untold`.
fn take_standing(
    tables: &mut [parking_lot::MutexGuard<'_, hub::call_table::CallTable<Live>>],
    number: u8,
    untold: &mut Vec<Call>,
) -> Vec<(Call, Lease)> {
    let mut told = Vec::new();
    for live in tables.iter_mut().flat_map(|table| table.live_mut()) {
        match live.standing {
            _ if !is_at(live, number) => {}
            Standing::Owned | Standing::Adopting => {
                live.standing = Standing::Adopting;
                told.push((live.call.clone(), live.lease));
            }
            Standing::Unflushed | Standing::Undecided | Standing::Capped => {
                untold.push(live.call.clone());
            }
        }
    }
    told
}

/// Waits until the shard's next exchange is due.
async fn until_due(shard: &Shard) {
    loop {
        let due_us = shard.state.lock().link.due_us();
        let left_us = due_us.map_or(i64::MAX, |due_us| due_us.saturating_sub(clock::boot_us()));
        match u64::try_from(left_us) {
            Err(_) | Ok(0) => return,
            Ok(left_us) => {
                tokio::select! {
                    () = sleep(Duration::from_micros(left_us.min(1_000_000))) => {}
                    () = shard.due.notified() => {}
                }
            }
        }
    }
}
