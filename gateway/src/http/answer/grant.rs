//! The answer to admit and renew.

use super::format::Format;
use super::writer::Writer;
use crate::answer::{Grant, Token};

/// The line forms begin with what a dial plan reads first.
pub fn grant(writer: &mut Writer, call_id: &str, grant: &Grant, token: &Token) {
    writer.open("allowed");
    let json = writer.format() == Format::Json;
    if json {
        writer.verbatim(r#"{"admitted":true"#);
    } else {
        writer.number_or_null(r#","granted_s":"#, grant.granted_s());
    }
    writer.text(r#","call_id":"#, call_id);
    writer.account(r#","account":"#, grant.call.account());
    writer.flag(r#","duplicate":"#, grant.duplicate);
    if json {
        writer.number_or_null(r#","granted_s":"#, grant.granted_s());
    }
    writer.time_or_null(r#","granted_until":"#, grant.granted_until_us());
    writer.flag(r#","final":"#, grant.lease.is_final());
    writer.number(r#","renew_every_s":"#, grant.renew_every_s);
    writer.number(r#","expires_in_s":"#, grant.expires_in_s);
    writer.word(r#","token":"#, token);
    writer.number(r#","in_use":"#, grant.in_use);
    writer.number_or_null(r#","limit":"#, grant.limit);
    if !grant.is_billed() {
        writer.flag(r#","billed":"#, false);
    }
    writer.close();
}

#[cfg(test)]
mod tests {
    use hub::call::{Call, Direction, Facts, Pins, Texts};
    use hub::directory::Billing;
    use hub::id::{AccountId, AccountKind};
    use hub::money::{Amount, Currency, Rate};
    use hub::state::request::{Granted, Lease};
    use triomphe::Arc;

    use super::*;

    fn call(billed: bool) -> Call {
        let rate = Rate::new(Amount::ZERO, 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate");
        let pins = Pins { billing: Billing::Isolated, currency: Currency::INR, rate, deck: None };
        let facts = Facts {
            admitted_us: 951_782_100_500_000,
            admission: 1,
            pins: billed.then(|| Arc::new(pins)),
            account: AccountId::new(AccountKind::SubAccount, 1u128.into()),
            direction: Direction::Outbound,
            lease_s: 0,
        };
        Call::new(facts, Texts { call_id: "a@b", ..Texts::default() }).expect("short")
    }

    fn written(format: Format, change: impl Fn(&mut Grant)) -> String {
        let mut granted = Grant {
            call: call(true),
            lease: Lease {
                deadline: 951_782_190,
                granted: Granted::new(300, false),
                hold: Amount::ZERO,
                answered: None,
                renewed_us: 951_782_100_500_000,
            },
            duplicate: false,
            renew_every_s: 30,
            expires_in_s: 90,
            in_use: 7,
            limit: Some(10),
        };
        change(&mut granted);
        let mut writer = Writer::new(format);
        let token = Token::Proof([b't'; Token::PROOF_LEN]);
        grant(&mut writer, "a@b", &granted, &token);
        let text = String::from_utf8(writer.into_bytes()).expect("utf-8");
        text.replace(&"t".repeat(Token::PROOF_LEN), "TOKEN")
    }

    #[test]
    fn a_grant_is_written_as_documented() {
        assert_eq!(
            written(Format::Json, |_| {}),
            "{\"admitted\":true,\"call_id\":\"a@b\",\"account\":\"sa_00000000000000000000000001\",\
             \"duplicate\":false,\"granted_s\":300,\"granted_until\":\"2000-02-29T00:00:00.500Z\",\
             \"final\":false,\"renew_every_s\":30,\"expires_in_s\":90,\"token\":\"TOKEN\",\
             \"in_use\":7,\"limit\":10}"
        );
    }

    #[test]
    fn an_unbilled_call_of_an_elastic_account_has_no_end_and_no_limit() {
        let text = written(Format::Json, |grant| {
            grant.lease.granted = Granted::default();
            grant.call = call(false);
            grant.limit = None;
        });
        assert!(text.contains("\"granted_s\":null,\"granted_until\":null"), "{text}");
        assert!(text.ends_with("\"limit\":null,\"billed\":false}"), "{text}");
    }

    #[test]
    fn the_line_forms_begin_with_the_verdict_and_the_seconds() {
        let text = written(Format::Text, |_| {});
        assert!(text.starts_with("allowed granted_s=300 call_id=a@b account=sa_0"), "{text}");
        let form = written(Format::Form, |_| {});
        assert!(
            form.starts_with("result=allowed&granted_s=300&call_id=a%40b&account=sa_"),
            "{form}"
        );
        assert!(form.contains("&granted_until=2000-02-29T00:00:00.500Z&"), "{form}");
    }
}
