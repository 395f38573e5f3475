//! Reads a JSON object, borrowing from its text: no tree is built and numbers stay text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Given, Parameters, field_of, plain};
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
    let before = parameters.mark();
    if plain::read(parameters, text) {
        return;
    }
    parameters.back_to(before);
    if let Err(error) = read_object(parameters, text) {
        parameters.fail("body", format!("is not valid JSON: {error}"));
    }
}

fn read_object<'a>(parameters: &mut Parameters<'a>, text: &'a str) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Object(parameters).deserialize(&mut reader).and_then(|()| reader.end())
}

struct Object<'p, 'a>(&'p mut Parameters<'a>);

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
            match name {
                Ok(Field::Live) => give_live(self.0, raw),
                Ok(Field::Costs) if raw != "null" => self.0.give(name, Given::Json(raw)),
                name => self.0.give(name, value_of(raw)),
            }
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
    match raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Given::Text(Cow::Borrowed(text)),
        // Raw when it stands for no text, such as half a surrogate pair.
        Some(_) => match serde_json::from_str(raw) {
            Ok(text) => Given::Text(Cow::Owned(text)),
            Err(_) => Given::Json(raw),
        },
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
    use proptest::prelude::*;

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
    fn what_is_looked_at_twice_is_given_once() {
        let mut parameters = Parameters::default();
        parameters.read_query("source=q");
        parameters.read_json(br#"{"colour":1,"to":"+91","live":["a"],"from":null,"call_id":[1]}"#);
        assert!(parameters.repeated().is_empty() && parameters.unreadable().is_empty());
        assert_eq!(parameters.unknown(), ["colour"]);
        assert_eq!(parameters.live(), [Given::Text("a".into())]);
        assert_eq!(parameters.given(Field::CallId), &Given::Json("[1]"));
        assert_eq!(parameters.given(Field::From), &Given::Null);
        assert_eq!(parameters.given(Field::To), &Given::Text("+91".into()));
        assert_eq!(parameters.given(Field::Source), &Given::Text("q".into()));
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        let parameters = read_text(r#"{"op":"\u0061dmit","call_id":"\ud800"}"#);
        assert_eq!(parameters.given(Field::Op), &Given::Text("admit".into()));
        assert_eq!(parameters.given(Field::CallId), &Given::Json(r#""\ud800""#));
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

    proptest! {
        #[test]
        fn what_is_read_as_plain_is_read_alike_as_json(
            members in proptest::collection::vec((NAME, VALUE), 0..4)
        ) {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let body = format!("{{{}}}", members.join(","));
            let mut close = Parameters::default();
            if let Err(error) = read_object(&mut close, &body) {
                close.fail("body", format!("is not valid JSON: {error}"));
            }
            prop_assert_eq!(format!("{:?}", read_text(&body)), format!("{close:?}"));
        }
    }

    const NAME: &str =
        "call_id|to|from|source|t\\\\u006f|billable_s|costs|live|complete|status|x|y";
    const VALUE: &str = "null|true|-?[0-9]{1,2}([.][0-9])?|\"([a-zé{\"]|\\\\[nu]|\\\\u00e9|\\\\ud800|\t){0,3}\"|\\[(\"a\"|1)?\\]|\\{\\}";
}
