//! The reader of request bodies and query strings: unknown and repeated fields are refused, but where
//! clients may send more than is read, numbers are read from their text, and every bad field is named
//! at once.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::problem::{FieldError, Problem};

pub(crate) mod values;

/// The most fields read from one object; more are a malformed request.
const FIELDS_MAX: usize = 64;
/// As much of a bad value as is shown back.
const SHOWN_CHARACTERS_MAX: usize = 64;

/// A value as it stood in the request.
#[derive(Debug)]
pub(crate) enum Raw {
    Json(Box<RawValue>),
    /// From a query string.
    Text(String),
}

/// A field that may be left out or be `null`, which are not the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Given<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<T> Given<T> {
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// `null` and absence alike.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// What a merge makes of `present`.
    pub(crate) fn merged(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Absent => present,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// The fields of one object, each to be asked for once; then [`Fields::finish`].
pub(crate) struct Fields {
    prefix: String,
    entries: Vec<(String, Option<Raw>)>,
    errors: Vec<FieldError>,
    /// What nobody asks for is ignored.
    lenient: bool,
}

impl Fields {
    /// Reads a JSON object. An empty body is an object without fields.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, Problem> {
        Ok(Self::new(String::new(), object_of(body)?))
    }

    /// The same, of a client that may send more than is read: unknown fields are ignored, and of one
    /// that is repeated the last counts.
    pub(crate) fn of_lenient_body(body: &[u8]) -> Result<Self, Problem> {
        Ok(Self::lenient(object_of(body)?))
    }

    /// Reads a query string.
    pub(crate) fn of_query(query: Option<&str>) -> Self {
        Self::new(String::new(), pairs_of(query))
    }

    /// The same, as leniently as [`Fields::of_lenient_body`].
    pub(crate) fn of_lenient_query(query: Option<&str>) -> Self {
        Self::lenient(pairs_of(query))
    }

    fn lenient(entries: Vec<(String, Raw)>) -> Self {
        let mut last: Vec<(String, Option<Raw>)> = Vec::new();
        for (name, raw) in entries {
            last.retain(|(earlier, _)| *earlier != name);
            last.push((name, Some(raw)));
        }
        Self { prefix: String::new(), entries: last, errors: Vec::new(), lenient: true }
    }

    fn new(prefix: String, entries: Vec<(String, Raw)>) -> Self {
        let mut fields = Self { prefix, entries: Vec::new(), errors: Vec::new(), lenient: false };
        for (name, raw) in entries {
            if fields.entries.iter().any(|(present, _)| *present == name) {
                fields.error(&name, None, "given more than once");
            } else {
                fields.entries.push((name, Some(raw)));
            }
        }
        fields
    }

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        let Some(raw) = self.take(name) else {
            self.error(name, None, "required");
            return None;
        };
        self.read(name, &raw, read)
    }

    /// A secret that must be there: a wrong one is never shown back.
    pub(crate) fn required_secret<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        let read = self.take(name).ok_or_else(|| "required".to_owned()).and_then(|raw| read(&raw));
        read.map_err(|problem| self.error(name, None, problem)).ok()
    }

    /// A secret that may be left out.
    pub(crate) fn optional_secret<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        if self.has(name) { self.required_secret(name, read) } else { None }
    }

    /// A field that may be left out.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        let raw = self.take(name)?;
        self.read(name, &raw, read)
    }

    /// A field that may be left out or `null`.
    pub(crate) fn given<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Given<T> {
        match self.take(name) {
            None => Given::Absent,
            Some(raw) if raw.is_null() => Given::Null,
            Some(raw) => self.read(name, &raw, read).map_or(Given::Absent, Given::Value),
        }
    }

    /// A field that is itself an object; `null` and absence are told apart.
    pub(crate) fn given_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Given<T> {
        let raw = match self.take(name) {
            None => return Given::Absent,
            Some(raw) if raw.is_null() => return Given::Null,
            Some(raw) => raw,
        };
        let Ok(object) = serde_json::from_str::<Object>(raw.text()) else {
            self.error(name, Some(&raw), "expected an object");
            return Given::Absent;
        };
        let mut inner = Self::new(format!("{}{name}.", self.prefix), object.0);
        let value = read(&mut inner);
        inner.refuse_unread();
        self.errors.append(&mut inner.errors);
        value.map_or(Given::Absent, Given::Value)
    }

    /// A list of at most `most` objects, which may be left out; their fields are named `taxes.0.name`.
    pub(crate) fn optional_objects<T>(
        &mut self,
        name: &str,
        most: usize,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let raw = self.take(name)?;
        let objects: Option<Vec<Object>> = serde_json::from_str(raw.text()).ok();
        let Some(objects) = objects.filter(|objects| objects.len() <= most) else {
            self.error(name, Some(&raw), format!("expected a list of at most {most} objects"));
            return None;
        };
        let mut values = Vec::new();
        for (index, object) in objects.into_iter().enumerate() {
            let mut inner = Self::new(format!("{}{name}.{index}.", self.prefix), object.0);
            values.push(read(&mut inner));
            inner.refuse_unread();
            self.errors.append(&mut inner.errors);
        }
        values.into_iter().collect()
    }

    /// Every field that nobody has asked for; `read` is told its name.
    pub(crate) fn rest<T>(
        &mut self,
        read: impl Fn(&str, &Raw) -> Result<T, String>,
    ) -> Vec<(String, T)> {
        let left = self.entries.iter().filter(|(_, raw)| raw.is_some());
        let names: Vec<String> = left.map(|(name, _)| name.clone()).collect();
        let read_one = |name: String| {
            let raw = self.take(&name)?;
            let value = self.read(&name, &raw, |raw| read(&name, raw))?;
            Some((name, value))
        };
        names.into_iter().filter_map(read_one).collect()
    }

    /// Notes that a field is wrong in a way that only the caller can see.
    pub(crate) fn refuse(&mut self, name: &str, problem: impl Into<String>) {
        self.error(name, None, problem);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(present, _)| present == name)
    }

    /// Refuses what nobody asked for, and everything found wrong before. After `Ok`, every
    /// required field was there and right.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        if !self.lenient {
            self.refuse_unread();
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(&self.errors)) }
    }

    fn refuse_unread(&mut self) {
        let unread: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, raw)| raw.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in unread {
            self.error(&name, None, "unknown field");
        }
    }

    fn take(&mut self, name: &str) -> Option<Raw> {
        self.entries.iter_mut().find(|(present, _)| present == name)?.1.take()
    }

    fn read<T>(
        &mut self,
        name: &str,
        raw: &Raw,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Option<T> {
        match read(raw) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.error(name, Some(raw), problem);
                None
            }
        }
    }

    fn error(&mut self, name: &str, raw: Option<&Raw>, problem: impl Into<String>) {
        let shown = |raw: &Raw| raw.text().chars().take(SHOWN_CHARACTERS_MAX).collect();
        self.errors.push(FieldError {
            field: format!(
                "{}{}",
                self.prefix,
                name.chars().take(SHOWN_CHARACTERS_MAX).collect::<String>()
            ),
            value: raw.map(shown),
            problem: problem.into(),
        });
    }
}

