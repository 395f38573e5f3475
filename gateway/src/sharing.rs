//! This gateway as one of several holders at a hub: by shard, what waits to be told, what was granted
//! here, and who waits for an answer. Keeps books; decides nothing about calls.

mod books;
mod events;
mod fence;
mod readers;
mod waiting;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hub::call::{Call, Record};
use hub::clock::{self, EpochSeconds, second_of};
use hub::id::{AccountId, HolderId, SHARDS};
use hub::money::Amount;
use hub::shared::SharedHub;
use hub::state::exchange::Message;
use hub::state::request::{Holding, Purse};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot::Sender;

use crate::accounts::Account;
use crate::counts::{CallCounts, Durations};
use crate::link::{Link, Now, Rhythm};
use crate::node::Freed;
pub(crate) use books::{Stock, Till};
use fence::Fence;
pub(crate) use readers::Readers;
pub(crate) use waiting::{Patience, Verdict, Waiting};

/// Records that the ledger does not have and this process keeps, over all shards; with more no call
/// is admitted.
const RECORDS_MAX: usize = 5_000_000;

/// Questions of other gateways that wait to be answered, at most.
const QUESTIONS_MAX: usize = 4_096;

/// What becomes of something when the hub has the event that it came with.
#[derive(Debug)]
pub(crate) enum After {
    /// One admit less that the hub does not know.
    Credit { account: Arc<Account>, generation: u32 },
    /// Somebody waits to be told of a call until the hub has it, and with it its replicas.
    Told { call: Call, told: Sender<Verdict>, durable: bool },
    /// Somebody waits until the hub has heard more of a call that it has, or has another of the name.
    Heard { call: Call, told: Sender<Verdict> },
    /// The slot of a call that never was.
    Withdrawn { account: Arc<Account> },
    /// What the end of a call gives back.
    Ended { record: triomphe::Arc<Record>, freed: Freed, generation: u32, told: Sender<Verdict> },
}

/// One shard, on cache lines of its own.
#[repr(align(128))]
pub(crate) struct Shard {
    pub(crate) state: Mutex<State>,
    pub(crate) fence: Fence,
    /// Those that the shard's hub knows, this one among them; 0: not known yet.
    gateways: AtomicU32,
    /// The exchange that is due has changed.
    pub(crate) due: Notify,
}

pub(crate) struct State {
    pub(crate) link: Link<After>,
    pub(crate) stocks: HashMap<AccountId, Stock, RandomState>,
    pub(crate) tills: HashMap<AccountId, Till, RandomState>,
    pub(crate) waiting: Waiting,
    /// Calls that turned out to be another's after they had ended here, by admission.
    pub(crate) anothers: Vec<u64>,
    /// The number of the last publication that is in force here.
    pub(crate) directory: u64,
    /// Whether its exchanges go on.
    pub(crate) is_joined: bool,
    counts: CallCounts,
}

pub struct Sharing {
    pub(crate) hub: Arc<dyn SharedHub>,
    rhythm: Rhythm,
    shards: Box<[Shard]>,
    tickets: AtomicU64,
    /// Questions of other gateways, on their way to whoever answers them.
    questions: mpsc::Sender<(u8, Message)>,
    asked: Mutex<Option<mpsc::Receiver<(u8, Message)>>>,
    /// Records that the ledger may not have.
    unposted: AtomicU64,
    /// Ended calls that are remembered here though the hub has them.
    remembered: AtomicU64,
    /// How long exchanges took.
    pub(crate) exchanges: Durations,
    pub(crate) readers: Readers,
}

impl Sharing {
    pub(crate) fn new(hub: Arc<dyn SharedHub>, rhythm: Rhythm, holder: HolderId) -> Self {
        let shard = |_| Shard {
            state: Mutex::new(State {
                link: Link::new(holder, rhythm),
                stocks: HashMap::default(),
                tills: HashMap::default(),
                waiting: Waiting::default(),
                anothers: Vec::new(),
                directory: 0,
                is_joined: false,
                counts: CallCounts::default(),
            }),
            fence: Fence::default(),
            gateways: AtomicU32::new(0),
            due: Notify::new(),
        };
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        Self {
            questions,
            asked: Mutex::new(Some(asked)),
            hub,
            rhythm,
            shards: (0..SHARDS).map(shard).collect(),
            tickets: AtomicU64::new(0),
            unposted: AtomicU64::new(0),
            remembered: AtomicU64::new(0),
            exchanges: Durations::default(),
            readers: Readers::default(),
        }
    }

    pub(crate) fn shard(&self, shard: u8) -> &Shard {
        &self.shards[usize::from(shard)]
    }

    /// Who this gateway is to a shard.
    pub(crate) fn holder(&self, shard: u8) -> HolderId {
        self.shard(shard).state.lock().link.holder()
    }

    /// Whether a call may be admitted or renewed now. To be asked when everything else is taken: the
    /// clock is read here (rule 5).
    pub(crate) fn may_admit(&self, shard: u8) -> bool {
        self.shard(shard).fence.is_open(clock::boot_us())
    }

    /// Whether no shard that has an organization may admit.
    pub(crate) fn is_cut_off(&self) -> bool {
        let mut joined = self.shards().filter(|(_, shard)| shard.state.lock().is_joined).peekable();
        joined.peek().is_some() && joined.all(|(number, _)| !self.may_admit(number))
    }

    pub(crate) fn gateways(&self, shard: u8) -> NonZeroU32 {
        let known = self.shard(shard).gateways.load(Ordering::Relaxed);
        NonZeroU32::new(known).unwrap_or(NonZeroU32::MIN)
    }

