//! What processes that share a hub are promised, each with a hub of its own on one real server: an
//! organization with one account, its holders, and its control plane.

mod directory;
mod limits;
mod loss;
mod reports;
mod wake_ups;

use hub::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use hub::directory::{
    AccountConfig, AtZero, Billing, Change, OnHubLoss, OrganizationConfig, Status, WalletConfig,
};
use hub::id::{AccountId, AccountKind, HolderId, Ulid};
use hub::key::{KeyHash, KeyScope};
use hub::money::{Amount, Currency, Rate};
use hub::redis::encode::Beginning;
use hub::redis::hub::RedisHub;
use hub::shared::{Exchanged, NoAnswer, Published, SharedHub as _};
use hub::state::exchange::{Begin, Exchange, Standing};
use hub::state::request::{Granted, Lease, Request, Sync};
use support::wait::wait_until;
use tokio::runtime::Runtime;
use triomphe::Arc;

use crate::hub::{Hub, READY_MAX};

pub const START_S: u32 = 1_800_000_000;
pub const CAP: u32 = 4;

pub fn organization() -> AccountId {
    AccountId::new(AccountKind::Organization, Ulid(1))
}

pub fn account(number: u32) -> AccountId {
    AccountId::new(AccountKind::SubAccount, Ulid(u128::from(number) + 1))
}

pub fn shard() -> u8 {
    organization().shard()
}

/// One process with its hub.
pub struct Process {
    pub hub: RedisHub,
    pub runtime: Runtime,
}

impl Process {
    pub fn at(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let hub = RedisHub::start(url.parse().unwrap(), &Hub::patient()).unwrap();
        drop(entered);
        let process = Self { hub, runtime };
        wait_until("the hub is up", READY_MAX, || process.hub.is_up());
        process
    }

    pub fn wait<T>(&self, later: impl Future<Output = T>) -> T {
        self.runtime.block_on(later)
    }

    /// As a control plane: an incarnation with these holders, the limits, and nothing published yet.
    pub fn begin(&self, incarnation: u64, holders: &[HolderId]) -> bool {
        let begin = Begin {
            incarnation,
            holders: holders.to_vec(),
            learn_min_ms: 0,
            learn_max_ms: 5_000,
            call_lease_s: 90,
            clock_ms: u64::from(START_S) * 1_000,
            clock_seen_ms: 0,
        };
        let changes = [organization_change(1), account_change(0, 1), wallet_change(1_000)];
        let configuration = changes.iter().filter_map(Request::of).collect();
        let beginning = Beginning { begin, configuration };
        self.wait(self.hub.begin(shard(), &beginning)).unwrap()
    }

    pub fn publish(&self, number: u64, changes: &[Change]) {
        self.wait(self.hub.publish(shard(), number, changes)).unwrap();
    }

    pub fn republish(&self, number: u64, changes: &[Change], is_last: bool) {
        self.wait(self.hub.republish(shard(), number, changes, is_last)).unwrap();
    }

    pub fn directory(&self, after: u64) -> Result<Published, NoAnswer> {
        self.wait(self.hub.directory(shard(), after))
    }

    pub fn exchange(&self, exchange: &Exchange) -> Result<Exchanged, NoAnswer> {
        self.wait(self.hub.exchange(shard(), exchange, false))
    }
}

/// A gateway of one holder: it numbers its exchanges.
pub struct Gateway {
    pub process: Process,
    pub id: HolderId,
    pub incarnation: u64,
    number: u64,
}

impl Gateway {
    pub fn new(url: &str, id: u128) -> Self {
        Self { process: Process::at(url), id: HolderId(id), incarnation: 0, number: 0 }
    }

    /// Joins the incarnation that there is.
    pub fn join(&mut self) {
        let told = self.exchange(Exchange::default()).unwrap();
        assert_eq!(told.reply.standing, Standing::OtherIncarnation);
        self.incarnation = told.reply.incarnation;
    }

    pub fn exchange(&mut self, exchange: Exchange) -> Result<Exchanged, NoAnswer> {
        self.number += 1;
        let sync = Sync { holder: self.id, ..exchange.sync };
        let (incarnation, number) = (self.incarnation, self.number);
        self.process.exchange(&Exchange { incarnation, number, sync, ..exchange })
    }

    /// What it reports and wants; it is a member.
    pub fn sync(&mut self, sync: Sync) -> Exchanged {
        let told = self.exchange(Exchange { sync, ..Exchange::default() }).unwrap();
        assert_eq!(told.reply.standing, Standing::Member);
        told
    }
}

pub fn organization_change(version: u64) -> Change {
    Change::Organization(OrganizationConfig {
        id: organization(),
        version,
        status: Status::Active,
        total: 100,
        currency: Currency::INR,
        default_pricing: None,
    })
}

pub fn account_change(number: u32, version: u64) -> Change {
    Change::Account(AccountConfig {
        id: account(number),
        organization: organization(),
        version,
        status: Status::Active,
        floor: 0,
        cap: Some(CAP),
        outbound_cap: None,
        cps_limit: None,
        region: None,
        billing: Billing::Consolidated,
        pricing: None,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        is_over_budget: false,
    })
}

pub fn wallet_change(escrow: i64) -> Change {
    Change::Wallet(WalletConfig {
        owner: organization(),
        organization: organization(),
        currency: Currency::INR,
        escrow: Amount::from_micros(escrow),
        sequence: 1,
        posted: Amount::ZERO,
    })
}

pub fn key_hash(number: u32) -> KeyHash {
    KeyHash::of(&number.to_le_bytes())
}

pub fn key_change(number: u32) -> Change {
    let (hash, scope) = (key_hash(number), KeyScope::Account(account(number)));
    Change::Key { hash, scope, organization: Some(organization()), expires_us: None }
}

pub fn call(name: u32) -> Call {
    let rate = Rate::new(Amount::from_micros(60), 60, 60, Amount::ZERO, Amount::ZERO).unwrap();
    let pins = Pins { billing: Billing::Consolidated, currency: Currency::INR, rate, deck: None };
    let facts = Facts {
        admitted_us: i64::from(START_S) * 1_000_000,
        admission: name.into(),
        pins: Some(Arc::new(pins)),
        account: account(0),
        direction: Direction::Outbound,
        lease_s: 0,
    };
    let call_id = format!("call-{name}");
    Call::new(facts, Texts { call_id: &call_id, to: "+911", ..Texts::default() }).unwrap()
}

pub fn lease(hold: i64) -> Lease {
    Lease {
        deadline: START_S + 90,
        granted: Granted::new(60, false),
        hold: Amount::from_micros(hold),
        answered: None,
        renewed_us: i64::from(START_S) * 1_000_000,
    }
}

pub fn record(call: Call, cost: i64) -> Arc<Record> {
    Arc::new(Record {
        call,
        answered: None,
        ended_us: i64::from(START_S) * 1_000_000,
        outcome: Outcome::Completed,
        cause: Cause::Release,
        billable_s: 3,
        cost: Amount::from_micros(cost),
        debt: Amount::ZERO,
        revision: 0,
        granted_s: 60,
        forget_at: START_S + 600,
        costs: None,
    })
}
