//! A small installation: its accounts, calls and records, and what can be done to the shard, on the
//! state machine or by the scripts.

use redis::{Cmd, Value};
use triomphe::Arc;
use ulid::Ulid;

use crate::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use crate::cap::{CapId, Caps};
use crate::clock::Moment;
use crate::directory::{Billing, WalletConfig};
use crate::embedded::WalletUse;
use crate::id::{AccountId, AccountKind, HolderId};
use crate::money::{Amount, Currency, Rate};
use crate::redis::connect::Script;
use crate::redis::decode::{self, Refusal};
use crate::redis::encode::{self, Beginning, Part};
use crate::redis::hub::{Member, ShardStanding};
use crate::redis::scripts::SCRIPTS;
use crate::state::Shard;
use crate::state::exchange::{Exchange, Reply};
use crate::state::request::{Granted, Lease, Request};

pub(super) const SHARD: u8 = 7;
pub(super) const START_MS: u64 = 1_800_000_000_000;
pub(super) const CALL_LEASE_S: u32 = 9;

pub(super) fn organization(number: u8) -> AccountId {
    AccountId::new(AccountKind::Organization, Ulid(u128::from(number) + 1))
}

pub(super) const ACCOUNTS: u8 = 6;

/// 0 and 3 draw on their organization's wallet, 1 on its own, 2 and 4 are not billed; 4 is of another
/// organization, 5 is the shadow of 3, others are configured nowhere.
pub(super) fn account(number: u8) -> AccountId {
    let id = |number| AccountId::new(AccountKind::SubAccount, Ulid(u128::from(number) + 10));
    if number == 5 { id(3).shadow() } else { id(number) }
}

pub(super) fn pins_of(number: u8) -> Option<Arc<Pins>> {
    let billing = match number {
        0 | 3 => Billing::Consolidated,
        1 => Billing::Isolated,
        _ => return None,
    };
    let rate = Rate::new(Amount::from_micros(60), 60, 60, Amount::ZERO, Amount::ZERO);
    let rate = rate.expect("a rate");
    Some(Arc::new(Pins { billing, currency: Currency::INR, rate, deck: None }))
}

/// Whose wallet an account's calls are held on.
pub(super) fn owner_of(account_number: u8) -> Option<AccountId> {
    match pins_of(account_number)?.billing {
        Billing::Isolated => Some(account(account_number)),
        Billing::Consolidated => Some(organization(0)),
    }
}

pub(super) fn call(account_number: u8, name: u8, admission: u64) -> Call {
    let facts = Facts {
        admitted_us: 1_800_000_000_000_000 + i64::from(account_number),
        admission,
        pins: pins_of(account_number),
        account: account(account_number),
        direction: Direction::Outbound,
        lease_s: 0,
    };
    let call_id = format!("call-{name}");
    let texts = Texts { call_id: &call_id, to: "+911", ..Texts::default() };
    Call::with_caps(facts, texts, caps_of(account_number, name)).expect("short")
}

/// One that is not configured, and two that are.
pub(super) fn cap(number: u8) -> CapId {
    CapId::of(Ulid(u128::from(number) + 100))
}

/// What a call takes beside its account's slot.
pub(super) fn caps_of(account_number: u8, name: u8) -> Caps {
    let caps = match name {
        2 => vec![cap(1)],
        3 => vec![cap(0), cap(1)],
        4 => vec![cap(2), cap(1)],
        5 => vec![CapId::outbound(account(account_number)), cap(2)],
        _ => vec![],
    };
    caps.into_iter().collect()
}

pub(super) fn lease(now_ms: u64, hold: i64) -> Lease {
    let second = u32::try_from(now_ms / 1_000).expect("before 2106");
    Lease {
        deadline: second + CALL_LEASE_S,
        granted: Granted::new(60, hold % 2 == 1),
        hold: Amount::from_micros(hold),
        answered: (hold % 3 == 1).then(|| Moment::at(5)),
        renewed_us: i64::try_from(now_ms).expect("small") * 1_000,
    }
}

pub(super) fn record(call: Call, now_ms: u64, cost: i64, revision: u32) -> Arc<Record> {
    Arc::new(Record {
        call,
        answered: None,
        ended_us: 1_000,
        outcome: Outcome::Busy,
        cause: if revision == 0 { Cause::Expiry } else { Cause::Release },
        billable_s: 3,
        cost: Amount::from_micros(cost),
        debt: Amount::from_micros(cost / 4),
        revision,
        granted_s: 60,
        // Some are forgotten within a list.
        forget_at: u32::try_from(now_ms / 1_000).expect("before 2106")
            + 4
            + u32::try_from(cost % 9).expect("small"),
        costs: None,
    })
}

/// Organizations, counters and wallets as a list of operations finds them.
pub(super) fn configuration(version: u64, total: u32, escrow: i64) -> Vec<Request> {
    let mut requests = vec![
        Request::Organization { id: organization(0), version, total },
        Request::Organization { id: organization(1), version, total: 3 },
    ];
    for (number, of, floor, cap) in
        [(0, 0, 2, 4), (1, 0, 0, 3), (2, 0, 1, u32::MAX), (3, 0, 0, 40), (4, 1, 1, 3)]
    {
        let (id, organization) = (account(number), organization(of));
        let outbound_cap = (number == 3).then_some(2);
        requests.push(Request::Counter { id, organization, version, floor, cap, outbound_cap });
    }
    for (number, most) in [(1, 3), (2, 1)] {
        requests.push(Request::Cap { id: cap(number), version, most: Some(most) });
    }
    requests.extend([wallet(0, version, escrow), wallet(1, version, escrow / 2)]);
    requests
}

