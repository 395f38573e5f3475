//! What requests say of resources, and how it is read.

use std::ops::RangeInclusive;

use hub::directory::{DIGITS_MAX, ResourceKind, number_digits};
use hub::id::AccountId;

use super::sort;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Given, Raw, values};

const AGENT_ID_BYTES: RangeInclusive<usize> = 1..=128;
const PROVIDER_NAME_BYTES: RangeInclusive<usize> = 1..=64;
/// Of a number as it is written.
const NUMBER_CHARACTERS_MAX: usize = 32;

/// What calls name a resource by, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) written: String,
}

/// What can change.
pub(super) struct Asked {
    pub(super) label: Option<String>,
    pub(super) account: Given<AccountId>,
    pub(super) cap: Given<u32>,
}

/// Reads what a new resource is to be named by; `None`: an agent whose id is to be made up.
pub(super) fn name(fields: &mut Fields, kind: ResourceKind) -> Option<Name> {
    match kind {
        ResourceKind::Agent => fields.optional("agent_id", visible(AGENT_ID_BYTES)),
        ResourceKind::Number => fields.required("number", number),
        ResourceKind::Provider => fields.required("name", visible(PROVIDER_NAME_BYTES)),
    }
}

/// Reads what can change.
pub(super) fn read(fields: &mut Fields, kind: ResourceKind) -> Asked {
    let label = fields.optional(sort::words(kind).label, values::label);
    let account = match kind {
        // An agent is somebody's: not null.
        ResourceKind::Agent => {
            fields.optional("account", values::account_id).map_or(Given::Absent, Given::Value)
        }
        ResourceKind::Number => fields.given("account", values::account_id),
        ResourceKind::Provider => Given::Absent,
    };
    let cap = match kind {
        ResourceKind::Agent => Given::Absent,
        ResourceKind::Number | ResourceKind::Provider => {
            fields.given("concurrency_limit", values::whole(values::CONCURRENCY))
        }
    };
    Asked { label, account, cap }
}

/// The member that [`name`] reads.
pub(super) fn name_member(kind: ResourceKind) -> (&'static str, Schema) {
    let visible = |bytes: RangeInclusive<usize>| {
        schema::pattern(&format!("^[!-~]{{{},{}}}$", bytes.start(), bytes.end()))
    };
    match kind {
        ResourceKind::Agent => (
            "agent_id",
            visible(AGENT_ID_BYTES)
                .about("as calls name it; made up when it is left out")
                .example("support-bot"),
        ),
        ResourceKind::Number => (
            "number",
            schema::pattern(&number_pattern())
                .at_most(NUMBER_CHARACTERS_MAX)
                .about("E.164; blanks, hyphens, dots and brackets do not count, nor does a leading + or 00")
                .example("+919812345678")
                .required(),
        ),
        ResourceKind::Provider => (
            "name",
            visible(PROVIDER_NAME_BYTES).about("as calls name it").example("carrier-a").required(),
        ),
    }
}

/// The members that [`read`] reads.
pub(super) fn members(kind: ResourceKind) -> Vec<(&'static str, Schema)> {
    let label = (sort::words(kind).label, schema::label().about("for people to read"));
    let account = || schema::any_account_id().about("whose it is; an account names itself only");
    let limit = || {
        let limit = schema::whole(values::CONCURRENCY).or_null();
        let about = "live calls that may name it at once, of all accounts together; null: any number; 0 pauses it";
        ("concurrency_limit", limit.about(about).example(10))
    };
    match kind {
        ResourceKind::Agent => vec![label, ("account", account())],
        ResourceKind::Number => vec![
            label,
            ("account", account().or_null().about("whose it is, which an account may say only of itself; null: shared by all accounts of the organization")),
            limit(),
        ],
        ResourceKind::Provider => vec![label, limit()],
    }
}

/// Some bytes of visible ASCII.
fn visible(bytes: RangeInclusive<usize>) -> impl FnOnce(&Raw) -> Result<Name, String> {
    move |raw| {
        let is_visible = |text: &String| {
            bytes.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let name = values::text(raw).ok().filter(is_visible).ok_or_else(|| {
            format!("expected {} to {} visible ASCII characters", bytes.start(), bytes.end())
        })?;
        Ok(Name { written: name.clone(), name })
    }
}

fn number(raw: &Raw) -> Result<Name, String> {
    let written = values::text(raw).ok().filter(|text| text.len() <= NUMBER_CHARACTERS_MAX);
    let name = written.and_then(|written| Some(Name { name: number_digits(&written)?, written }));
    name.ok_or_else(|| {
        format!("expected a phone number of at most {DIGITS_MAX} digits, such as +919812345678")
    })
}

/// What [`number_digits`] reads.
fn number_pattern() -> String {
    // Separators, and a digit with those that follow it.
    const S: &str = "[ .()-]*";
    const D: &str = "[0-9][ .()-]*";
    let (less, least) = (DIGITS_MAX - 1, DIGITS_MAX - 2);
    [
        format!(r"\+{S}({D}){{1,{DIGITS_MAX}}}"),
        format!("{S}0{S}0{S}({D}){{1,{DIGITS_MAX}}}"),
        format!("{S}0{S}([1-9]{S}({D}){{0,{least}}})?"),
        format!("{S}[1-9]{S}({D}){{0,{less}}}"),
    ]
    .map(|way| format!("^{way}$"))
    .join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_of_numbers_what_is_read() {
        let document = serde_json::json!({"pattern": number_pattern()});
        let fifteen = "123456789012345";
        for text in [
            "+919812345678",
            "+91 98123-45678",
            "(022) 1234.5678",
            "0091 98123",
            "0",
            "01",
            "00",
            "001",
            "+00",
            "0 0",
            "1800",
            "+",
            "",
            "++1",
            "1+2",
            "agent",
            "\u{663}",
            fifteen,
            &format!("+{fifteen}"),
            &format!("00{fifteen}"),
            &format!("000{}", &fifteen[1..]),
            &format!("0{}", &fifteen[1..]),
            &format!("0{fifteen}"),
            &format!("{fifteen}6"),
            &format!("+{fifteen}6"),
            &format!("00{fifteen}6"),
        ] {
            let is_described = jsonschema::draft202012::is_valid(&document, &text.into());
            assert_eq!(is_described, number_digits(text).is_some(), "{text}");
        }
    }
}
