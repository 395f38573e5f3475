//! JSON schemas (2020-12) as the document has them, made of the same bounds as the readers of
//! requests.

use std::ops::RangeInclusive;

use hub::id::AccountKind;
use hub::money::{Amount, Currency};
use serde_json::{Map, Value, json};

use crate::fields::values::NAME_CHARACTERS_MAX;

/// Where a schema that has a name keeps itself until the document moves it to its components.
pub(super) const DEFINITION: &str = "x-definition";
/// Marks where the regions of the installation go.
pub(super) const REGIONS: &str = "x-regions";
/// Twenty-six characters of Crockford's base 32, in lower case.
const ULID: &str = "[0-7][0-9a-hjkmnp-tv-z]{25}";
/// Control characters, as a part of a class.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";

/// A schema, and whether what it describes has to be there.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    json: Map<String, Value>,
    /// `None`: as is usual for its object.
    is_required: Option<bool>,
}

impl Schema {
    fn of(json: Value) -> Self {
        let json = if let Value::Object(object) = json { object } else { Map::new() };
        Self { json, is_required: None }
    }

    pub(super) const fn is_required(&self) -> bool {
        matches!(self.is_required, Some(true))
    }

    /// Whether it is an object of which something must be given.
    pub(super) fn has_required_members(&self) -> bool {
        let required = self.json.get("required").and_then(Value::as_array);
        required.is_some_and(|required| !required.is_empty())
    }

    pub(super) fn into_json(self) -> Value {
        Value::Object(self.json)
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.json.insert(name.to_owned(), value.into());
        self
    }

    /// What it means.
    pub(crate) fn about(self, text: impl Into<String>) -> Self {
        self.set("description", text.into())
    }

    pub(crate) fn example(self, value: impl Into<Value>) -> Self {
        self.set("examples", json!([value.into()]))
    }

    /// What counts when it is left out.
    pub(crate) fn by_default(self, value: impl Into<Value>) -> Self {
        self.set("default", value)
    }

    /// In a request: must be given.
    #[must_use]
    pub(crate) const fn required(mut self) -> Self {
        self.is_required = Some(true);
        self
    }

    /// In an answer: may be missing.
    #[must_use]
    pub(crate) const fn may_be_missing(mut self) -> Self {
        self.is_required = Some(false);
        self
    }

    /// With members that are not described.
    pub(crate) fn open(self) -> Self {
        self.set("additionalProperties", true)
    }

    /// Of values by names: how many, and the form of a name.
    pub(crate) fn members(self, most: usize, name: &str) -> Self {
        self.set("maxProperties", most).set("propertyNames", json!({"pattern": name}))
    }

    /// Of a request's object: one of these members at least.
    pub(crate) fn at_least_one_of(self, members: &[&str]) -> Self {
        let each: Vec<_> = members.iter().map(|member| json!({"required": [member]})).collect();
        self.set("anyOf", each)
    }

    /// Of a list: how many.
    pub(crate) fn items(self, count: RangeInclusive<usize>) -> Self {
        self.set("minItems", *count.start()).set("maxItems", *count.end())
    }

    /// Of a text: its most characters.
    pub(crate) fn at_most(self, characters: usize) -> Self {
        self.set("maxLength", characters)
    }

    /// Or `null`.
    #[must_use]
    pub(crate) fn or_null(mut self) -> Self {
        if let Some(Value::Array(words)) = self.json.get_mut("enum") {
            words.push(Value::Null);
        }
        match self.json.get("type").cloned() {
            Some(kind) => self.set("type", json!([kind, "null"])),
            None => Self {
                json: Self::of(json!({"anyOf": [self.json, {"type": "null"}]})).json,
                is_required: self.is_required,
            },
        }
    }

    /// One of the document's components.
    #[must_use]
    pub(crate) fn named(self, name: &str) -> Self {
        let reference = format!("#/components/schemas/{name}");
        Self::of(json!({"$ref": reference, DEFINITION: self.json}))
    }

