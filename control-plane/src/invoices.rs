//! Invoices and credit notes: documents about what calls were charged. A sub-account that is billed by itself
//! has its own; the organization has one for all that it pays for, with a line per account. Every charge is
//! on exactly one invoice (`charges`), numbers have no gap (`terms`), and what was issued is never changed.
//!
//! Nothing is posted to the ledger: calls were charged there as they ended.

use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::access::Access;
use crate::account::word;
use crate::problem::{Kind, Problem};

mod charges;
pub(crate) mod configure;
pub(crate) mod create;
pub(crate) mod credit_notes;
pub(crate) mod details;
mod draft;
mod issue;
mod lines;
pub(crate) mod list;
mod minor;
pub(crate) mod monthly;
mod party;
pub(crate) mod read;
mod sheet;
mod shown;
mod table;
mod terms;

use draft::Taxed;
use party::Party;

/// Lines of one invoice.
const LINES_MAX: usize = 100_000;

/// What a document says beside its numbers; written once.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Document {
    time_zone: String,
    issuer: Party,
    recipient: Party,
    taxes: Vec<Taxed>,
    rounding_micros: i64,
    note: Option<String>,
}

/// An invoice as it is stored.
#[derive(Clone, Debug)]
struct Invoice {
    id: String,
    organization: AccountId,
    account: AccountId,
    sequence: i64,
    number: String,
    from_us: i64,
    to_us: i64,
    issued_us: i64,
    currency: Currency,
    lines: i64,
    charged: Amount,
    net: Amount,
    tax: Amount,
    total: Amount,
    document: Document,
    /// By credit notes, of the net and in all.
    credited_net: Amount,
    credited: Amount,
}

const SELECT: &str = "SELECT i.id, i.organization_id, i.account_id, i.sequence, i.number, i.from_us, i.to_us, i.issued_us, \
     i.currency, i.lines, i.charged, i.net, i.tax, i.total, i.document, \
     CAST(COALESCE((SELECT SUM(c.net) FROM credit_notes c WHERE c.invoice_id = i.id), 0) AS BIGINT) AS credited_net, \
     CAST(COALESCE((SELECT SUM(c.total) FROM credit_notes c WHERE c.invoice_id = i.id), 0) AS BIGINT) AS credited \
     FROM invoices i";

impl Invoice {
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
        let unknown = || Problem::new(Kind::UnknownInvoice, "there is no such invoice");
        let is_seen = |invoice: &Self| access.sees_account(invoice.organization, invoice.account);
        found.filter(is_seen).ok_or_else(unknown)
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let document: String = row.try_get("document")?;
        let money = |column| row.try_get(column).map(Amount::from_micros);
        Ok(Self {
            id: row.try_get("id")?,
            organization: account(row, "organization_id")?,
            account: account(row, "account_id")?,
            sequence: row.try_get("sequence")?,
            number: row.try_get("number")?,
            from_us: row.try_get("from_us")?,
            to_us: row.try_get("to_us")?,
            issued_us: row.try_get("issued_us")?,
            currency: row.try_get::<String, _>("currency")?.parse().map_err(Problem::internal)?,
            lines: row.try_get("lines")?,
            charged: money("charged")?,
            net: money("net")?,
            tax: money("tax")?,
            total: money("total")?,
            document: serde_json::from_str(&document).map_err(Problem::internal)?,
            credited_net: money("credited_net")?,
            credited: money("credited")?,
        })
    }
}

fn account(row: &AnyRow, column: &str) -> Result<AccountId, Problem> {
    row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
}

/// `1.52` for 91 seconds: rounded to hundredths, a half away from zero.
fn minutes(seconds: i64) -> String {
    let hundredths = seconds.saturating_abs().saturating_mul(100).saturating_add(30) / 60;
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The name of a kind of line.
fn kind_word(kind: charges::Kind) -> &'static str {
    word(charges::Kind::WORDS, &kind)
}

#[cfg(test)]
mod tests;
