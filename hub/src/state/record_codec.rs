//! The binary form of calls, leases and records: parts of fixed width, each written at once, then the
//! texts. Little endian. This is most of what a busy journal holds.

use triomphe::Arc;

use crate::call::{Call, Cause, Direction, Facts, Lengths, Outcome, PinnedDeck, Pins, Record};
use crate::cap::{CapId, Caps};
use crate::clock::Moment;
use crate::codec::{Fixed, Malformed, Reader, Writer};
use crate::costs::CostKinds;
use crate::deck::part::read_rounding;
use crate::deck::{DeckId, DeckVersion};
use crate::directory::Billing;
use crate::id::AccountId;
use crate::money::{Amount, Currency, Rate, Rounding};
use crate::state::request::{Granted, Lease};
use crate::state::request_codec::read_account;

/// Account, admission, `admitted_us`, `lease_s`, direction and how many caps follow the texts (in the
/// lowest bit, and above it), whether billed, lengths of the texts.
const FACTS: usize = AccountId::LEN + 8 + 8 + 4 + 1 + 1 + 5;
/// Bits of the direction.
const CAPS_SHIFT: u8 = 1;
/// Billing, currency, per minute, initial and further increment, connect fee, minimum.
const PINS: usize = 1 + 3 + 8 + 4 + 4 + 8 + 8;
/// After the pins of a call that a deck prices: decimals and mode of its rounding, the deck, its version,
/// which costs are charged.
const DECK: usize = 1 + 1 + DeckId::LEN + 4 + 1;
/// Whether and how a call is billed. Values are part of the format; never reuse one.
const UNBILLED: u8 = 0;
const BILLED: u8 = 1;
const BILLED_BY_DECK: u8 = 2;
/// Deadline, grant, hold, answered (0: not yet), renewed.
const LEASE: usize = 4 + 4 + 8 + 8 + 8;
/// Answered (0: never), ended, cost, debt, billable, revision, granted (0: unlimited), forget at,
/// outcome, cause, whether costs follow.
const ENDING: usize = 4 * 8 + 4 * 4 + 3;

pub fn write_call(writer: &mut Writer<'_>, call: &Call) {
    let facts = call.facts();
    let (lengths, texts) = call.joined_texts();
    let caps = call.caps();
    let direction = facts.direction as u8 | caps.count() << CAPS_SHIFT;
    let mut fixed = Fixed::<FACTS>::default();
    fixed.put(facts.account.to_bytes());
    fixed.put(facts.admission.to_le_bytes());
    fixed.put(facts.admitted_us.to_le_bytes());
    fixed.put(facts.lease_s.to_le_bytes());
    fixed.put([direction, billed(facts.pins.as_deref())]);
    fixed.put(lengths.0);
    writer.fixed(fixed.finish());
    if let Some(pins) = &facts.pins {
        write_pins(writer, pins);
    }
    writer.0.extend_from_slice(texts);
    caps.as_slice().iter().for_each(|id| writer.fixed(id.to_bytes()));
}

const fn billed(pins: Option<&Pins>) -> u8 {
    match pins {
        None => UNBILLED,
        Some(Pins { deck: None, .. }) => BILLED,
        Some(Pins { deck: Some(_), .. }) => BILLED_BY_DECK,
    }
}

fn write_pins(writer: &mut Writer<'_>, pins: &Pins) {
    let rate = &pins.rate;
    let mut fixed = Fixed::<PINS>::default();
    fixed.put([match pins.billing {
        Billing::Isolated => 0,
        Billing::Consolidated => 1,
    }]);
    fixed.put(pins.currency.to_bytes());
    fixed.put(rate.per_minute().micros().to_le_bytes());
    fixed.put(rate.initial_s().to_le_bytes());
    fixed.put(rate.increment_s().to_le_bytes());
    fixed.put(rate.connect_fee().micros().to_le_bytes());
    fixed.put(rate.minimum().micros().to_le_bytes());
    writer.fixed(fixed.finish());
    if let Some(deck) = &pins.deck {
        write_deck(writer, rate.rounding(), deck);
    }
}

fn write_deck(writer: &mut Writer<'_>, rounding: Rounding, deck: &PinnedDeck) {
    let mut fixed = Fixed::<DECK>::default();
    fixed.put([rounding.decimals(), rounding.mode() as u8]);
    fixed.put(deck.version.deck.to_bytes());
    fixed.put(deck.version.number.to_le_bytes());
    fixed.put([deck.billed.to_byte()]);
    writer.fixed(fixed.finish());
}

fn read_deck(reader: &mut Reader<'_>) -> Result<(Rounding, PinnedDeck), Malformed> {
    let rounding = read_rounding(reader)?;
    let deck = DeckId::from_bytes(reader.fixed()?);
    let version = DeckVersion { deck, number: half(reader)? };
    let billed = CostKinds::from_byte(reader.byte()?).ok_or(Malformed("kinds of costs"))?;
    Ok((rounding, PinnedDeck { version, billed }))
}

