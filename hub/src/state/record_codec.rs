//! The binary form of calls and their records.

use triomphe::Arc;

use crate::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use crate::codec::{Malformed, Reader, Writer};
use crate::directory::Billing;
use crate::money::{Amount, Currency, Rate};
use crate::state::request::{read_account, write_account};

pub fn write_call(writer: &mut Writer<'_>, call: &Call) {
    let facts = call.facts();
    write_account(writer, facts.account);
    writer.unsigned(facts.admission);
    writer.signed(facts.admitted_us);
    writer.byte(facts.direction as u8);
    writer.unsigned(u64::from(facts.lease_s));
    writer.optional(facts.pins.as_ref(), |writer, pins| {
        writer.byte(match pins.billing {
            Billing::Isolated => 0,
            Billing::Consolidated => 1,
        });
        writer.fixed(pins.currency.to_bytes());
        write_rate(writer, &pins.rate);
    });
    for part in call.text_parts() {
        writer.bytes(part);
    }
}

pub fn read_call(reader: &mut Reader<'_>) -> Result<Call, Malformed> {
    let facts = Facts {
        account: read_account(reader)?,
        admission: reader.unsigned()?,
        admitted_us: reader.signed()?,
        direction: *Direction::ALL
            .get(usize::from(reader.byte()?))
            .ok_or(Malformed("a direction"))?,
        lease_s: reader.small()?,
        pins: reader.optional(|reader| {
            Ok(Pins {
                billing: match reader.byte()? {
                    0 => Billing::Isolated,
                    1 => Billing::Consolidated,
                    _ => return Err(Malformed("a billing mode")),
                },
                currency: Currency::from_bytes(reader.fixed()?).ok_or(Malformed("a currency"))?,
                rate: Arc::new(read_rate(reader)?),
            })
        })?,
    };
    let texts = Texts {
        call_id: reader.text()?,
        from: reader.text()?,
        to: reader.text()?,
        agent_id: reader.text()?,
        source: reader.text()?,
    };
    Call::new(facts, texts).ok_or(Malformed("a text is too long"))
}

pub fn write_record(writer: &mut Writer<'_>, record: &Record) {
    write_call(writer, &record.call);
    writer.optional(record.answered_us, Writer::signed);
    writer.signed(record.ended_us);
    writer.byte(record.outcome as u8);
    writer.byte(record.cause as u8);
    writer.unsigned(u64::from(record.billable_s));
    writer.signed(record.cost.micros());
    writer.signed(record.debt.micros());
    writer.unsigned(u64::from(record.revision));
    writer.optional(record.granted_s, |writer, granted_s| {
        writer.unsigned(u64::from(granted_s));
    });
    writer.unsigned(u64::from(record.forget_at));
    writer.optional(record.costs.as_deref(), |writer, costs| {
        writer.bytes(costs.as_bytes());
    });
}

pub fn read_record(reader: &mut Reader<'_>) -> Result<Record, Malformed> {
    Ok(Record {
        call: read_call(reader)?,
        answered_us: reader.optional(Reader::signed)?,
        ended_us: reader.signed()?,
        outcome: *Outcome::ALL.get(usize::from(reader.byte()?)).ok_or(Malformed("an outcome"))?,
        cause: *Cause::ALL.get(usize::from(reader.byte()?)).ok_or(Malformed("a cause"))?,
        billable_s: reader.small()?,
        cost: Amount::from_micros(reader.signed()?),
        debt: Amount::from_micros(reader.signed()?),
        revision: reader.small()?,
        granted_s: reader.optional(Reader::small)?,
        forget_at: reader.small()?,
        costs: reader.optional(|reader| Ok(reader.text()?.into()))?,
    })
}

fn write_rate(writer: &mut Writer<'_>, rate: &Rate) {
    writer.signed(rate.per_minute().micros());
    writer.unsigned(u64::from(rate.initial_s()));
    writer.unsigned(u64::from(rate.increment_s()));
    writer.signed(rate.connect_fee().micros());
    writer.signed(rate.minimum().micros());
}

fn read_rate(reader: &mut Reader<'_>) -> Result<Rate, Malformed> {
    Rate::new(
        Amount::from_micros(reader.signed()?),
        reader.small()?,
        reader.small()?,
        Amount::from_micros(reader.signed()?),
        Amount::from_micros(reader.signed()?),
    )
    .map_err(|_| Malformed("a rate"))
}
