//! Turns parameters into the typed values of one operation and names everything that is wrong, at
//! once. Must never repeat a secret in an error.

use std::ops::RangeInclusive;
use std::str::FromStr;

use hub::call::{CALL_ID_MAX, TEXT_MAX};
use hub::denial::{BadField, Denial};
use hub::id::AccountId;
use serde_json::value::RawValue;

use super::bytes;
use super::field::{Field, FieldSet};
use super::parameters::{Given, Parameters, shortened};

/// The largest breakdown of costs that is stored, in bytes.
pub const COSTS_MAX: usize = 4 * 1024;
/// More bad elements of a list are not named.
const BAD_ELEMENTS_MAX: usize = 20;

const CALL_ID_EXPECTED: &str = "expected 1 to 128 visible ASCII characters";
const TEXT_EXPECTED: &str = "expected text of at most 255 bytes without control characters";
const _: () = assert!(CALL_ID_MAX == 128 && TEXT_MAX == 255);

/// The check of one request: ask for each value, then [`Check::done`].
pub struct Check<'p, 'a> {
    parameters: &'p Parameters<'a>,
    bad: Vec<BadField>,
}

impl<'p, 'a> Check<'p, 'a> {
    /// `allowed` is what the operation knows.
    pub fn new(parameters: &'p Parameters<'a>, allowed: FieldSet) -> Self {
        let mut check = Self { parameters, bad: Vec::new() };
        let foreign = parameters.seen().without(allowed);
        let sound = foreign.is_empty()
            && parameters.repeated().is_empty()
            && parameters.unknown().is_empty()
            && parameters.unreadable().is_empty()
            && !parameters.seen().has(Field::Status);
        if !sound {
            check.unsound(allowed, foreign);
        }
        check
    }

    #[cold]
    fn unsound(&mut self, allowed: FieldSet, foreign: FieldSet) {
        for part in self.parameters.unreadable() {
            self.refuse(part.part, part.problem.clone());
        }
        let expected = format!("is not known here; expected {}", allowed.names());
        for name in self.parameters.unknown() {
            self.refuse(name, expected.clone());
        }
        for field in foreign.iter() {
            self.refuse(field.label(), expected.clone());
        }
        if !matches!(self.parameters.given(Field::Status), Given::Absent)
            && !self.parameters.always_200()
        {
            self.wrong(Field::Status, "is no status", "expected 200");
        }
        for field in self.parameters.repeated().iter() {
            self.refuse(field.label(), "is given more than once; expected it once".to_owned());
        }
    }

    /// The denial that names every bad field, if there is one.
    pub fn done(self) -> Result<(), Denial> {
        if self.bad.is_empty() { Ok(()) } else { Err(Denial::InvalidRequest(self.bad)) }
    }

