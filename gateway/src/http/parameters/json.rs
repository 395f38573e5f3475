//! Reads a JSON object, borrowing from its text: no tree is built and numbers stay text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Given, Parameters, field_of};
use crate::http::field::Field;

pub(super) fn read<'a>(parameters: &mut Parameters<'a>, body: &'a [u8]) {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let problem = format!("is not UTF-8 from byte {} on", error.valid_up_to());
            return parameters.fail("body", problem);
        }
    };
    // Said here because serde's own words would repeat what was sent.
    match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
        None => return,
        Some(b'{') => {}
        Some(_) => return parameters.fail("body", "is not a JSON object".to_owned()),
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let escapes = memchr::memchr(b'\\', body).is_some();
    let object = Object { parameters, escapes };
    let outcome = object.deserialize(&mut reader).and_then(|()| reader.end());
    if let Err(error) = outcome {
        parameters.fail("body", format!("is not valid JSON: {error}"));
    }
}

struct Object<'p, 'a> {
    parameters: &'p mut Parameters<'a>,
    /// Whether any text of the body may be escaped.
    escapes: bool,
}

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let raw = map.next_value::<&'de RawValue>()?.get();
            let value = match name {
                Ok(Field::Live) => {
                    give_live(self.parameters, raw);
                    continue;
                }
                Ok(Field::Costs) if raw != "null" => Given::Json(raw),
                _ if self.escapes => value_of(raw),
                _ => plain_value_of(raw),
            };
            self.parameters.give(name, value);
        }
        Ok(())
    }
}

/// The name of a member: a field, or the text that names none.
struct Name(Result<Field, String>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(field_of(name)))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

fn value_of(raw: &str) -> Given<'_> {
    if raw.starts_with('"') && raw.contains('\\') {
        // Raw when it stands for no text, such as half a surrogate pair.
        return match serde_json::from_str(raw) {
            Ok(text) => Given::Text(Cow::Owned(text)),
            Err(_) => Given::Json(raw),
        };
    }
    plain_value_of(raw)
}

/// The value of a JSON text in which nothing is escaped.
fn plain_value_of(raw: &str) -> Given<'_> {
    match raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => Given::Text(Cow::Borrowed(text)),
        None if raw == "null" => Given::Null,
        None => Given::Json(raw),
    }
}

fn give_live<'a>(parameters: &mut Parameters<'a>, raw: &'a str) {
    match serde_json::from_str::<Vec<&'a RawValue>>(raw) {
        Ok(ids) if !parameters.seen.has(Field::Live) => {
            parameters.live = ids.into_iter().map(|id| value_of(id.get())).collect();
            parameters.give(Ok(Field::Live), Given::Absent);
        }
        // Not a list, or a second one: kept for the error.
        _ => parameters.give(Ok(Field::Live), value_of(raw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(body: &str) -> Parameters<'_> {
        let mut parameters = Parameters::default();
        parameters.read_json(body.as_bytes());
        parameters
    }

    #[test]
    fn values_are_kept_as_they_came() {
        let body = r#" {"call_id":"a\"b","to":"+91","requested_s":300,"token":null,
            "costs":{"llm": [1.50]},"billable_s":1e2} "#;
        let parameters = read_text(body);
        assert!(parameters.unreadable().is_empty(), "{parameters:?}");
        assert_eq!(parameters.given(Field::CallId), &Given::Text("a\"b".into()));
        assert!(matches!(parameters.given(Field::To), Given::Text(Cow::Borrowed("+91"))));
        assert_eq!(parameters.given(Field::RequestedS), &Given::Json("300"));
        assert_eq!(parameters.given(Field::Token), &Given::Null);
        assert_eq!(parameters.given(Field::Costs), &Given::Json(r#"{"llm": [1.50]}"#));
        assert_eq!(parameters.given(Field::BillableS), &Given::Json("1e2"));
        assert_eq!(parameters.given(Field::From), &Given::Absent);
    }

    #[test]
    fn a_repeated_or_unknown_name_is_remembered_even_when_escaped() {
        let parameters = read_text(r#"{"call_id":"a","\u0063all_id":"b","colour":1}"#);
        assert!(parameters.repeated().has(Field::CallId));
        assert_eq!(parameters.unknown(), ["colour"]);
    }

    #[test]
    fn a_list_of_live_calls_keeps_what_is_no_text_for_the_error() {
        let parameters = read_text(r#"{"live":["a","b\/c",3]}"#);
        let expected = [Given::Text("a".into()), Given::Text("b/c".into()), Given::Json("3")];
        assert_eq!(parameters.live(), expected);
        let parameters = read_text(r#"{"live":"a"}"#);
        assert_eq!(parameters.given(Field::Live), &Given::Text("a".into()));
    }

    #[test]
    fn what_is_not_an_object_is_unreadable_and_never_repeated() {
        for body in ["[1]", "\"secret\"", "{", "{\"a\":1,}", "{\"a\":1} x", "{\"a\":\"\u{1}\"}"] {
            let parameters = read_text(body);
            assert_eq!(parameters.unreadable().len(), 1, "{body}");
            assert!(!parameters.unreadable()[0].problem.contains("secret"));
        }
        let mut parameters = Parameters::default();
        parameters.read_json(b"{\"call_id\":\"\xff\"}");
        assert_eq!(parameters.unreadable()[0].problem, "is not UTF-8 from byte 12 on");
        assert!(read_text("").unreadable().is_empty());
        assert!(read_text(" \n").unreadable().is_empty());
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let body = format!("{{\"costs\":{}{}}}", "[".repeat(8_000), "]".repeat(8_000));
        assert!(read_text(&body).unreadable().is_empty());
    }
}
