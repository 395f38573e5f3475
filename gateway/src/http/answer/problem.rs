//! Denials and other refusals: RFC 9457 problems with the members that stacks and older clients
//! read. Must never tell an account's key numbers of its organization.

use std::borrow::Cow;

use http::StatusCode;
use hub::denial::{BadField, CapOf, Denial, Reason, Scope};
use hub::key::KeyScope;

use super::call::call_view;
use super::format::Format;
use super::writer::Writer;
use crate::answer::CallView;
use crate::engine::Refusal;

/// Why a request is not answered with what it asked for.
#[derive(Clone, Debug)]
pub enum Refused {
    Denied(Denial),
    /// 410 with the receipt.
    Ended(CallView),
    /// 404: no such path.
    NoRoute,
    /// 405: the path knows only these methods.
    WrongMethod(&'static str),
    /// 431: more header lines than are read.
    TooManyHeaders,
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Denied(reason.into())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => Self::Denied(denial),
            Refusal::Ended(view) => Self::Ended(view),
        }
    }
}

impl Refused {
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Denied(denial) => denial.reason(),
            Self::Ended(_) => Reason::CallEnded,
            Self::NoRoute | Self::WrongMethod(_) => Reason::InvalidRequest,
            Self::TooManyHeaders => Reason::TooLarge,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            other => StatusCode::from_u16(other.reason().http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Denied(Denial::RateLimited { retry_after_s, .. }) => Some(*retry_after_s),
            other => other.reason().retry_after_s(),
        }
    }

    /// One sentence for people; for an invalid request everything that is wrong.
    fn detail(&self, numbers: Numbers) -> Cow<'static, str> {
        let message = self.reason().message();
        match self {
            Self::NoRoute => "no such path".into(),
            Self::WrongMethod(allowed) => format!("expected the method {allowed}").into(),
            Self::TooManyHeaders => "too many header lines".into(),
            Self::Denied(Denial::NoSlot { scope, limit, in_use }) if numbers.shown(*scope) => {
                let whose = scope.label();
                format!("{message}: {in_use} of {limit} slots of the {whose} are in use").into()
            }
            Self::Denied(Denial::NoSlot { scope, .. }) => {
                format!("{message}: no slot of the {} is free", scope.label()).into()
            }
            Self::Denied(Denial::Capped { of, limit }) if numbers.of_cap(*of) => {
                format!("{message}: {limit} of {limit} {} are live", calls_of(*of)).into()
            }
            Self::Denied(Denial::Capped { of, .. }) => {
                format!("{message}: as many {} as may be are live", calls_of(*of)).into()
            }
            Self::Denied(Denial::RateLimited { limit, .. }) => {
                format!("{message}: {limit} per second").into()
            }
            Self::Denied(Denial::BudgetSpent) => {
                "the account's budget of this month is spent".into()
            }
            Self::Denied(Denial::InvalidRequest(bad)) if !bad.is_empty() => {
                let parts: Vec<_> =
                    bad.iter().map(|bad| format!("{} {}", bad.field, bad.problem)).collect();
                parts.join("; ").into()
            }
            Self::Denied(_) | Self::Ended(_) => message.into(),
        }
    }
}

const fn calls_of(of: CapOf) -> &'static str {
    match of {
        CapOf::Outbound => "outbound calls",
        CapOf::Number => "calls of the phone number",
        CapOf::Provider => "calls of the provider",
    }
}

/// Which numbers the asking key may see.
#[derive(Clone, Copy)]
struct Numbers {
    of_organization: bool,
}

impl Numbers {
    fn shown(self, scope: Scope) -> bool {
        self.of_organization || scope == Scope::Account
    }

    /// Numbers and providers may be shared with other accounts.
    fn of_cap(self, of: CapOf) -> bool {
        self.of_organization || of == CapOf::Outbound
    }
}

