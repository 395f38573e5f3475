//! How single values are read: names, numbers, words, money. Each reader says what it expected.

use std::ops::RangeInclusive;
use std::str::FromStr;

use hub::clock::SECOND_US;
use hub::deck::DeckId;
use hub::id::AccountId;
use hub::money::{Amount, Currency, Rate};

use super::{Fields, Given, Raw};
use crate::timestamp;

/// The longest name of anything, in characters.
pub(crate) const NAME_CHARACTERS_MAX: usize = 120;
/// The bounds of `min_concurrency`, `max_concurrency`, `concurrency_limit` and the total.
pub(crate) const CONCURRENCY: RangeInclusive<u32> = 0..=1_000_000;
/// The bounds of `cps_limit`.
pub(crate) const CPS: RangeInclusive<u32> = 1..=100_000;
/// The longest token of a link that is looked at.
pub(crate) const TOKEN_BYTES_MAX: usize = 128;
const DAY_US: i64 = 86_400 * SECOND_US;
/// Increments of a rate that names none: by the started minute.
pub(crate) const INCREMENT_DEFAULT_S: u32 = 60;

/// A string, from JSON or a query.
pub(crate) fn text(raw: &Raw) -> Result<String, String> {
    match raw {
        Raw::Json(raw) => {
            serde_json::from_str(raw.get()).map_err(|_| "expected a string".to_owned())
        }
        Raw::Text(text) => Ok(text.clone()),
    }
}

/// A name: something to see, no control characters.
pub(crate) fn name(raw: &Raw) -> Result<String, String> {
    let expected = || {
        format!(
            "expected 1 to {NAME_CHARACTERS_MAX} characters, not only spaces, none of them a control character"
        )
    };
    let name = text(raw).map_err(|_| expected())?;
    let characters = name.chars().count();
    if name.trim().is_empty()
        || characters > NAME_CHARACTERS_MAX
        || name.chars().any(char::is_control)
    {
        return Err(expected());
    }
    Ok(name)
}

/// A text for people to read, which may be empty.
pub(crate) fn label(raw: &Raw) -> Result<String, String> {
    let fits = |text: &String| {
        text.chars().count() <= NAME_CHARACTERS_MAX && !text.chars().any(char::is_control)
    };
    text(raw).ok().filter(fits).ok_or_else(|| {
        format!(
            "expected at most {NAME_CHARACTERS_MAX} characters, none of them a control character"
        )
    })
}

/// The token of a link that is good once.
pub(crate) fn one_time_token(raw: &Raw) -> Result<String, String> {
    text(raw)
        .ok()
        .filter(|token| (1..=TOKEN_BYTES_MAX).contains(&token.len()))
        .ok_or_else(|| "expected the token of a link".to_owned())
}

/// A whole number, read from its digits.
pub(crate) fn whole(range: RangeInclusive<u32>) -> impl FnOnce(&Raw) -> Result<u32, String> {
    move |raw| {
        let digits = raw.text();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| plain && range.contains(number)).ok_or_else(|| {
            format!("expected a whole number from {} to {}", range.start(), range.end())
        })
    }
}

pub(crate) fn flag(raw: &Raw) -> Result<bool, String> {
    raw.text().parse().map_err(|_| "expected true or false".to_owned())
}

/// Money in major units: a JSON number or a string of plain digits.
pub(crate) fn amount(raw: &Raw) -> Result<Amount, String> {
    let text = if raw.text().starts_with('"') { text(raw)? } else { raw.text().to_owned() };
    text.parse::<Amount>().map_err(|error| error.to_string())
}

/// Money in major units, below zero too.
pub(crate) fn signed_amount(raw: &Raw) -> Result<Amount, String> {
    let text = if raw.text().starts_with('"') { text(raw)? } else { raw.text().to_owned() };
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, &*text),
    };
    let amount = digits.parse::<Amount>().map_err(|error| error.to_string())?;
    Ok(if is_negative { amount.negated() } else { amount })
}

/// Money above zero.
pub(crate) fn amount_above_zero(raw: &Raw) -> Result<Amount, String> {
    let amount = amount(raw)?;
    if amount > Amount::ZERO { Ok(amount) } else { Err("expected more than 0".to_owned()) }
}

pub(crate) fn currency(raw: &Raw) -> Result<Currency, String> {
    parsed(raw)
}

pub(crate) fn deck_id(raw: &Raw) -> Result<DeckId, String> {
    parsed(raw)
}

pub(crate) fn account_id(raw: &Raw) -> Result<AccountId, String> {
    parsed(raw)
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl FnOnce(&Raw) -> Result<T, String> {
    move |raw| {
        let given = text(raw).unwrap_or_default();
        words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("expected one of {}", known.join(", "))
        })
    }
}

