//! Credit notes: what was taken off an invoice, as documents with numbers of their own. They are never changed
//! either, and together never exceed the invoice.

use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::draft::Taxed;
use super::party::Party;
use super::shown::Tax;
use super::{Document, account};
use crate::access::Access;
use crate::description::schema::{self, Schema};
use crate::problem::{Kind, Problem};
use crate::timestamp;

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod read;

/// A credit note as it is stored, with what its invoice says.
#[derive(Clone, Debug)]
struct CreditNote {
    id: String,
    organization: AccountId,
    account: AccountId,
    invoice_id: String,
    invoice_number: String,
    sequence: i64,
    number: String,
    issued_us: i64,
    currency: Currency,
    reason: String,
    net: Amount,
    tax: Amount,
    total: Amount,
    taxes: Vec<Taxed>,
    document: Document,
}

const SELECT: &str = "SELECT i.id, i.organization_id, i.account_id, i.invoice_id, v.number AS invoice_number, i.sequence, \
     i.number, i.issued_us, v.currency, i.reason, i.net, i.tax, i.total, i.taxes, v.document \
     FROM credit_notes i JOIN invoices v ON v.id = i.invoice_id";

impl CreditNote {
    /// One that the principal sees.
    async fn load(
        connection: &mut AnyConnection,
        id: &str,
        access: &Access,
    ) -> Result<Self, Problem> {
        let row = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE i.id = $1")))
            .bind(id)
            .fetch_optional(connection)
            .await?;
        let found = row.as_ref().map(Self::of_row).transpose()?;
        let unknown = || Problem::new(Kind::UnknownCreditNote, "there is no such credit note");
        let is_seen = |note: &Self| access.sees_account(note.organization, note.account);
        found.filter(is_seen).ok_or_else(unknown)
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let (taxes, document): (String, String) = (row.try_get("taxes")?, row.try_get("document")?);
        let money = |column| row.try_get(column).map(Amount::from_micros);
        Ok(Self {
            id: row.try_get("id")?,
            organization: account(row, "organization_id")?,
            account: account(row, "account_id")?,
            invoice_id: row.try_get("invoice_id")?,
            invoice_number: row.try_get("invoice_number")?,
            sequence: row.try_get("sequence")?,
            number: row.try_get("number")?,
            issued_us: row.try_get("issued_us")?,
            currency: row.try_get::<String, _>("currency")?.parse().map_err(Problem::internal)?,
            reason: row.try_get("reason")?,
            net: money("net")?,
            tax: money("tax")?,
            total: money("total")?,
            taxes: serde_json::from_str(&taxes).map_err(Problem::internal)?,
            document: serde_json::from_str(&document).map_err(Problem::internal)?,
        })
    }
}

/// A credit note as answers, events and the audit show it.
#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    pub(crate) credit_note_id: String,
    pub(crate) number: String,
    pub(crate) invoice_id: String,
    pub(crate) invoice_number: String,
    pub(crate) account: String,
    pub(crate) issued_at: String,
    pub(crate) currency: String,
    pub(crate) issuer: Party,
    pub(crate) recipient: Party,
    pub(crate) reason: String,
    pub(crate) net: String,
    pub(crate) taxes: Vec<Tax>,
    pub(crate) tax: String,
    pub(crate) total: String,
    pub(crate) note: Option<String>,
    /// Whose day it was issued on.
    #[serde(skip)]
    pub(crate) time_zone: String,
}

impl Shown {
    fn of(note: &CreditNote) -> Self {
        let text = |amount: Amount| amount.in_currency(note.currency).to_string();
        Self {
            credit_note_id: note.id.clone(),
            number: note.number.clone(),
            invoice_id: note.invoice_id.clone(),
            invoice_number: note.invoice_number.clone(),
            account: note.account.to_string(),
            issued_at: timestamp::text(note.issued_us),
            currency: note.currency.to_string(),
            issuer: note.document.issuer.clone(),
            recipient: note.document.recipient.clone(),
            reason: note.reason.clone(),
            net: text(note.net),
            taxes: note.taxes.iter().map(|taxed| Tax::of(taxed, note.currency)).collect(),
            tax: text(note.tax),
            total: text(note.total),
            note: note.document.note.clone(),
            time_zone: note.document.time_zone.clone(),
        }
    }

    fn schema() -> Schema {
        schema::answered([
            ("credit_note_id", schema::id("crn")),
            (
                "number",
                schema::text().about("without a gap within the organization").example("CN-000001"),
            ),
            ("invoice_id", schema::id("inv")),
            ("invoice_number", schema::text().example("INV-000001")),
            ("account", schema::any_account_id()),
            ("issued_at", schema::time()),
            ("currency", schema::currency()),
            ("issuer", Party::schema().about("as on the invoice")),
            ("recipient", Party::schema().about("as on the invoice")),
            ("reason", schema::text()),
            ("net", schema::money()),
            (
                "taxes",
                schema::list(Tax::schema()).about("what is taken off each tax of the invoice"),
            ),
            ("tax", schema::money()),
            ("total", schema::money()),
            ("note", schema::text().or_null()),
        ])
        .named("CreditNote")
    }
}