    pub fn call_id(&mut self) -> &'p str {
        match self.parameters.given(Field::CallId) {
            Given::Text(id) if is_call_id(id) => id,
            // An unreadable body may well have had one.
            Given::Absent if !self.parameters.unreadable().is_empty() => "",
            Given::Absent | Given::Null => self.missing(Field::CallId, CALL_ID_EXPECTED),
            _ => self.wrong(Field::CallId, "is not a call id", CALL_ID_EXPECTED),
        }
    }

    // Inlined, here and below: most parameters are not given.
    /// A short text; empty when not given.
    #[inline]
    pub fn text(&mut self, field: Field) -> &'p str {
        if self.has(field) { self.given_text(field) } else { "" }
    }

    fn given_text(&mut self, field: Field) -> &'p str {
        match self.parameters.given(field) {
            Given::Text(text) if is_short_text(text) => text,
            Given::Absent | Given::Null => "",
            Given::Text(text) if text.len() > TEXT_MAX => {
                self.wrong(field, &format!("is {} bytes long", text.len()), TEXT_EXPECTED)
            }
            Given::Text(_) => self.wrong(field, "has control characters", TEXT_EXPECTED),
            Given::Json(_) => self.wrong(field, "is not text", TEXT_EXPECTED),
        }
    }

    /// As [`Check::text`], but it has to be there and may not be empty.
    pub fn required_text(&mut self, field: Field) -> &'p str {
        match self.parameters.given(field) {
            Given::Absent if !self.parameters.unreadable().is_empty() => "",
            Given::Absent | Given::Null => self.missing(field, TEXT_EXPECTED),
            Given::Text(text) if text.is_empty() => self.missing(field, TEXT_EXPECTED),
            _ => self.text(field),
        }
    }

    pub fn token(&mut self) -> Option<&'p str> {
        let token = self.text(Field::Token);
        (!token.is_empty()).then_some(token)
    }

    #[inline]
    pub fn account(&mut self) -> Option<AccountId> {
        self.word(Field::Account, "is not an account id")
    }

    /// A value that has a closed set of texts.
    #[inline]
    pub fn word<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        field: Field,
        problem: &str,
    ) -> Option<T> {
        if self.has(field) { self.given_word(field, problem) } else { None }
    }

    fn given_word<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        field: Field,
        problem: &str,
    ) -> Option<T> {
        let text: &str = match self.parameters.given(field) {
            Given::Absent | Given::Null => return None,
            Given::Text(text) => text,
            Given::Json(_) => "",
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(field, problem, &error.to_string());
                None
            }
        }
    }

    /// A whole number within `range`: a JSON number or digits.
    #[inline]
    pub fn whole(&mut self, field: Field, range: &RangeInclusive<u32>) -> Option<u32> {
        if self.has(field) { self.given_whole(field, range) } else { None }
    }

    fn given_whole(&mut self, field: Field, range: &RangeInclusive<u32>) -> Option<u32> {
        let number: &str = match self.parameters.given(field) {
            Given::Absent | Given::Null => return None,
            Given::Text(text) => text,
            Given::Json(raw) => raw,
        };
        let expected =
            || format!("expected a whole number from {} to {}", range.start(), range.end());
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            self.wrong(field, "is not a whole number", &expected());
            return None;
        }
        match number.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.wrong(field, "is out of range", &expected());
                None
            }
        }
    }

    /// `true` or `false`; not given is false.
    pub fn flag(&mut self, field: Field) -> bool {
        match self.parameters.given(field) {
            Given::Absent | Given::Null | Given::Json("false") => false,
            Given::Json("true") => true,
            Given::Text(text) if text == "true" => true,
            Given::Text(text) if text == "false" => false,
            _ => {
                self.wrong(field, "is neither", "expected true or false");
                false
            }
        }
    }

    /// A JSON value of at most [`COSTS_MAX`] bytes, as it came.
    #[inline]
    pub fn costs(&mut self) -> Option<&'p str> {
        if self.has(Field::Costs) { self.given_costs() } else { None }
    }

    fn given_costs(&mut self) -> Option<&'p str> {
        const EXPECTED: &str = "expected a JSON value of at most 4096 bytes";
        let costs: &str = match self.parameters.given(Field::Costs) {
            Given::Absent | Given::Null => return None,
            Given::Json(raw) => raw,
            Given::Text(text) => text,
        };
        if costs.len() > COSTS_MAX {
            self.wrong(Field::Costs, &format!("is {} bytes long", costs.len()), EXPECTED);
        } else if serde_json::from_str::<&RawValue>(costs).is_err() {
            self.wrong(Field::Costs, "is not JSON", EXPECTED);
        }
        Some(costs)
    }

    /// The call ids of `live`; not given is empty.
    pub fn live(&mut self) -> Vec<&'p str> {
        const EXPECTED: &str = "expected a list of call ids";
        if !matches!(self.parameters.given(Field::Live), Given::Absent | Given::Null) {
            self.wrong(Field::Live, "is not a list", EXPECTED);
        }
        let mut ids = Vec::with_capacity(self.parameters.live().len());
        let mut bad_elements = 0;
        for (index, element) in self.parameters.live().iter().enumerate() {
            match element {
                Given::Text(id) if is_call_id(id) => ids.push(&**id),
                _ if bad_elements == BAD_ELEMENTS_MAX => break,
                other => {
                    bad_elements += 1;
                    let problem = format!("{}: {CALL_ID_EXPECTED}", shown(other));
                    self.refuse(&format!("live[{index}]"), problem);
                }
            }
        }
        ids
    }

    fn has(&self, field: Field) -> bool {
        !matches!(self.parameters.given(field), Given::Absent)
    }

    fn missing(&mut self, field: Field, expected: &str) -> &'static str {
        self.refuse(field.label(), format!("is missing; {expected}"));
        ""
    }

    #[cold]
    pub fn wrong(&mut self, field: Field, problem: &str, expected: &str) -> &'static str {
        let given = self.parameters.given(field);
        let value = if field.is_secret() { "the value".to_owned() } else { shown(given) };
        self.refuse(field.label(), format!("{value} {problem}; {expected}"));
        ""
    }

    fn refuse(&mut self, field: &str, problem: String) {
        self.bad.push(BadField { field: field.to_owned(), problem });
    }
}

fn is_call_id(text: &str) -> bool {
    (1..=CALL_ID_MAX).contains(&text.len()) && bytes::are_visible(text.as_bytes())
}

fn is_short_text(text: &str) -> bool {
    // Blanks and what lies above ASCII need a look at characters.
    text.len() <= TEXT_MAX
        && (bytes::are_visible(text.as_bytes()) || !text.chars().any(char::is_control))
}

/// A value as an error shows it, shortened.
fn shown(given: &Given<'_>) -> String {
    match given {
        Given::Absent => "nothing".to_owned(),
        Given::Null => "null".to_owned(),
        Given::Text(text) => format!("{:?}", shortened(text)),
        Given::Json(raw) => shortened(raw),
    }
}
