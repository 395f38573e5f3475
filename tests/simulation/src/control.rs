//! The control plane of the simulation: configuration, the list of holders, the ledger. It is always
//! up; its database forgets nothing.

use std::collections::{BTreeMap, BTreeSet};

use hub::directory::WalletConfig;
use hub::id::{AccountId, HolderId};
use hub::money::{Amount, Currency};
use hub::state::exchange::Begin;
use hub::state::request::Request;
use rand::Rng;
use rand::rngs::StdRng;

use crate::installation::{accounts, cap, hold, organization};
use crate::world::{Happening, World};

/// How often it looks.
const EVERY_US: i64 = 200_000;
/// One call lease, the time of a reap, and some more.
const LEARN_MS: u64 = 97_000;
/// Nobody has a call of a holder that has been gone for so long.
const CALLS_OUTLIVE_US: i64 = 97_000_000;
/// Records read at once.
const RECORDS_MAX: usize = 100;

/// One call, whatever becomes of it.
type Posting = (AccountId, Box<str>, u64, i64);

#[derive(Debug)]
pub struct Control {
    pub caps: [u32; 2],
    pub floors: [u32; 2],
    pub total: u32,
    /// Calls from the number, at most.
    pub from_number: u32,
    /// Whether the organization's total can be what refuses.
    escrow: Amount,
    sequence: u64,
    incarnation: u64,
    holders: BTreeSet<HolderId>,
    /// When a holder was struck out last: its calls may outlive it, and a hub that loses its memory
    /// must know that there may be some.
    struck_out_us: Option<i64>,
    /// The latest of the hub's clock.
    clock_seen_ms: u64,
    ledger: BTreeMap<Posting, Amount>,
    read: u64,
}

impl Control {
    pub fn new(rng: &mut StdRng) -> Self {
        let caps = [[4, 12], [40, 40], [100, 7], [9, 200]][rng.random_range(0..4)];
        let floors = caps.map(|cap| rng.random_range(0..=cap / 2));
        let least = floors[0] + floors[1];
        let total = rng.random_range(least.max(1)..=caps[0] + caps[1]);
        let calls = [5, 20, 1_000, 100_000][rng.random_range(0..4)];
        Self {
            caps,
            floors,
            total,
            from_number: [1, 3, 20][rng.random_range(0..3)],
            escrow: Amount::from_micros(hold().micros() * calls),
            sequence: 1,
            incarnation: 0,
            holders: BTreeSet::new(),
            struck_out_us: None,
            clock_seen_ms: 0,
            ledger: BTreeMap::new(),
            read: 0,
        }
    }

    pub fn posted(&self) -> u64 {
        self.ledger.len() as u64
    }

    pub fn has_posted(&self, account: AccountId, call_id: &str) -> bool {
        self.ledger.keys().any(|posting| posting.0 == account && &*posting.1 == call_id)
    }

    /// What the ledger has, in whole.
    pub fn spent(&self) -> Amount {
        self.ledger.values().fold(Amount::ZERO, |sum, cost| sum.saturating_add(*cost))
    }

    pub fn escrow(&self) -> Amount {
        self.escrow
    }

    /// How long from now there may be calls whose holder was struck out.
    fn calls_outlive_ms(&self, now_us: i64) -> u64 {
        let until_us = self.struck_out_us.map_or(0, |at_us| at_us + CALLS_OUTLIVE_US);
        u64::try_from((until_us - now_us) / 1_000).unwrap_or(0)
    }

    fn configuration(&self) -> Vec<Request> {
        let mut requests =
            vec![Request::Organization { id: organization(), version: 1, total: self.total }];
        for (index, id) in accounts().into_iter().enumerate() {
            let (floor, cap) = (self.floors[index], self.caps[index]);
            let organization = organization();
            let (version, outbound_cap) = (1, None);
            requests.push(Request::Counter { id, organization, version, floor, cap, outbound_cap });
        }
        requests.push(Request::Cap { id: cap(), version: 1, most: Some(self.from_number) });
        requests.push(self.wallet());
        requests
    }

    fn wallet(&self) -> Request {
        Request::Wallet(WalletConfig {
            owner: organization(),
            organization: organization(),
            currency: Currency::INR,
            escrow: self.escrow,
            sequence: self.sequence,
            posted: self.spent(),
        })
    }

    pub fn happens(world: &mut World) {
        world.after(EVERY_US, Happening::Control);
        if world.now_us < world.hub.down_until_us {
            return;
        }
        let (wall_ms, now_us) = (world.wall_ms(), world.now_us);
        let (control, hub) = (&mut world.control, &mut world.hub);
        if hub.is_unsealed {
            control.incarnation += 1;
            control.read = 0;
            for request in control.configuration() {
                hub.shard.apply(request, 0);
            }
            hub.shard.begin(&Begin {
                incarnation: control.incarnation,
                holders: control.holders.iter().copied().collect(),
                learn_min_ms: control.calls_outlive_ms(now_us),
                learn_max_ms: LEARN_MS,
                call_lease_s: 90,
                clock_ms: wall_ms,
                clock_seen_ms: control.clock_seen_ms,
            });
            hub.is_unsealed = false;
            let incarnation = control.incarnation;
            world.tell(|| format!("incarnation {incarnation} begins"));
        }
        let (control, hub) = (&mut world.control, &mut world.hub);
        control.clock_seen_ms = control.clock_seen_ms.max(hub.shard.clock_ms());
        for id in hub.shard.unconfirmed() {
            control.holders.insert(id);
            hub.shard.confirm(id);
        }
        for id in hub.shard.dying() {
            control.holders.remove(&id);
            control.struck_out_us = Some(now_us);
            hub.shard.bury(id);
        }
        if !hub.shard.is_learning() {
            let count = control.holders.len();
            control.holders.retain(|id| hub.shard.has_holder(*id));
            if control.holders.len() < count {
                control.struck_out_us = Some(now_us);
            }
        }
        if world.rng.random_ratio(1, 20) {
            // A recharge of a few calls.
            control.escrow =
                control.escrow.saturating_add(Amount::from_micros(hold().micros() * 3));
            control.sequence += 1;
            hub.shard.apply(control.wallet_without_posted(), 0);
        }
        if world.rng.random_ratio(1, 2) {
            let acknowledge = world.rng.random_ratio(9, 10);
            Self::post(world, acknowledge);
        }
    }

    /// Between two incarnations the hub counts by itself what is spent.
    fn wallet_without_posted(&self) -> Request {
        match self.wallet() {
            Request::Wallet(config) => {
                Request::Wallet(WalletConfig { posted: Amount::ZERO, ..config })
            }
            other => other,
        }
    }

    /// Posts each record once, whoever brings it, and however often.
    fn post(world: &mut World, acknowledge: bool) {
        let (control, hub) = (&mut world.control, &mut world.hub);
        let records: Vec<_> = hub
            .shard
            .records(control.read, RECORDS_MAX)
            .map(|(number, record)| (number, triomphe::Arc::clone(record)))
            .collect();
        for (number, record) in records {
            let facts = record.call.facts();
            let call_id = record.call.texts().call_id.into();
            let posting = (facts.account, call_id, facts.admission, facts.admitted_us);
            control.ledger.entry(posting).or_insert(record.cost);
            control.read = number;
        }
        if acknowledge {
            hub.shard.apply(Request::Acknowledge { through: control.read }, 0);
        }
    }
}