/// Of the first organization, or of the account that has its own.
pub(super) fn wallet(number: u8, sequence: u64, escrow: i64) -> Request {
    Request::Wallet(WalletConfig {
        owner: if number == 0 { organization(0) } else { account(number) },
        organization: organization(0),
        currency: Currency::INR,
        escrow: Amount::from_micros(escrow),
        sequence,
        posted: Amount::from_micros(escrow / 16),
    })
}

/// What is done to a shard.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Exchange(Box<Exchange>),
    Begin(Beginning),
    Configure(Vec<Request>),
    /// The same with an entry of the directory, of which the state machine knows nothing.
    Publish(Part),
    Confirm(HolderId),
    Bury(HolderId),
    Standing,
    /// Of an incarnation.
    Acknowledge(u64, u64),
    Forget(u32),
    Records(u64, u32),
    RecallMoney(AccountId),
    /// All memory is gone.
    Flush,
}

#[derive(Debug, PartialEq)]
pub(super) enum Answered {
    Reply(Box<Reply>),
    Begun(bool),
    Standing(ShardStanding),
    Records(Vec<(u64, Record)>),
    Use(WalletUse),
    Done,
}

impl Deed {
    pub(super) fn on_machine(&self, shard: &mut Shard) -> Answered {
        match self.clone() {
            Self::Exchange(mut exchange) => {
                return Answered::Reply(Box::new(shard.exchange(&mut exchange)));
            }
            Self::Begin(Beginning { begin, configuration }) => {
                let begun = shard.begin(&begin);
                if begun {
                    for request in configuration {
                        shard.apply(request, 0);
                    }
                }
                return Answered::Begun(begun);
            }
            Self::Configure(requests) => {
                for request in requests {
                    shard.apply(request, 0);
                }
            }
            Self::Publish(_) => {}
            Self::Confirm(id) => shard.confirm(id),
            Self::Bury(id) => shard.bury(id),
            Self::RecallMoney(owner) => {
                shard.recall_money(owner);
                return Answered::Use(shard.wallets().used(owner));
            }
            Self::Standing => return Answered::Standing(standing(shard)),
            Self::Acknowledge(incarnation, through) => {
                if incarnation == shard.incarnation() {
                    shard.apply(Request::Acknowledge { through }, 0);
                }
            }
            Self::Forget(count) => drop(shard.apply(Request::Forget { count }, 0)),
            Self::Records(after, max) => {
                let max = usize::try_from(max).expect("small");
                let records = shard.records(after, max);
                return Answered::Records(
                    records.map(|(number, record)| (number, (**record).clone())).collect(),
                );
            }
            Self::Flush => *shard = Shard::default(),
        }
        Answered::Done
    }

    /// The script of the deed, and its argument.
    pub(super) fn call(&self) -> Option<(&'static Script, Vec<u8>)> {
        let (script, argument) = match self {
            Self::Exchange(exchange) => (&SCRIPTS.exchange, encode::exchange(exchange)),
            Self::Begin(beginning) => (&SCRIPTS.begin, encode::begin(beginning)),
            Self::Configure(requests) => {
                (&SCRIPTS.publish, encode::publish(0, Part::Whole, requests, &[]))
            }
            Self::Publish(part) => {
                let entries = [(b"name".to_vec(), b"change".to_vec())];
                let configuration = configuration(2, 21, 600);
                (&SCRIPTS.publish, encode::publish(7, *part, &configuration, &entries))
            }
            Self::Confirm(id) => (&SCRIPTS.confirm, encode::confirm(*id)),
            Self::Bury(id) => (&SCRIPTS.bury, encode::bury(*id)),
            Self::Standing => (&SCRIPTS.standing, encode::standing()),
            Self::Acknowledge(incarnation, through) => {
                (&SCRIPTS.acknowledge, encode::acknowledge(*incarnation, *through))
            }
            Self::Forget(count) => (&SCRIPTS.forget, encode::forget(*count)),
            Self::RecallMoney(owner) => (&SCRIPTS.recall_money, encode::account(*owner)),
            Self::Records(after, max) => (&SCRIPTS.records, encode::records(*after, *max)),
            Self::Flush => return None,
        };
        Some((script, argument.expect("within range")))
    }

    pub(super) fn command(&self) -> Cmd {
        match self.call() {
            Some((script, argument)) => script.call(SHARD, &[argument]),
            None => redis::cmd("FLUSHALL"),
        }
    }

    pub(super) fn answered(&self, value: Value) -> Result<Answered, Refusal> {
        Ok(match self {
            Self::Exchange(_) => Answered::Reply(Box::new(decode::reply(value)?.0)),
            Self::Begin(_) => Answered::Begun(decode::begun(value)?),
            Self::Records(..) => Answered::Records(decode::records(value)?),
            Self::RecallMoney(_) => Answered::Use(decode::wallet_use(value)?),
            Self::Standing => Answered::Standing(decode::standing(value)?),
            Self::Flush => Answered::Done,
            _ => decode::done(value).map(|()| Answered::Done)?,
        })
    }
}

/// As the state machine knows it: nothing of a directory.
fn standing(shard: &Shard) -> ShardStanding {
    let (dying, unconfirmed) = (shard.dying(), shard.unconfirmed());
    let members = shard.canonical().holders.into_keys().map(|id| Member {
        id,
        confirmed: !unconfirmed.contains(&id),
        dying: dying.contains(&id),
    });
    let last_record = shard.last_record();
    ShardStanding {
        incarnation: shard.incarnation(),
        is_learning: shard.is_learning(),
        members: members.collect(),
        directory: 0,
        last_record,
        acknowledged: last_record - shard.backlog() as u64,
        clock_ms: shard.clock_ms(),
    }
}

pub(super) fn dump_script() -> Script {
    Script::new("dump", include_str!("dump.lua"))
}