/// Writes a refusal. `scope` is that of the key; `None` before it is known.
pub fn problem(writer: &mut Writer, refused: &Refused, scope: Option<KeyScope>) {
    let of_organization = matches!(scope, Some(KeyScope::Operator | KeyScope::Organization(_)));
    let numbers = Numbers { of_organization };
    let reason = refused.reason();
    let status = refused.status();
    let detail = refused.detail(numbers);
    let json = writer.format() == Format::Json;
    writer.open("denied");
    if json {
        writer.printed(r#"{"type":"#, format_args!("urn:ringfence:reason:{}", reason.label()));
        writer.word(r#","title":"#, reason.message());
        writer.number(r#","status":"#, status.as_u16());
        writer.text(r#","detail":"#, detail.as_bytes());
    }
    writer.word(r#","reason":"#, reason.label());
    writer.number(r#","sip_code":"#, reason.sip_code());
    writer.text(r#","sip_reason":"#, reason.sip_reason());
    if let Refused::Denied(denial) = refused {
        limits(writer, denial, numbers);
    }
    if let Some(retry_after_s) = refused.retry_after_s() {
        writer.number(r#","retry_after_s":"#, retry_after_s);
    }
    writer.number(r#","statusCode":"#, status.as_u16());
    writer.text(r#","message":"#, detail.as_bytes());
    writer.text(r#","error":"#, status.canonical_reason().unwrap_or_default());
    if json {
        details(writer, refused);
    }
    writer.close();
}

/// The numbers that refused.
fn limits(writer: &mut Writer, denial: &Denial, numbers: Numbers) {
    match denial {
        Denial::NoSlot { scope, limit, in_use } => {
            if numbers.shown(*scope) {
                writer.number(r#","limit":"#, *limit);
                writer.number(r#","in_use":"#, *in_use);
            }
            writer.word(r#","scope":"#, scope.label());
        }
        Denial::Capped { of, limit } => {
            if numbers.of_cap(*of) {
                writer.number(r#","limit":"#, *limit);
                writer.number(r#","in_use":"#, *limit);
            }
            writer.word(r#","scope":"#, of.label());
        }
        Denial::RateLimited { limit, .. } => {
            writer.number(r#","limit":"#, *limit);
            writer.word(r#","scope":"#, Scope::Account.label());
        }
        Denial::InsufficientBalance { available, required, currency } => {
            // The wallet may be the organization's: what it holds is not an account's to know.
            if numbers.of_organization {
                writer.amount(r#","available":"#, available.in_currency(*currency));
            }
            writer.amount(r#","required":"#, required.in_currency(*currency));
            writer.word(r#","currency":"#, currency.code());
        }
        Denial::BudgetSpent => writer.word(r#","scope":"#, "budget"),
        Denial::Plain(_) | Denial::InvalidRequest(_) => {}
    }
}

fn details(writer: &mut Writer, refused: &Refused) {
    match refused {
        Refused::Ended(view) => {
            writer.name(r#","receipt":"#);
            call_view(writer, view);
        }
        Refused::Denied(Denial::InvalidRequest(bad)) => {
            writer.list(r#","errors":"#, bad, |writer, BadField { field, problem }| {
                writer.open("");
                writer.text(r#"{"field":"#, field);
                writer.text(r#","problem":"#, problem);
                writer.close();
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use hub::id::{AccountId, AccountKind};
    use hub::money::Currency;

    use super::*;

    fn account() -> KeyScope {
        KeyScope::Account(AccountId::new(AccountKind::SubAccount, 1u128.into()))
    }

    fn written(format: Format, refused: &Refused, scope: Option<KeyScope>) -> String {
        let mut writer = Writer::new(format);
        problem(&mut writer, refused, scope);
        String::from_utf8(writer.into_bytes()).expect("utf-8")
    }

    fn json(refused: &Refused, scope: Option<KeyScope>) -> serde_json::Value {
        serde_json::from_str(&written(Format::Json, refused, scope)).expect("JSON")
    }

    fn no_slot(scope: Scope) -> Refused {
        Denial::NoSlot { scope, limit: 10, in_use: 10 }.into()
    }

    #[test]
    fn a_denial_has_the_members_of_every_kind_of_client() {
        let expected = serde_json::json!({
            "type": "urn:ringfence:reason:no_slot", "title": "concurrency limit reached",
            "status": 409,
            "detail": "concurrency limit reached: 10 of 10 slots of the account are in use",
            "reason": "no_slot", "sip_code": 486, "sip_reason": "Busy Here", "limit": 10,
            "in_use": 10, "scope": "account", "retry_after_s": 1, "statusCode": 409,
            "message": "concurrency limit reached: 10 of 10 slots of the account are in use",
            "error": "Conflict",
        });
        assert_eq!(json(&no_slot(Scope::Account), Some(account())), expected);
    }

    #[test]
    fn an_accounts_key_sees_no_number_of_its_organization() {
        let seen = json(&no_slot(Scope::Organization), Some(account()));
        assert_eq!(seen["scope"], "organization");
        assert!(seen.get("limit").is_none() && seen.get("in_use").is_none(), "{seen}");
        assert!(!seen.to_string().contains("10"), "{seen}");
        let seen = json(&no_slot(Scope::Organization), Some(KeyScope::Operator));
        assert_eq!(seen["limit"], 10);
        let empty: Refused = Denial::InsufficientBalance {
            available: "0.5".parse().expect("an amount"),
            required: "1.2".parse().expect("an amount"),
            currency: Currency::INR,
        }
        .into();
        let seen = json(&empty, Some(account()));
        assert_eq!((&seen["required"], &seen["currency"]), (&"1.20".into(), &"INR".into()));
        assert!(seen.get("available").is_none(), "{seen}");
        assert_eq!(json(&empty, Some(KeyScope::Operator))["available"], "0.50");
    }

    #[test]
    fn every_reason_is_written_with_its_codes_in_every_form() {
        for reason in Reason::ALL {
            let refused = Refused::from(reason);
            let seen = json(&refused, None);
            assert_eq!(seen["reason"], reason.label());
            assert_eq!(seen["status"], reason.http_status());
            assert_eq!(seen["statusCode"], seen["status"]);
            assert_eq!(seen["sip_code"], reason.sip_code());
            assert!(!seen["error"].as_str().expect("text").is_empty());
            let begin = format!("denied reason={} sip_code={}", reason.label(), reason.sip_code());
            assert!(written(Format::Text, &refused, None).starts_with(&begin));
            let form = written(Format::Form, &refused, None);
            assert!(form.starts_with(&format!("result=denied&reason={}", reason.label())));
        }
    }

    #[test]
    fn every_bad_field_is_named_also_in_one_line() {
        let bad = |field: &str| BadField { field: field.into(), problem: "is \"bad\"".into() };
        let refused: Refused = Denial::InvalidRequest(vec![bad("to"), bad("from")]).into();
        let seen = json(&refused, None);
        assert_eq!(seen["errors"][1]["field"], "from");
        assert_eq!(seen["message"], "to is \"bad\"; from is \"bad\"");
        let line = written(Format::Text, &refused, None);
        assert!(line.contains("message=\"to is \\\"bad\\\"; from is"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
