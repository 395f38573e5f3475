//! The parameters of one request or batch line, as they came: from the query, a form or a JSON
//! object, merged. Must never judge a value beyond its being readable: `check` does.

mod form;
mod json;
mod plain;

use std::borrow::Cow;

use super::field::{Field, FieldSet};

/// One value as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Given<'a> {
    #[default]
    Absent,
    /// JSON `null`: as if absent.
    Null,
    /// Decoded text: of a form, a query or a JSON string.
    Text(Cow<'a, str>),
    /// Any other JSON value, and every value of `costs`, raw.
    Json(&'a str),
}

/// What a request brought. Borrows from its body and query.
#[derive(Debug, Default)]
pub struct Parameters<'a> {
    given: [Given<'a>; Field::COUNT],
    seen: FieldSet,
    repeated: FieldSet,
    /// Names that no operation knows, shortened; at most [`UNKNOWN_MAX`].
    unknown: Vec<String>,
    /// The elements of `live`.
    live: Vec<Given<'a>>,
    /// Why query or body cannot be read at all.
    unreadable: Vec<Unreadable>,
}

/// A part of a request that is not even a list of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// `body` or `query`
    pub part: &'static str,
    pub problem: String,
}

/// A point in the reading of parameters.
#[derive(Clone, Copy, Default)]
struct Mark {
    seen: FieldSet,
    repeated: FieldSet,
    unknown: usize,
}

/// More unknown names than these are not named.
const UNKNOWN_MAX: usize = 20;

/// Longer values and names are cut where they are shown in an error.
const SHOWN_MAX: usize = 64;

impl<'a> Parameters<'a> {
    /// Forgets everything, to be used for the next line of a batch.
    pub fn clear(&mut self) {
        self.back_to(Mark::default());
        self.unreadable.clear();
    }

    pub fn read_query(&mut self, query: &'a str) {
        form::read(self, "query", query.as_bytes());
    }

    pub fn read_form(&mut self, body: &'a [u8]) {
        form::read(self, "body", body);
    }

    /// Reads a JSON object; a body of nothing but blanks is no parameters.
    pub fn read_json(&mut self, body: &'a [u8]) {
        json::read(self, body);
    }

    /// A part of the path, percent-decoded.
    pub fn read_segment(&mut self, field: Field, segment: &'a str) {
        match form::decoded(segment.as_bytes(), false) {
            Some(text) => self.give(Ok(field), Given::Text(text)),
            None => self.fail("path", "is not UTF-8 when percent-decoded".to_owned()),
        }
    }

    pub fn given(&self, field: Field) -> &Given<'a> {
        &self.given[field as usize]
    }

    /// `status=200`: the answer is to come with HTTP status 200, whatever it says.
    pub fn always_200(&self) -> bool {
        match self.given(Field::Status) {
            Given::Text(status) => status == "200",
            Given::Json(status) => *status == "200",
            Given::Absent | Given::Null => false,
        }
    }

    pub fn live(&self) -> &[Given<'a>] {
        &self.live
    }

    pub fn seen(&self) -> FieldSet {
        self.seen
    }

    pub fn repeated(&self) -> FieldSet {
        self.repeated
    }

    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }

    /// How much has been given by now.
    fn mark(&self) -> Mark {
        Mark { seen: self.seen, repeated: self.repeated, unknown: self.unknown.len() }
    }

    /// Forgets what was given since.
    fn back_to(&mut self, mark: Mark) {
        for field in self.seen.without(mark.seen).iter() {
            self.given[field as usize] = Given::Absent;
        }
        if !mark.seen.has(Field::Live) {
            self.live.clear();
        }
        self.seen = mark.seen;
        self.repeated = mark.repeated;
        self.unknown.truncate(mark.unknown);
    }

    /// Takes one parameter; `name` is the field or the text that names none.
    fn give(&mut self, name: Result<Field, String>, value: Given<'a>) {
        match name {
            Ok(field) if self.seen.has(field) => self.repeated = self.repeated.with(field),
            Ok(field) => {
                self.seen = self.seen.with(field);
                self.given[field as usize] = value;
            }
            Err(_) if self.unknown.len() >= UNKNOWN_MAX => {}
            Err(name) => self.unknown.push(name),
        }
    }

    fn fail(&mut self, part: &'static str, problem: String) {
        self.unreadable.push(Unreadable { part, problem });
    }
}

/// The field of this name, else the name as it may be shown.
fn field_of(name: &str) -> Result<Field, String> {
    Field::named(name).ok_or_else(|| shortened(name))
}

/// At most [`SHOWN_MAX`] bytes of a text that somebody sent.
pub fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(SHOWN_MAX)])
}
