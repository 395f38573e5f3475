//! Reads `a=1&b=2`, of a body or a query. Unlike a browser's it refuses what is not UTF-8 instead of
//! replacing it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{Given, Parameters, field_of, shortened};
use crate::http::field::Field;

/// `live` may be repeated and each of its values is split at commas; an id that has a comma can only
/// be listed in JSON.
pub(super) fn read<'a>(parameters: &mut Parameters<'a>, part: &'static str, text: &'a [u8]) {
    let blank = text.iter().all(u8::is_ascii_whitespace);
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty() && !blank);
    for pair in pairs {
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
        let (Some(name), value) = (decoded(name, true), decoded(value, true)) else {
            parameters.fail(part, "has a name that is not UTF-8".to_owned());
            return;
        };
        let Some(value) = value else {
            parameters
                .fail(part, format!("has a value of {:?} that is not UTF-8", shortened(&name)));
            return;
        };
        match field_of(&name) {
            Ok(Field::Live) => give_live(parameters, value),
            name => parameters.give(name, Given::Text(value)),
        }
    }
}

fn give_live<'a>(parameters: &mut Parameters<'a>, value: Cow<'a, str>) {
    parameters.seen = parameters.seen.with(Field::Live);
    match value {
        Cow::Borrowed(text) => {
            let ids = text.split(',').filter(|id| !id.is_empty());
            parameters.live.extend(ids.map(|id| Given::Text(Cow::Borrowed(id))));
        }
        Cow::Owned(text) => {
            let ids = text.split(',').filter(|id| !id.is_empty());
            parameters.live.extend(ids.map(|id| Given::Text(Cow::Owned(id.to_owned()))));
        }
    }
}

/// Percent-decoded text; `None` when it is not UTF-8.
pub(super) fn decoded(text: &[u8], plus_is_space: bool) -> Option<Cow<'_, str>> {
    if plus_is_space && text.contains(&b'+') {
        let spaced: Vec<u8> =
            text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let bytes = percent_decode(&spaced).collect();
        return String::from_utf8(bytes).ok().map(Cow::Owned);
    }
    percent_decode(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Given<'_> {
        Given::Text(Cow::Borrowed(value))
    }

    #[test]
    fn a_form_is_decoded_and_its_values_borrowed_where_they_need_not_be() {
        let mut parameters = Parameters::default();
        parameters.read_form(b"call_id=a%2Fb%40c&to=%2B91+22&from=&agent_id=x=y&&source");
        assert_eq!(parameters.given(Field::CallId), &text("a/b@c"));
        assert_eq!(parameters.given(Field::To), &text("+91 22"));
        assert_eq!(parameters.given(Field::From), &text(""));
        assert_eq!(parameters.given(Field::AgentId), &text("x=y"));
        assert_eq!(parameters.given(Field::Source), &text(""));
        assert!(parameters.unreadable().is_empty() && parameters.unknown().is_empty());
    }

    #[test]
    fn what_comes_twice_or_is_unknown_is_remembered() {
        let mut parameters = Parameters::default();
        parameters.read_query("call_id=a&colour=red");
        parameters.read_form(b"call_id=a");
        assert!(parameters.repeated().has(Field::CallId));
        assert_eq!(parameters.unknown(), ["colour"]);
    }

    #[test]
    fn live_is_repeated_or_separated_by_commas() {
        let mut parameters = Parameters::default();
        parameters.read_form(b"live=a,b&live=c%2F1,&live=");
        assert_eq!(parameters.live(), [text("a"), text("b"), text("c/1")]);
        assert!(parameters.repeated().is_empty());
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        for body in [&b"call_id=%ff"[..], b"call_id=\xff", b"%ff=1", b"call_id=+%ff"] {
            let mut parameters = Parameters::default();
            parameters.read_form(body);
            assert_eq!(parameters.unreadable().len(), 1, "{body:?}");
        }
    }
}
