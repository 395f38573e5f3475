//! The binary form of requests: the journal holds exactly these.

use triomphe::Arc;

use crate::cap::CapId;
use crate::codec::{Malformed, Reader, Writer};
use crate::directory::WalletConfig;
use crate::id::{AccountId, HolderId};
use crate::money::{Amount, Currency};
use crate::state::record_codec::{
    read_call, read_lease, read_record, write_call, write_lease, write_record,
};
use crate::state::request::{Event, Fund, Holding, Purse, Request, Sync, Want};

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
    /// A counter whose outbound calls have a cap; one without has the form of before.
    pub(super) const COUNTER_WITH_OUTBOUND_CAP: u8 = 9;
    pub(super) const CAP: u8 = 10;
    pub(super) const CAP_GONE: u8 = 11;
    pub(super) const ADMITTED: u8 = 1;
    pub(super) const RENEWED: u8 = 2;
    pub(super) const ENDED: u8 = 3;
    pub(super) const WANTED: u8 = 4;
    pub(super) const ADOPTED: u8 = 5;
    pub(super) const WITHDRAWN: u8 = 6;
    /// Wanted by a holder that has a unit for it.
    pub(super) const WANTED_ON_UNIT: u8 = 7;
}

pub fn write_request(writer: &mut Writer<'_>, request: &Request) {
    match request {
        Request::Organization { id, version, total } => {
            writer.byte(tag::ORGANIZATION);
            write_account(writer, *id);
            writer.unsigned(*version);
            writer.unsigned(u64::from(*total));
        }
        Request::Counter { id, organization, version, floor, cap, outbound_cap } => {
            writer.byte(match outbound_cap {
                None => tag::COUNTER,
                Some(_) => tag::COUNTER_WITH_OUTBOUND_CAP,
            });
            write_account(writer, *id);
            write_account(writer, *organization);
            writer.unsigned(*version);
            writer.unsigned(u64::from(*floor));
            writer.unsigned(u64::from(*cap));
            if let Some(most) = outbound_cap {
                writer.unsigned(u64::from(*most));
            }
        }
        Request::Cap { id, version, most } => {
            writer.byte(tag::CAP);
            writer.fixed(id.to_bytes());
            writer.unsigned(*version);
            writer.optional(*most, |writer, most| writer.unsigned(most.into()));
        }
        Request::CapGone { id } => {
            writer.byte(tag::CAP_GONE);
            writer.fixed(id.to_bytes());
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
        tag @ (tag::COUNTER | tag::COUNTER_WITH_OUTBOUND_CAP) => Request::Counter {
            id: read_account(reader)?,
            organization: read_account(reader)?,
            version: reader.unsigned()?,
            floor: reader.small()?,
            cap: reader.small()?,
            outbound_cap: (tag == tag::COUNTER_WITH_OUTBOUND_CAP)
                .then(|| reader.small())
                .transpose()?,
        },
        tag::CAP => Request::Cap {
            id: CapId::from_bytes(reader.fixed()?),
            version: reader.unsigned()?,
            most: reader.optional(Reader::small)?,
        },
        tag::CAP_GONE => Request::CapGone { id: CapId::from_bytes(reader.fixed()?) },
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
    writer.unsigned(sync.holdings.len() as u64);
    for holding in &sync.holdings {
        write_account(writer, holding.counter);
        writer.unsigned(holding.granted);
        writer.unsigned(holding.returned);
        writer.unsigned(u64::from(holding.unflushed_max));
    }
    writer.unsigned(sync.wants.len() as u64);
    for want in &sync.wants {
        write_account(writer, want.counter);
        writer.unsigned(u64::from(want.units));
        writer.byte(u8::from(want.recalled));
    }
    writer.unsigned(sync.purses.len() as u64);
    for purse in &sync.purses {
        write_account(writer, purse.owner);
        writer.signed(purse.granted.micros());
        writer.signed(purse.returned.micros());
        writer.signed(purse.unflushed_max.micros());
    }
    writer.unsigned(sync.funds.len() as u64);
    for fund in &sync.funds {
        write_account(writer, fund.owner);
        writer.signed(fund.least.micros());
        writer.signed(fund.most.micros());
    }
    writer.unsigned(sync.events.len() as u64);
    sync.events.iter().for_each(|event| write_event(writer, event));
}

fn write_event(writer: &mut Writer<'_>, event: &Event) {
    let mut leased = |tag, call, lease| {
        writer.byte(tag);
        write_call(writer, call);
        write_lease(writer, lease);
    };
    match event {
        Event::Admitted { call, lease } => leased(tag::ADMITTED, call, lease),
        Event::Wanted { call, lease, has_unit: false } => leased(tag::WANTED, call, lease),
        Event::Wanted { call, lease, has_unit: true } => {
            leased(tag::WANTED_ON_UNIT, call, lease);
        }
        Event::Renewed { call, lease } => leased(tag::RENEWED, call, lease),
        Event::Adopted { call, lease } => leased(tag::ADOPTED, call, lease),
        Event::Withdrawn(call) => {
            writer.byte(tag::WITHDRAWN);
            write_call(writer, call);
        }
        Event::Ended(record) => {
            writer.byte(tag::ENDED);
            write_record(writer, record);
        }
    }
}

fn read_sync(reader: &mut Reader<'_>) -> Result<Sync, Malformed> {
    let mut sync =
        Sync { holder: HolderId(u128::from_le_bytes(reader.fixed()?)), ..Sync::default() };
    for _ in 0..reader.unsigned()? {
        sync.holdings.push(Holding {
            counter: read_account(reader)?,
            granted: reader.unsigned()?,
            returned: reader.unsigned()?,
            unflushed_max: reader.small()?,
        });
    }
    for _ in 0..reader.unsigned()? {
        sync.wants.push(Want {
            counter: read_account(reader)?,
            units: reader.small()?,
            recalled: reader.byte()? != 0,
        });
    }
    for _ in 0..reader.unsigned()? {
        sync.purses.push(Purse {
            owner: read_account(reader)?,
            granted: Amount::from_micros(reader.signed()?),
            returned: Amount::from_micros(reader.signed()?),
            unflushed_max: Amount::from_micros(reader.signed()?),
        });
    }
    for _ in 0..reader.unsigned()? {
        sync.funds.push(Fund {
            owner: read_account(reader)?,
            least: Amount::from_micros(reader.signed()?),
            most: Amount::from_micros(reader.signed()?),
        });
    }
    for _ in 0..reader.unsigned()? {
        sync.events.push(read_event(reader)?);
    }
    Ok(sync)
}

fn read_event(reader: &mut Reader<'_>) -> Result<Event, Malformed> {
    let tag = reader.byte()?;
    if tag == tag::ENDED {
        return Ok(Event::Ended(Arc::new(read_record(reader)?)));
    }
    let call = read_call(reader)?;
    if tag == tag::WITHDRAWN {
        return Ok(Event::Withdrawn(call));
    }
    let lease = read_lease(reader)?;
    Ok(match tag {
        tag::ADMITTED => Event::Admitted { call, lease },
        tag::WANTED => Event::Wanted { call, lease, has_unit: false },
        tag::WANTED_ON_UNIT => Event::Wanted { call, lease, has_unit: true },
        tag::RENEWED => Event::Renewed { call, lease },
        tag::ADOPTED => Event::Adopted { call, lease },
        _ => return Err(Malformed("an unknown event")),
    })
}

pub(crate) fn write_wallet(writer: &mut Writer<'_>, wallet: &WalletConfig) {
    write_account(writer, wallet.owner);
    write_account(writer, wallet.organization);
    writer.fixed(wallet.currency.to_bytes());
    writer.signed(wallet.escrow.micros());
    writer.unsigned(wallet.sequence);
    writer.signed(wallet.posted.micros());
}

pub(crate) fn read_wallet(reader: &mut Reader<'_>) -> Result<WalletConfig, Malformed> {
    Ok(WalletConfig {
        owner: read_account(reader)?,
        organization: read_account(reader)?,
        currency: Currency::from_bytes(reader.fixed()?).ok_or(Malformed("a currency"))?,
        escrow: Amount::from_micros(reader.signed()?),
        sequence: reader.unsigned()?,
        posted: Amount::from_micros(reader.signed()?),
    })
}

pub(crate) fn write_account(writer: &mut Writer<'_>, id: AccountId) {
    writer.fixed(id.to_bytes());
}

pub(crate) fn read_account(reader: &mut Reader<'_>) -> Result<AccountId, Malformed> {
    AccountId::from_bytes(&reader.fixed()?).ok_or(Malformed("an account id"))
}