impl Raw {
    fn text(&self) -> &str {
        match self {
            Self::Json(raw) => raw.get(),
            Self::Text(text) => text,
        }
    }

    /// The strings of a list; `None`: it is no list of strings.
    pub(crate) fn list(&self) -> Option<Vec<String>> {
        match self {
            Self::Json(raw) => serde_json::from_str(raw.get()).ok(),
            Self::Text(_) => None,
        }
    }

    /// The values of a list as they stand; `None`: it is no list.
    pub(crate) fn listed(&self) -> Option<Vec<Box<RawValue>>> {
        serde_json::from_str(self.text()).ok()
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Json(raw) if raw.get() == "null")
    }
}

/// The fields of a body; none when it is empty.
fn object_of(body: &[u8]) -> Result<Vec<(String, Raw)>, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::field("body", format!("expected UTF-8; byte {} is not", error.valid_up_to()))
    })?;
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let object: Object = serde_json::from_str(text)
        .map_err(|error| Problem::field("body", format!("expected a JSON object: {error}")))?;
    Ok(object.0)
}

fn pairs_of(query: Option<&str>) -> Vec<(String, Raw)> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let entries = pairs
        .take(FIELDS_MAX)
        .map(|(name, value)| (name.into_owned(), Raw::Text(value.into_owned())));
    entries.collect()
}

/// A JSON object as a list: names are not yet compared, values not yet read.
struct Object(Vec<(String, Raw)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
            if entries.len() == FIELDS_MAX {
                return Err(serde::de::Error::custom(format!("more than {FIELDS_MAX} fields")));
            }
            entries.push((name, Raw::Json(raw)));
        }
        Ok(Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn finish(body: &str, ask: impl FnOnce(&mut Fields)) -> Option<Vec<String>> {
        let mut fields = Fields::of_body(body.as_bytes()).expect("an object");
        ask(&mut fields);
        let mut named = fields.errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>();
        fields.refuse_unread();
        named.extend(fields.errors[named.len()..].iter().map(|error| error.field.clone()));
        fields.finish().err().map(|_| named)
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let named = finish(r#"{"a":1,"a":2,"b":"x","z":null}"#, |fields| {
            let _: Option<u32> = fields.required("a", values::whole(0..=9));
            let _: Option<u32> = fields.required("b", values::whole(0..=9));
            let _: Option<String> = fields.required("c", values::name);
        });
        assert_eq!(named, Some(["a", "b", "c", "z"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_is_no_object_or_no_utf_8_is_refused() {
        for body in [&b"[]"[..], b"1", b"{", b"{\"a\":}", b"{} {}", b"\xff", b"name=x"] {
            let problem = Fields::of_body(body).err().expect("refused");
            assert_eq!(problem.into_response().status(), 400, "{body:?}");
        }
        assert!(Fields::of_body(b" ").is_ok());
    }

    #[test]
    fn a_lenient_reader_takes_the_last_of_repeated_fields_and_ignores_unknown_ones() {
        let body = br#"{"a":1,"metadata":{"x":[1]},"a":2}"#;
        let mut fields = Fields::of_lenient_body(body).expect("an object");
        assert_eq!(fields.required("a", values::whole(0..=9)), Some(2));
        assert!(fields.finish().is_ok());
        let mut fields = Fields::of_lenient_query(Some("a=1&b=x&a=7"));
        assert_eq!(fields.required("a", values::whole(0..=9)), Some(7));
        let _: Option<u32> = fields.optional("b", values::whole(0..=9));
        assert!(fields.finish().is_err(), "what is read must be right");
    }

    #[test]
    fn null_and_absence_are_told_apart() {
        let mut fields = Fields::of_body(br#"{"a":null}"#).expect("an object");
        assert_eq!(fields.given("a", values::whole(0..=1)), Given::Null);
        assert_eq!(fields.given("b", values::whole(0..=1)), Given::Absent);
    }
}