    /// The latest deadline that a stack may be told.
    pub(crate) fn deadline_max(&self, shard: u8) -> EpochSeconds {
        second_of(self.shard(shard).fence.deadline_max_us())
    }

    pub(crate) fn call_lease_s(&self) -> u32 {
        self.rhythm.call_lease_s
    }

    pub(crate) fn rhythm(&self) -> Rhythm {
        self.rhythm
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Calls that began and ended at this gateway.
    pub(crate) fn calls(&self) -> CallCounts {
        let mut sum = CallCounts::default();
        self.shards.iter().for_each(|shard| sum.add(&shard.state.lock().counts));
        sum
    }

    /// Keeps a question until it is answered. With too many it is lost, and whoever asked told nothing.
    pub(crate) fn question(&self, shard: u8, message: Message) {
        if self.questions.try_send((shard, message)).is_err() {
            tracing::warn!("other gateways ask more than can be answered");
        }
    }

    /// Where questions arrive; for one who answers them.
    pub(crate) fn take_questions(&self) -> Option<mpsc::Receiver<(u8, Message)>> {
        self.asked.lock().take()
    }

    /// A link had so many records that the ledger may not have, and has now.
    pub(crate) fn posted(&self, before: usize, now: usize) {
        self.unposted.fetch_add((now as u64).wrapping_sub(before as u64), Ordering::Relaxed);
    }

    /// Whether one more ended call is remembered here.
    pub(crate) fn remembers_more(&self, max: u64) -> bool {
        let one_more = |count: u64| (count < max).then_some(count + 1);
        let counted = self.remembered.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.is_ok()
    }

    /// So many are forgotten.
    pub(crate) fn forgot(&self, count: u64) {
        self.remembered.fetch_sub(count, Ordering::Relaxed);
    }

    /// Whether so many records wait for the ledger that no call may be admitted.
    pub(crate) fn is_full(&self) -> bool {
        self.unposted.load(Ordering::Relaxed) >= RECORDS_MAX as u64
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = (u8, &Shard)> {
        (0..=u8::MAX).zip(&self.shards)
    }
}

impl Shard {
    /// Changes what waits, and wakes whoever tells it when that is due earlier than before.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State, Now) -> T) -> T {
        let now = now();
        let mut state = self.state.lock();
        let before = state.link.due_us();
        let result = change(&mut state, now);
        let sooner = match (before, state.link.due_us()) {
            (Some(before), Some(due)) => due < before,
            // An exchange is under way; what is due is looked at after it.
            _ => false,
        };
        drop(state);
        if sooner {
            self.due.notify_one();
        }
        result
    }

    /// Follows what the link says. `is_current`: the configuration of the last reply is in force.
    pub(crate) fn set_fence(&self, state: &State, is_current: bool) {
        let (until_us, deadline_max_us) =
            (state.link.fence_until_us(), state.link.deadline_max_us());
        if until_us == 0 || is_current {
            self.fence.set(until_us, deadline_max_us);
        } else {
            self.fence.set_deadline_max(deadline_max_us);
        }
        // A hub that learns does not know them all; those of before are nearer to the truth.
        let gateways = state.link.gateways();
        if gateways > 0 {
            self.gateways.store(gateways, Ordering::Relaxed);
        }
    }
}

impl State {
    /// What this holder has of an account's slots, as the hub is told.
    pub(crate) fn holding(&mut self, account: &Account) -> Holding {
        self.stocks.entry(account.id).or_default().holding(account)
    }

    /// As [`State::holding`], of a wallet's money.
    pub(crate) fn purse(&mut self, owner: AccountId) -> Purse {
        self.tills.entry(owner).or_default().purse(owner)
    }

    pub(crate) fn report(&mut self, account: &Account, now: Now) {
        let holding = self.holding(account);
        self.link.report(holding, now);
    }

    pub(crate) fn report_money(&mut self, owner: AccountId, now: Now) {
        let purse = self.purse(owner);
        self.link.report_money(purse, now);
    }

    /// Gives back what is idle of an account, with the next exchange.
    pub(crate) fn return_idle(&mut self, account: &Account, keep: u32, now: Now) {
        let units = account.slots.shrink(keep);
        let stock = self.stocks.entry(account.id).or_default();
        stock.returned += u64::from(units);
        self.report(account, now);
    }

    /// The hub granted so many units in total.
    pub(crate) fn granted(
        &mut self,
        account: &Account,
        granted: u64,
        unflushed_max: u32,
        now: Now,
    ) {
        let stock = self.stocks.entry(account.id).or_default();
        let more = granted.saturating_sub(stock.granted);
        account.slots.extend(u32::try_from(more).unwrap_or(u32::MAX));
        stock.granted += more;
        if account.credit.set_max(unflushed_max) {
            self.report(account, now);
        }
    }

    /// The hub granted so much money in total; how much of it is new.
    pub(crate) fn granted_money(&mut self, owner: AccountId, granted: Amount) -> Amount {
        let till = self.tills.entry(owner).or_default();
        let more = granted.saturating_sub(till.granted).max(Amount::ZERO);
        till.granted = till.granted.saturating_add(more);
        more
    }

    /// Whether the call, which has ended here, was another's; asked once.
    pub(crate) fn take_anothers(&mut self, admission: u64) -> bool {
        let count = self.anothers.len();
        self.anothers.retain(|another| *another != admission);
        self.anothers.len() < count
    }

    pub(crate) fn counts(&mut self) -> &mut CallCounts {
        &mut self.counts
    }
}

/// Both clocks, read now.
pub(crate) fn now() -> Now {
    Now { boot_us: clock::boot_us(), wall_us: clock::now_us() }
}