/// The end of something that begins now: a date or a time that is still to come, whole seconds.
pub(crate) fn expiry(now_us: i64, days_max: i64) -> impl FnOnce(&Raw) -> Result<i64, String> {
    move |raw| {
        let end_us = text(raw).ok().and_then(|text| timestamp::read(&text));
        let end_us = end_us.map(|us| us.div_euclid(SECOND_US).saturating_mul(SECOND_US));
        let last_us = now_us.saturating_add(days_max.saturating_mul(DAY_US));
        end_us.filter(|us| (now_us + 1..=last_us).contains(us)).ok_or_else(|| {
            format!("expected a time to come, within {days_max} days, such as 2030-01-31T12:00:00Z")
        })
    }
}

/// A region out of a configured list.
pub(crate) fn region(regions: &[String]) -> impl FnOnce(&Raw) -> Result<String, String> {
    move |raw| {
        text(raw)
            .ok()
            .filter(|region| regions.contains(region))
            .ok_or_else(|| format!("expected one of {}", regions.join(", ")))
    }
}

/// Several regions out of a configured list.
pub(crate) fn regions(configured: &[String]) -> impl FnOnce(&Raw) -> Result<Vec<String>, String> {
    move |raw| {
        serde_json::from_str::<Vec<String>>(raw.text())
            .ok()
            .filter(|regions| !regions.is_empty() && regions.len() <= configured.len())
            .filter(|regions| regions.iter().all(|region| configured.contains(region)))
            .ok_or_else(|| format!("expected a list of one or more of {}", configured.join(", ")))
    }
}

/// A flat rate: `{"per_minute":"1.20","initial_s":60,"increment_s":60,"connect_fee":…,"minimum":…}`.
pub(crate) fn rate(fields: &mut Fields, name: &str) -> Given<Rate> {
    fields.given_object(name, |fields| {
        let per_minute = fields.required("per_minute", amount);
        let seconds = || whole(1..=Rate::INCREMENT_MAX_S);
        let initial_s = fields.optional("initial_s", seconds()).unwrap_or(INCREMENT_DEFAULT_S);
        let increment_s = fields.optional("increment_s", seconds()).unwrap_or(INCREMENT_DEFAULT_S);
        let connect_fee = fields.optional("connect_fee", amount).unwrap_or_default();
        let minimum = fields.optional("minimum", amount).unwrap_or_default();
        match Rate::new(per_minute?, initial_s, increment_s, connect_fee, minimum) {
            Ok(rate) => Some(rate),
            Err(error) => {
                fields.refuse(error.field(), error.to_string());
                None
            }
        }
    })
}

fn parsed<T: FromStr<Err: ToString>>(raw: &Raw) -> Result<T, String> {
    text(raw)?.parse::<T>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Raw {
        Raw::Json(serde_json::value::RawValue::from_string(text.to_owned()).expect("JSON"))
    }

    #[test]
    fn numbers_are_read_from_their_digits() {
        for text in ["5000", "\"5000\"", "5000.0"] {
            assert_eq!(amount(&json(text)).map(Amount::micros), Ok(5_000_000_000), "{text}");
        }
        for text in ["5e3", "-1", "true", "null", "\"1_0\"", "[]", "0.0000001", "\"\""] {
            assert!(amount(&json(text)).is_err(), "{text}");
        }
        assert!(amount_above_zero(&json("0")).is_err());
        assert_eq!(whole(0..=10)(&json("10")), Ok(10));
        for text in ["11", "1.0", "-1", "\"1\"", "1e0", "99999999999999999999"] {
            assert!(whole(0..=10)(&json(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_expiry_is_still_to_come_and_has_whole_seconds() {
        let now_us = 1_742_034_120_500_000;
        let read = |text: &str| expiry(now_us, 3_653)(&json(&format!("\"{text}\"")));
        assert_eq!(read("2025-03-15T10:22:01.7Z"), Ok(1_742_034_121_000_000));
        assert_eq!(read("2025-03-16"), Ok(1_742_083_200_000_000));
        for bad in ["2025-03-15T10:22:00.9Z", "2025-03-15", "2036-01-01", "tomorrow", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(expiry(now_us, 3_653)(&json("1742034121")).is_err());
    }

    #[test]
    fn names_have_something_to_see_and_an_end() {
        assert!(name(&json(&format!("\"{}\"", "é".repeat(120)))).is_ok());
        for text in [
            format!("\"{}\"", "x".repeat(121)),
            "\"\"".into(),
            "\"  \"".into(),
            "\"a\\u0000\"".into(),
            "7".into(),
        ] {
            assert!(name(&json(&text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_names_each_of_its_bad_parts() {
        let mut fields = Fields::of_body(br#"{"rate":{"per_minute":-1,"initial_s":0,"speed":1}}"#)
            .expect("an object");
        assert_eq!(rate(&mut fields, "rate"), Given::Absent);
        let named: Vec<_> = fields.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(named, ["rate.per_minute", "rate.initial_s", "rate.speed"]);
    }
}
