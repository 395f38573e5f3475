//! Invoices as answers, events and the audit show them.

use hub::money::{Amount, Currency};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::draft::Taxed;
use super::party::Party;
use super::{Invoice, lines};
use crate::description::schema::{self, Schema};
use crate::page::Page;
use crate::timestamp;
use crate::usage::interval;

/// A tax of a document.
#[derive(Clone, Serialize)]
pub(crate) struct Tax {
    pub(crate) name: String,
    pub(crate) rate_bp: u32,
    pub(crate) amount: String,
}

impl Tax {
    pub(crate) fn of(taxed: &Taxed, currency: Currency) -> Self {
        let amount = taxed.amount().in_currency(currency).to_string();
        Self { name: taxed.name.clone(), rate_bp: taxed.rate_bp, amount }
    }

    pub(crate) fn schema() -> Schema {
        schema::answered([
            ("name", schema::text().example("CGST")),
            ("rate_bp", schema::count().about("hundredths of a percent").example(900)),
            ("amount", schema::money()),
        ])
        .named("InvoiceTax")
    }
}

/// An invoice without its lines.
#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    pub(crate) invoice_id: String,
    pub(crate) number: String,
    pub(crate) account: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) time_zone: String,
    pub(crate) issued_at: String,
    pub(crate) currency: String,
    pub(crate) issuer: Party,
    pub(crate) recipient: Party,
    pub(crate) line_count: i64,
    pub(crate) charged: String,
    pub(crate) rounding: String,
    pub(crate) net: String,
    pub(crate) taxes: Vec<Tax>,
    pub(crate) tax: String,
    pub(crate) total: String,
    pub(crate) credited: String,
    pub(crate) note: Option<String>,
}

/// With a page of its lines.
#[derive(Serialize)]
pub(super) struct WithLines {
    #[serde(flatten)]
    pub(super) invoice: Shown,
    pub(super) lines: Page<lines::Shown>,
}

impl Shown {
    pub(super) fn of(invoice: &Invoice) -> Self {
        let text = |amount: Amount| amount.in_currency(invoice.currency).to_string();
        let document = &invoice.document;
        let zone = TimeZone::get(&document.time_zone).unwrap_or(TimeZone::UTC);
        Self {
            invoice_id: invoice.id.clone(),
            number: invoice.number.clone(),
            account: invoice.account.to_string(),
            from: interval::text(invoice.from_us, &zone),
            to: interval::text(invoice.to_us, &zone),
            time_zone: document.time_zone.clone(),
            issued_at: timestamp::text(invoice.issued_us),
            currency: invoice.currency.to_string(),
            issuer: document.issuer.clone(),
            recipient: document.recipient.clone(),
            line_count: invoice.lines,
            charged: text(invoice.charged),
            rounding: text(Amount::from_micros(document.rounding_micros)),
            net: text(invoice.net),
            taxes: document.taxes.iter().map(|taxed| Tax::of(taxed, invoice.currency)).collect(),
            tax: text(invoice.tax),
            total: text(invoice.total),
            credited: text(invoice.credited),
            note: document.note.clone(),
        }
    }

    /// An object that is not a component yet.
    fn members() -> Schema {
        schema::answered([
            ("invoice_id", schema::id("inv")),
            (
                "number",
                schema::text().about("without a gap within the organization").example("INV-000001"),
            ),
            (
                "account",
                schema::any_account_id()
                    .about("whose charges; the organization: all that it pays for"),
            ),
            ("from", schema::time()),
            ("to", schema::time().about("excluded")),
            ("time_zone", schema::text().example("Asia/Kolkata")),
            ("issued_at", schema::time()),
            ("currency", schema::currency()),
            ("issuer", Party::schema()),
            ("recipient", Party::schema()),
            ("line_count", schema::count()),
            ("charged", schema::money().about("what the calls were charged, exactly")),
            (
                "rounding",
                schema::money().about("what lies between the sum of the lines and the net"),
            ),
            ("net", schema::money()),
            ("taxes", schema::list(Tax::schema()).about("each on the net")),
            ("tax", schema::money().about("the sum of the taxes")),
            ("total", schema::money()),
            ("credited", schema::money().about("taken off by credit notes, taxes included")),
            ("note", schema::text().or_null()),
        ])
    }

    pub(super) fn schema() -> Schema {
        Self::members().named("Invoice")
    }

    pub(super) fn schema_with_lines() -> Schema {
        Self::members()
            .with([("lines", schema::page(lines::Shown::schema()))])
            .named("InvoiceWithLines")
    }
}