fn read_pins(reader: &mut Reader<'_>, is_by_deck: bool) -> Result<Pins, Malformed> {
    let billing = match reader.byte()? {
        0 => Billing::Isolated,
        1 => Billing::Consolidated,
        _ => return Err(Malformed("a billing mode")),
    };
    let currency = Currency::from_bytes(reader.fixed()?).ok_or(Malformed("a currency"))?;
    let per_minute = amount(reader)?;
    let (initial_s, increment_s) = (half(reader)?, half(reader)?);
    let (connect_fee, minimum) = (amount(reader)?, amount(reader)?);
    let rate = Rate::new(per_minute, initial_s, increment_s, connect_fee, minimum);
    let rate = rate.map_err(|_| Malformed("a rate"))?;
    if !is_by_deck {
        return Ok(Pins { billing, currency, rate, deck: None });
    }
    let (rounding, deck) = read_deck(reader)?;
    Ok(Pins { billing, currency, rate: rate.rounded(rounding), deck: Some(deck) })
}

fn amount(reader: &mut Reader<'_>) -> Result<Amount, Malformed> {
    word(reader).map(Amount::from_micros)
}

fn word(reader: &mut Reader<'_>) -> Result<i64, Malformed> {
    reader.fixed().map(i64::from_le_bytes)
}

fn half(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    reader.fixed().map(u32::from_le_bytes)
}

pub fn read_call(reader: &mut Reader<'_>) -> Result<Call, Malformed> {
    let account = read_account(reader)?;
    let admission = word(reader)?.cast_unsigned();
    let admitted_us = word(reader)?;
    let lease_s = half(reader)?;
    let byte = reader.byte()?;
    let direction = Direction::ALL[usize::from(byte & ((1 << CAPS_SHIFT) - 1))];
    let caps = usize::from(byte >> CAPS_SHIFT);
    if caps > Caps::MAX {
        return Err(Malformed("a direction"));
    }
    let billed = reader.byte()?;
    let lengths = Lengths(reader.fixed()?);
    let pins = match billed {
        UNBILLED => None,
        BILLED | BILLED_BY_DECK => Some(Arc::new(read_pins(reader, billed == BILLED_BY_DECK)?)),
        _ => return Err(Malformed("how a call is billed")),
    };
    let bytes = lengths.0.iter().map(|length| usize::from(*length)).sum();
    let texts = std::str::from_utf8(reader.take(bytes)?).map_err(|_| Malformed("a text"))?;
    let cap = |_| reader.fixed().map(CapId::from_bytes);
    let caps = (0..caps).map(cap).collect::<Result<Caps, _>>()?;
    let facts = Facts { admitted_us, admission, pins, account, direction, lease_s };
    Call::from_joined(facts, lengths, texts, caps).ok_or(Malformed("the texts of a call"))
}

pub fn write_lease(writer: &mut Writer<'_>, lease: &Lease) {
    let mut fixed = Fixed::<LEASE>::default();
    fixed.put(lease.deadline.to_le_bytes());
    fixed.put(lease.granted.to_bits().to_le_bytes());
    fixed.put(lease.hold.micros().to_le_bytes());
    fixed.put(lease.answered_us().unwrap_or(0).to_le_bytes());
    fixed.put(lease.renewed_us.to_le_bytes());
    writer.fixed(fixed.finish());
}

pub fn read_lease(reader: &mut Reader<'_>) -> Result<Lease, Malformed> {
    Ok(Lease {
        deadline: half(reader)?,
        granted: Granted::from_bits(half(reader)?),
        hold: amount(reader)?,
        answered: moment(reader)?,
        renewed_us: word(reader)?,
    })
}

fn moment(reader: &mut Reader<'_>) -> Result<Option<Moment>, Malformed> {
    let us = word(reader)?;
    Ok((us != 0).then(|| Moment::at(us)))
}

pub fn write_record(writer: &mut Writer<'_>, record: &Record) {
    write_call(writer, &record.call);
    let mut fixed = Fixed::<ENDING>::default();
    fixed.put(record.answered.map_or(0, Moment::us).to_le_bytes());
    fixed.put(record.ended_us.to_le_bytes());
    fixed.put(record.cost.micros().to_le_bytes());
    fixed.put(record.debt.micros().to_le_bytes());
    fixed.put(record.billable_s.to_le_bytes());
    fixed.put(record.revision.to_le_bytes());
    fixed.put(record.granted_s.to_le_bytes());
    fixed.put(record.forget_at.to_le_bytes());
    fixed.put([record.outcome as u8, record.cause as u8, u8::from(record.costs.is_some())]);
    writer.fixed(fixed.finish());
    if let Some(costs) = &record.costs {
        writer.bytes(costs.as_bytes());
    }
}

pub fn read_record(reader: &mut Reader<'_>) -> Result<Record, Malformed> {
    let call = read_call(reader)?;
    let answered = moment(reader)?;
    let ended_us = word(reader)?;
    let (cost, debt) = (amount(reader)?, amount(reader)?);
    let (billable_s, revision) = (half(reader)?, half(reader)?);
    let (granted_s, forget_at) = (half(reader)?, half(reader)?);
    let outcome = *Outcome::ALL.get(usize::from(reader.byte()?)).ok_or(Malformed("an outcome"))?;
    let cause = *Cause::ALL.get(usize::from(reader.byte()?)).ok_or(Malformed("a cause"))?;
    let costs = reader.optional(|reader| Ok(reader.text()?.into()))?;
    Ok(Record {
        call,
        answered,
        ended_us,
        outcome,
        cause,
        billable_s,
        cost,
        debt,
        revision,
        granted_s,
        forget_at,
        costs,
    })
}
