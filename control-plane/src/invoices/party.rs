//! Who issues an invoice and to whom it is made out: a name, an address, a tax number, an e-mail address.
//! Shown as given; nobody is asked whether it is true.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::description::schema::{self, Schema};
use crate::fields::values::{self, NAME_CHARACTERS_MAX};
use crate::fields::{Fields, Given, Raw};
use crate::users::email;

/// Lines of an address.
const ADDRESS_LINES_MAX: usize = 6;
/// The longest tax number, in characters.
const TAX_ID_CHARACTERS_MAX: usize = 40;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) legal_name: String,
    pub(crate) address: Vec<String>,
    pub(crate) tax_id: Option<String>,
    pub(crate) email: Option<String>,
}

impl Party {
    /// Of whom nothing is known but a name.
    pub(crate) fn named(legal_name: String) -> Self {
        Self { legal_name, ..Self::default() }
    }

    /// As answers show it.
    pub(crate) fn schema() -> Schema {
        schema::answered([
            ("legal_name", schema::text().example("Acme Private Limited")),
            ("address", schema::list(schema::text())),
            ("tax_id", schema::text().or_null()),
            ("email", schema::text().or_null()),
        ])
        .named("Party")
    }

    /// As requests give it: the whole of it at once.
    pub(crate) fn asked() -> Schema {
        let line = schema::name().example("12 MG Road");
        let tax_id = schema::name().at_most(TAX_ID_CHARACTERS_MAX).example("29ABCDE1234F1Z5");
        schema::asked([
            ("legal_name", schema::name().required().example("Acme Private Limited")),
            ("address", schema::list(line).items(0..=ADDRESS_LINES_MAX)),
            ("tax_id", tax_id.or_null()),
            ("email", schema::email().or_null()),
        ])
        .example(json!({"legal_name": "Acme Private Limited", "address": ["12 MG Road", "Bengaluru 560001"],
            "tax_id": "29ABCDE1234F1Z5", "email": "accounts@example.com"}))
    }

    /// Reads a field that has the whole of one; `null` removes it.
    pub(crate) fn given(fields: &mut Fields, name: &str) -> Given<Self> {
        fields.given_object(name, Self::read)
    }

    /// Reads the members of one.
    pub(crate) fn read(fields: &mut Fields) -> Option<Self> {
        let legal_name = fields.required("legal_name", values::name);
        let address = fields.optional("address", address).unwrap_or_default();
        let tax_id = fields.given("tax_id", tax_id).value();
        let email = fields.given("email", email).value();
        Some(Self { legal_name: legal_name?, address, tax_id, email })
    }
}

fn address(raw: &Raw) -> Result<Vec<String>, String> {
    let fits = |line: &String| {
        let characters = line.chars().count();
        (1..=NAME_CHARACTERS_MAX).contains(&characters)
            && !line.trim().is_empty()
            && !line.chars().any(char::is_control)
    };
    raw.list().filter(|lines| lines.len() <= ADDRESS_LINES_MAX && lines.iter().all(fits)).ok_or_else(|| {
        format!(
            "expected a list of at most {ADDRESS_LINES_MAX} lines, each of 1 to {NAME_CHARACTERS_MAX} characters, not only spaces, none of them a control character"
        )
    })
}

fn tax_id(raw: &Raw) -> Result<String, String> {
    values::name(raw).ok().filter(|id| id.chars().count() <= TAX_ID_CHARACTERS_MAX).ok_or_else(|| {
        format!(
            "expected 1 to {TAX_ID_CHARACTERS_MAX} characters, not only spaces, none of them a control character"
        )
    })
}
