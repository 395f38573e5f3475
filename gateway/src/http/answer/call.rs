//! Calls as they are looked up: live ones, receipts, and pages of who holds the slots.

use hub::call::{Call, Record};
use hub::clock::SECOND_US;
use hub::money::Amount;

use super::writer::Writer;
use crate::answer::{CallView, LiveCall, LivePage};
use crate::http::operation;

/// A live call or its receipt.
pub fn call_view(writer: &mut Writer, view: &CallView) {
    match view {
        CallView::Live(live) => {
            writer.open("live");
            live_members(writer, live);
        }
        CallView::Ended(record) => {
            writer.open("ended");
            receipt_members(writer, record);
        }
    }
    writer.close();
}

/// One page of live calls; where it is not JSON, one line each.
pub fn live_page(writer: &mut Writer, page: &LivePage, now_us: i64) {
    let write = |writer: &mut Writer, live: &LiveCall| {
        writer.open("live");
        live_members(writer, live);
        writer.time(r#","renewed_at":"#, live.renewed_us);
        writer.number(
            r#","renewal_age_s":"#,
            now_us.saturating_sub(live.renewed_us).max(0) / SECOND_US,
        );
        writer.close();
    };
    if writer.format() != super::Format::Json {
        for live in &page.calls {
            write(writer, live);
        }
        return;
    }
    writer.open("live");
    writer.list(r#"{"calls":"#, &page.calls, write);
    match page.next {
        Some(after) => writer.word(r#","next_cursor":"#, operation::cursor(after)),
        None => writer.null(r#","next_cursor":"#),
    }
    writer.close();
}

fn live_members(writer: &mut Writer, live: &LiveCall) {
    let call = &live.call;
    identity(writer, call);
    writer.constants(r#","state":"live""#);
    writer.time(r#","admitted_at":"#, call.facts().admitted_us);
    writer.time_or_null(r#","answered_at":"#, live.answered_us);
    writer.time_or_null(r#","granted_until":"#, live.granted_until_us);
    writer.time(r#","expires_at":"#, live.expires_at_us);
    parties(writer, call);
}

fn receipt_members(writer: &mut Writer, record: &Record) {
    let facts = record.call.facts();
    let began_us = record.answered_us().unwrap_or(facts.admitted_us);
    let granted_until_us = (record.granted_s > 0)
        .then(|| began_us.saturating_add(i64::from(record.granted_s) * SECOND_US));
    identity(writer, &record.call);
    writer.constants(r#","state":"ended""#);
    writer.time(r#","admitted_at":"#, facts.admitted_us);
    writer.time_or_null(r#","answered_at":"#, record.answered_us());
    writer.time_or_null(r#","granted_until":"#, granted_until_us);
    writer.constants(r#","expires_at":null"#);
    parties(writer, &record.call);
    writer.time(r#","ended_at":"#, record.ended_us);
    writer.word(r#","outcome":"#, record.outcome.label());
    writer.word(r#","cause":"#, record.cause.label());
    writer.number(r#","billable_s":"#, record.billable_s);
    if let Some(pins) = &facts.pins {
        writer.amount(r#","cost":"#, record.cost.in_currency(pins.currency));
        if record.debt > Amount::ZERO {
            writer.amount(r#","debt":"#, record.debt.in_currency(pins.currency));
        }
        writer.word(r#","currency":"#, pins.currency.to_bytes());
    } else {
        writer.constants(r#","cost":"0","currency":null,"billed":false"#);
    }
}

fn identity(writer: &mut Writer, call: &Call) {
    writer.text(r#"{"call_id":"#, call.call_id());
    writer.account(r#","account":"#, call.account());
}

fn parties(writer: &mut Writer, call: &Call) {
    writer.word(r#","direction":"#, call.facts().direction.label());
    let [_, texts @ ..] = call.text_parts();
    if texts.iter().all(|text| text.is_empty()) {
        writer.constants(r#","from":null,"to":null,"agent_id":null,"source":null"#);
        return;
    }
    let names = [r#","from":"#, r#","to":"#, r#","agent_id":"#, r#","source":"#];
    for (name, text) in names.into_iter().zip(texts) {
        if text.is_empty() {
            writer.null(name);
        } else {
            writer.text(name, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use hub::call::{CallPlace, Cause, Direction, Facts, Outcome, Pins, Texts};
    use hub::clock::Moment;
    use hub::directory::Billing;
    use hub::id::{AccountId, AccountKind};
    use hub::money::{Currency, Rate};
    use triomphe::Arc;

    use super::super::Format;
    use super::*;

    const ADMITTED_US: i64 = 951_782_400_000_000;

    fn call(billed: bool) -> Call {
        let amount = |text: &str| text.parse().expect("an amount");
        let rate = Rate::new(amount("1.20"), 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate");
        let pins = Pins { billing: Billing::Isolated, currency: Currency::INR, rate, deck: None };
        let facts = Facts {
            admitted_us: ADMITTED_US,
            admission: 1,
            pins: billed.then(|| Arc::new(pins)),
            account: AccountId::new(AccountKind::SubAccount, 1u128.into()),
            direction: Direction::Outbound,
            lease_s: 0,
        };
        let texts = Texts { call_id: "a\"b", from: "+91", to: "sip:x@y", ..Texts::default() };
        Call::new(facts, texts).expect("short texts")
    }

    fn receipt(billed: bool) -> CallView {
        CallView::Ended(Arc::new(Record {
            call: call(billed),
            answered: Some(Moment::at(ADMITTED_US + 4 * SECOND_US)),
            ended_us: ADMITTED_US + 70 * SECOND_US,
            outcome: Outcome::Completed,
            cause: Cause::Release,
            billable_s: 66,
            cost: "2.4".parse().expect("an amount"),
            debt: Amount::ZERO,
            revision: 0,
            granted_s: 300,
            forget_at: 0,
            costs: None,
        }))
    }

    fn json(view: &CallView) -> serde_json::Value {
        let mut writer = Writer::new(Format::Json);
        call_view(&mut writer, view);
        serde_json::from_slice(&writer.into_bytes()).expect("JSON")
    }

    #[test]
    fn a_receipt_is_written_as_documented() {
        let expected = serde_json::json!({
            "call_id": "a\"b", "account": "sa_00000000000000000000000001", "state": "ended",
            "admitted_at": "2000-02-29T00:00:00.000Z", "answered_at": "2000-02-29T00:00:04.000Z",
            "granted_until": "2000-02-29T00:05:04.000Z", "expires_at": null,
            "direction": "outbound", "from": "+91", "to": "sip:x@y", "agent_id": null,
            "source": null, "ended_at": "2000-02-29T00:01:10.000Z", "outcome": "completed",
            "cause": "release", "billable_s": 66, "cost": "2.40", "currency": "INR",
        });
        assert_eq!(json(&receipt(true)), expected);
    }

    #[test]
    fn an_unbilled_receipt_costs_nothing_in_no_currency() {
        let receipt = json(&receipt(false));
        assert_eq!((&receipt["cost"], &receipt["billed"]), (&"0".into(), &false.into()));
        assert!(receipt["currency"].is_null());
    }

    #[test]
    fn a_page_tells_how_old_the_last_renewal_is() {
        let live = LiveCall {
            call: call(true),
            answered_us: None,
            renewed_us: ADMITTED_US,
            granted_until_us: None,
            expires_at_us: ADMITTED_US + 90 * SECOND_US,
        };
        let page = LivePage {
            calls: vec![live.clone(), live],
            next: Some(CallPlace { admitted_us: 1, admission: 255 }),
        };
        let mut writer = Writer::new(Format::Json);
        live_page(&mut writer, &page, ADMITTED_US + 31 * SECOND_US);
        let page: serde_json::Value = serde_json::from_slice(&writer.into_bytes()).expect("JSON");
        assert_eq!(page["next_cursor"], "000000000000000100000000000000ff");
        assert_eq!(page["calls"][1]["renewal_age_s"], 31);
        assert_eq!(page["calls"][1]["state"], "live");
        assert_eq!(page["calls"][1]["expires_at"], "2000-02-29T00:01:30.000Z");
    }
}
