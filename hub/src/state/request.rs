//! What the state machine is asked and answers, and the binary form of the requests: the journal
//! holds exactly these.

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::clock::{EpochSeconds, Moment};
use crate::codec::{Malformed, Reader, Writer};
use crate::denial::Scope;
use crate::directory::WalletConfig;
use crate::id::{AccountId, HolderId};
use crate::money::{Amount, Currency};
use crate::state::record_codec::{
    read_call, read_lease, read_record, write_call, write_lease, write_record,
};

/// One request to a shard. Repeating one changes nothing more.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// What an organization bought; replaces a lower version.
    Organization {
        id: AccountId,
        version: u64,
        total: u32,
    },
    /// The limits of a counter; replaces a lower version. A counter without calls or leases is
    /// removed by `CounterGone`.
    Counter {
        id: AccountId,
        organization: AccountId,
        version: u64,
        floor: u32,
        cap: u32,
    },
    CounterGone {
        id: AccountId,
    },
    Wallet(WalletConfig),
    /// The one holder of an embedded hub: reaps every other at once and takes its calls over.
    TakeOver {
        holder: HolderId,
        call_lease_s: u32,
    },
    Sync(Sync),
    /// The ledger has posted all records up to and including this one.
    Acknowledge {
        through: u64,
    },
    /// Drops the oldest tombstones: there are more than are kept.
    Forget {
        count: u32,
    },
}

/// What a holder reports and wants: cumulative counters, and the events since its last request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sync {
    pub holder: HolderId,
    pub events: Vec<Event>,
    pub returns: Vec<Return>,
    pub wants: Vec<Want>,
}

impl Sync {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.returns.is_empty() && self.wants.is_empty()
    }
}

/// What happened to a call at its holder.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Admitted {
        call: Call,
        lease: Lease,
    },
    /// The state of a live call after an answer or a renew.
    Renewed {
        call: Call,
        lease: Lease,
    },
    Ended(Arc<Record>),
}

/// The changing part of a live call: 32 bytes, kept twice for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The call ends then unless renewed.
    pub deadline: EpochSeconds,
    pub granted: Granted,
    /// Money set aside.
    pub hold: Amount,
    /// `None`: not answered yet.
    pub answered: Option<Moment>,
    /// The last admit, answer or renew, in microseconds since 1970.
    pub renewed_us: i64,
}

const _: () = assert!(size_of::<Lease>() == 32);

impl Lease {
    /// Seconds the call may last from its answer; 0: unlimited.
    pub const fn granted_s(&self) -> u32 {
        self.granted.0 & Granted::SECONDS
    }

    /// Whether no more than that can be funded.
    pub const fn is_final(&self) -> bool {
        self.granted.0 & !Granted::SECONDS != 0
    }

    /// Microseconds since 1970; `None`: not answered yet.
    pub fn answered_us(&self) -> Option<i64> {
        self.answered.map(Moment::us)
    }
}

/// Granted seconds and whether they are final, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted(u32);

impl Granted {
    const SECONDS: u32 = u32::MAX >> 1;

    /// `seconds` is cut to 31 bits: 68 years.
    pub const fn new(seconds: u32, is_final: bool) -> Self {
        let seconds = if seconds > Self::SECONDS { Self::SECONDS } else { seconds };
        Self(if is_final { seconds | !Self::SECONDS } else { seconds })
    }

    pub(super) const fn to_bits(self) -> u32 {
        self.0
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// The units of a counter that a holder has given back, in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    pub counter: AccountId,
    pub returned: u64,
}

/// A holder asks for units of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub counter: AccountId,
    pub units: u32,
    /// Every holder has already given back what it has idle above floors.
    pub recalled: bool,
}

/// The answer to a [`Want`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// So many units more, at least one.
    Granted(u32),
    /// Idle units above floors must come back before a refusal would be true.
    Recall,
    /// Every unit is in use or promised. `limit` is the cap or the total.
    Refused { scope: Scope, limit: u32 },
    /// The counter or its organization was never configured here.
    Unknown,
}

/// What the state machine answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// One for each want, in order.
    pub wanted: Vec<Wanted>,
    /// Positions of `Admitted` events that another admission of the same `call_id` had preceded:
    /// the holder undoes them (rule 10).
    pub rejected: Vec<usize>,
}

/// First byte of a request's binary form. Values are part of the format; never reuse one.
mod tag {
    pub(super) const ORGANIZATION: u8 = 1;
    pub(super) const COUNTER: u8 = 2;
    pub(super) const COUNTER_GONE: u8 = 3;
    pub(super) const WALLET: u8 = 4;
    pub(super) const TAKE_OVER: u8 = 5;
    pub(super) const SYNC: u8 = 6;
    pub(super) const ACKNOWLEDGE: u8 = 7;
    pub(super) const FORGET: u8 = 8;
    pub(super) const ADMITTED: u8 = 1;
    pub(super) const RENEWED: u8 = 2;
    pub(super) const ENDED: u8 = 3;
}