    /// An answer's object with more members.
    #[must_use]
    pub(crate) fn with(mut self, members: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let more = answered(members);
        for (name, value) in more.json {
            match (self.json.get_mut(&name), value) {
                (Some(Value::Object(present)), Value::Object(more)) => present.extend(more),
                (Some(Value::Array(present)), Value::Array(more)) => present.extend(more),
                _ => {}
            }
        }
        self
    }
}

/// An object of a request: what is not described is refused.
pub(crate) fn asked(members: impl IntoIterator<Item = (&'static str, Schema)>) -> Schema {
    object(members, false).set("additionalProperties", false)
}

/// An object of a request of whose members some are not read.
pub(crate) fn asked_leniently(members: impl IntoIterator<Item = (&'static str, Schema)>) -> Schema {
    object(members, false).set("additionalProperties", true)
}

/// An object of an answer: it may have more members in a later version.
pub(crate) fn answered(members: impl IntoIterator<Item = (&'static str, Schema)>) -> Schema {
    object(members, true)
}

fn object(
    members: impl IntoIterator<Item = (&'static str, Schema)>,
    usually_required: bool,
) -> Schema {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, schema) in members {
        if schema.is_required.unwrap_or(usually_required) {
            required.push(name);
        }
        properties.insert(name.to_owned(), schema.into_json());
    }
    let object = Schema::of(json!({"type": "object", "properties": properties}));
    if required.is_empty() { object } else { object.set("required", required) }
}

/// No member at all: an empty body, or `{}`.
pub(crate) fn nothing() -> Schema {
    asked([])
}

#[expect(clippy::needless_pass_by_value, reason = "schemas are made where they are used")]
pub(crate) fn list(of: Schema) -> Schema {
    Schema::of(json!({"type": "array", "items": of.json}))
}

/// The page of a list.
pub(crate) fn page(of: Schema) -> Schema {
    answered([
        ("data", list(of)),
        (
            "next_cursor",
            text().or_null().about("the `cursor` of the next page; null at the end of the list"),
        ),
    ])
}

/// `limit` and `cursor` of a list.
pub(crate) fn window() -> [(&'static str, Schema); 2] {
    use crate::page::{CURSOR_CHARACTERS_MAX, LIMIT_DEFAULT, LIMITS};
    [
        ("limit", whole(LIMITS).by_default(LIMIT_DEFAULT).about("how many the page has at most")),
        (
            "cursor",
            characters(1..=CURSOR_CHARACTERS_MAX)
                .about("the `next_cursor` of an earlier answer to the same query"),
        ),
    ]
}

/// Values by names that only the data knows.
#[expect(clippy::needless_pass_by_value, reason = "schemas are made where they are used")]
pub(crate) fn by_name(of: Schema) -> Schema {
    Schema::of(json!({"type": "object", "additionalProperties": of.json}))
}

/// One of several.
pub(crate) fn any_of(schemas: impl IntoIterator<Item = Schema>) -> Schema {
    let schemas: Vec<_> = schemas.into_iter().map(|schema| schema.json).collect();
    Schema::of(json!({"anyOf": schemas}))
}

/// Any JSON.
pub(crate) fn anything() -> Schema {
    Schema::of(json!({}))
}

pub(crate) fn null() -> Schema {
    Schema::of(json!({"type": "null"}))
}

pub(crate) fn text() -> Schema {
    Schema::of(json!({"type": "string"}))
}

pub(crate) fn characters(count: RangeInclusive<usize>) -> Schema {
    text().set("minLength", *count.start()).set("maxLength", *count.end())
}

/// Text of a form.
pub(crate) fn pattern(pattern: &str) -> Schema {
    text().set("pattern", pattern)
}

/// A name: something to see, and no control character.
pub(crate) fn name() -> Schema {
    characters(1..=NAME_CHARACTERS_MAX)
        .set("pattern", format!("^[^{CONTROL}]*[^\\s{CONTROL}][^{CONTROL}]*$"))
        .example("Acme Corp")
}

/// A text for people to read, which may be empty.
pub(crate) fn label() -> Schema {
    pattern(&format!("^[^{CONTROL}]*$")).at_most(NAME_CHARACTERS_MAX)
}

pub(crate) fn flag() -> Schema {
    Schema::of(json!({"type": "boolean"}))
}

pub(crate) fn whole(range: RangeInclusive<u32>) -> Schema {
    Schema::of(json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}))
}

/// A whole number of an answer.
pub(crate) fn count() -> Schema {
    Schema::of(json!({"type": "integer", "minimum": 0}))
}

pub(crate) fn number() -> Schema {
    Schema::of(json!({"type": "number"}))
}

/// One of the words of a table.
pub(crate) fn word<T>(words: &[(&'static str, T)]) -> Schema {
    labels(words.iter().map(|(word, _)| *word))
}

pub(crate) fn labels(words: impl IntoIterator<Item = &'static str>) -> Schema {
    let words: Vec<_> = words.into_iter().collect();
    Schema::of(json!({"type": "string", "enum": words}))
}

/// A region of the installation.
pub(crate) fn region() -> Schema {
    text().set(REGIONS, true).example("india")
}

/// Money of an answer, in major units.
pub(crate) fn money() -> Schema {
    pattern(r"^-?[0-9]+(\.[0-9]{1,6})?$").example("4987.50")
}

/// Money of a request, in major units: read from its text, never through a float.
pub(crate) fn amount(most: Amount) -> Schema {
    let units_max = most.micros() / Amount::MICROS_PER_UNIT;
    let digits_max = units_max.to_string().len();
    any_of([
        Schema::of(json!({"type": "number", "minimum": 0, "maximum": units_max})),
        pattern(&format!("^0*[0-9]{{1,{digits_max}}}(\\.[0-9]{{1,6}})?$")),
    ])
    .about("major units, a number or a string: plain digits, at most six decimals, no exponent")
    .example("49.95")
}

/// The same, below zero too.
pub(crate) fn signed_amount(most: Amount) -> Schema {
    let units_max = most.micros() / Amount::MICROS_PER_UNIT;
    let digits_max = units_max.to_string().len();
    any_of([
        Schema::of(json!({"type": "number", "minimum": -units_max, "maximum": units_max})),
        pattern(&format!("^-?0*[0-9]{{1,{digits_max}}}(\\.[0-9]{{1,6}})?$")),
    ])
}

pub(crate) fn currency() -> Schema {
    labels(Currency::CODES.split(' ')).about("ISO 4217").example("INR").named("Currency")
}

/// A time of an answer.
pub(crate) fn time() -> Schema {
    text().set("format", "date-time").example("2025-03-15T10:22:00Z")
}

/// A date or a time of a request.
pub(crate) fn moment() -> Schema {
    any_of([text().set("format", "date"), text().set("format", "date-time")]).example("2025-06-25")
}

pub(crate) fn moment_or_empty() -> Schema {
    any_of([
        text().set("format", "date"),
        text().set("format", "date-time"),
        text().set("const", ""),
    ])
    .example("2025-06-25")
}

pub(crate) fn account_id(kind: AccountKind) -> Schema {
    let prefix = kind.prefix();
    pattern(&format!("^{prefix}{ULID}$")).example(format!("{prefix}01jq2m6v3x8k5t9w7r4n1b0dce"))
}

/// The id of any account.
pub(crate) fn any_account_id() -> Schema {
    pattern(&format!("^(org|sa|ws)_{ULID}$")).example("sa_01jq2m6v3x8k5t9w7r4n1b0dce")
}

/// The id of something else: `key_…`.
pub(crate) fn id(prefix: &str) -> Schema {
    pattern(&format!("^{prefix}_{ULID}$")).example(format!("{prefix}_01jq2m6v3x8k5t9w7r4n1b0dce"))
}

pub(crate) fn uuid() -> Schema {
    text().set("format", "uuid").example("0192f0c4-1234-5678-9abc-def013579bdf")
}

/// An e-mail address; blanks around it are not read.
pub(crate) fn email() -> Schema {
    const BLANKS: &str = r"[ \t\n\f\r]*";
    const LOCAL: &str = r"[!#-'*+./0-9:=?A-Z\[\\\]^_`a-z{|}~-]{1,64}";
    const DOMAIN: &str = "[A-Za-z0-9][A-Za-z0-9.-]{0,188}";
    pattern(&format!("^{BLANKS}{LOCAL}@{DOMAIN}{BLANKS}$")).example("ana@example.com")
}