pub fn write_request(writer: &mut Writer<'_>, request: &Request) {
    match request {
        Request::Organization { id, version, total } => {
            writer.byte(tag::ORGANIZATION);
            write_account(writer, *id);
            writer.unsigned(*version);
            writer.unsigned(u64::from(*total));
        }
        Request::Counter { id, organization, version, floor, cap } => {
            writer.byte(tag::COUNTER);
            write_account(writer, *id);
            write_account(writer, *organization);
            writer.unsigned(*version);
            writer.unsigned(u64::from(*floor));
            writer.unsigned(u64::from(*cap));
        }
        Request::CounterGone { id } => {
            writer.byte(tag::COUNTER_GONE);
            write_account(writer, *id);
        }
        Request::Wallet(wallet) => {
            writer.byte(tag::WALLET);
            write_wallet(writer, wallet);
        }
        Request::TakeOver { holder, call_lease_s } => {
            writer.byte(tag::TAKE_OVER);
            writer.fixed(holder.0.to_le_bytes());
            writer.unsigned(u64::from(*call_lease_s));
        }
        Request::Sync(sync) => write_sync(writer, sync),
        Request::Acknowledge { through } => {
            writer.byte(tag::ACKNOWLEDGE);
            writer.unsigned(*through);
        }
        Request::Forget { count } => {
            writer.byte(tag::FORGET);
            writer.unsigned(u64::from(*count));
        }
    }
}

pub fn read_request(reader: &mut Reader<'_>) -> Result<Request, Malformed> {
    Ok(match reader.byte()? {
        tag::ORGANIZATION => Request::Organization {
            id: read_account(reader)?,
            version: reader.unsigned()?,
            total: reader.small()?,
        },
        tag::COUNTER => Request::Counter {
            id: read_account(reader)?,
            organization: read_account(reader)?,
            version: reader.unsigned()?,
            floor: reader.small()?,
            cap: reader.small()?,
        },
        tag::COUNTER_GONE => Request::CounterGone { id: read_account(reader)? },
        tag::WALLET => Request::Wallet(read_wallet(reader)?),
        tag::TAKE_OVER => Request::TakeOver {
            holder: HolderId(u128::from_le_bytes(reader.fixed()?)),
            call_lease_s: reader.small()?,
        },
        tag::SYNC => Request::Sync(read_sync(reader)?),
        tag::ACKNOWLEDGE => Request::Acknowledge { through: reader.unsigned()? },
        tag::FORGET => Request::Forget { count: reader.small()? },
        _ => return Err(Malformed("an unknown request")),
    })
}

/// A sync is written from where it is: the hot path makes no copy of it.
pub fn write_sync(writer: &mut Writer<'_>, sync: &Sync) {
    writer.byte(tag::SYNC);
    writer.fixed(sync.holder.0.to_le_bytes());
    writer.unsigned(sync.returns.len() as u64);
    for part in &sync.returns {
        write_account(writer, part.counter);
        writer.unsigned(part.returned);
    }
    writer.unsigned(sync.wants.len() as u64);
    for want in &sync.wants {
        write_account(writer, want.counter);
        writer.unsigned(u64::from(want.units));
        writer.byte(u8::from(want.recalled));
    }
    writer.unsigned(sync.events.len() as u64);
    for event in &sync.events {
        match event {
            Event::Admitted { call, lease } => {
                writer.byte(tag::ADMITTED);
                write_call(writer, call);
                write_lease(writer, lease);
            }
            Event::Renewed { call, lease } => {
                writer.byte(tag::RENEWED);
                write_call(writer, call);
                write_lease(writer, lease);
            }
            Event::Ended(record) => {
                writer.byte(tag::ENDED);
                write_record(writer, record);
            }
        }
    }
}

fn read_sync(reader: &mut Reader<'_>) -> Result<Sync, Malformed> {
    let mut sync =
        Sync { holder: HolderId(u128::from_le_bytes(reader.fixed()?)), ..Sync::default() };
    for _ in 0..reader.unsigned()? {
        sync.returns.push(Return { counter: read_account(reader)?, returned: reader.unsigned()? });
    }
    for _ in 0..reader.unsigned()? {
        sync.wants.push(Want {
            counter: read_account(reader)?,
            units: reader.small()?,
            recalled: reader.byte()? != 0,
        });
    }
    for _ in 0..reader.unsigned()? {
        sync.events.push(match reader.byte()? {
            tag::ADMITTED => {
                Event::Admitted { call: read_call(reader)?, lease: read_lease(reader)? }
            }
            tag::RENEWED => Event::Renewed { call: read_call(reader)?, lease: read_lease(reader)? },
            tag::ENDED => Event::Ended(Arc::new(read_record(reader)?)),
            _ => return Err(Malformed("an unknown event")),
        });
    }
    Ok(sync)
}

pub(super) fn write_wallet(writer: &mut Writer<'_>, wallet: &WalletConfig) {
    write_account(writer, wallet.owner);
    write_account(writer, wallet.organization);
    writer.fixed(wallet.currency.to_bytes());
    writer.signed(wallet.escrow.micros());
    writer.unsigned(wallet.sequence);
    writer.signed(wallet.posted.micros());
}

pub(super) fn read_wallet(reader: &mut Reader<'_>) -> Result<WalletConfig, Malformed> {
    Ok(WalletConfig {
        owner: read_account(reader)?,
        organization: read_account(reader)?,
        currency: Currency::from_bytes(reader.fixed()?).ok_or(Malformed("a currency"))?,
        escrow: Amount::from_micros(reader.signed()?),
        sequence: reader.unsigned()?,
        posted: Amount::from_micros(reader.signed()?),
    })
}

pub(super) fn write_account(writer: &mut Writer<'_>, id: AccountId) {
    writer.fixed(id.to_bytes());
}

pub(super) fn read_account(reader: &mut Reader<'_>) -> Result<AccountId, Malformed> {
    AccountId::from_bytes(&reader.fixed()?).ok_or(Malformed("an account id"))
}
