//! Invoices and credit notes as PDF, A4: what they say, in words and figures. `sheet/layout.rs` puts it on pages,
//! `sheet/paper.rs` draws them. Characters that the font lacks are drawn as boxes.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, header};
use hub::money::Currency;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use tokio::sync::Semaphore;

use super::credit_notes;
use super::lines;
use super::party::Party;
use super::shown::{Shown, Tax};
use crate::problem::{Kind, Problem};

mod face;
mod figures;
mod layout;
mod paper;

use layout::{Block, Content, Row, Sum};

pub(super) const MEDIA_TYPE: &str = "application/pdf";
/// Lines on paper: some 200 pages. More are for a table.
const LINES_MAX: i64 = 10_000;
/// Drawn at a time; more wait.
static DRAWING: Semaphore = Semaphore::const_new(2);

/// Refuses more lines than go on paper.
pub(super) fn check(lines: i64) -> Result<(), Problem> {
    if lines <= LINES_MAX {
        return Ok(());
    }
    let detail = format!("at most {LINES_MAX} lines go on paper: ask for text/csv");
    Err(Problem::new(Kind::TooManyLines, detail).with("lines", lines).with("limit", LINES_MAX))
}

pub(super) async fn of_invoice(
    invoice: Shown,
    currency: Currency,
    lines: Vec<lines::Shown>,
) -> Result<Response, Problem> {
    let number = invoice.number.clone();
    respond(number, move || invoice_content(&invoice, currency, &lines)).await
}

pub(super) async fn of_credit_note(
    note: credit_notes::Shown,
    currency: Currency,
) -> Result<Response, Problem> {
    let number = note.number.clone();
    respond(number, move || credit_note_content(&note, currency)).await
}

/// Draws away from all other requests.
async fn respond(
    number: String,
    content: impl FnOnce() -> Content + Send + 'static,
) -> Result<Response, Problem> {
    let _permit = DRAWING.acquire().await.map_err(Problem::internal)?;
    let drawn = tokio::task::spawn_blocking(move || paper::draw(&layout::pages(&content())));
    let bytes = drawn.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    // A prefix has letters, digits, hyphens and slashes only.
    let name = format!("attachment; filename=\"{}.pdf\"", number.replace('/', "-"));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
        (header::CONTENT_DISPOSITION, name.parse().map_err(Problem::internal)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, bytes).into_response())
}

fn invoice_content(invoice: &Shown, currency: Currency, lines: &[lines::Shown]) -> Content {
    let zone = TimeZone::get(&invoice.time_zone).unwrap_or(TimeZone::UTC);
    let period = period(&invoice.from, &invoice.to);
    let facts = vec![
        ("Number", invoice.number.clone()),
        ("Issued", day(&invoice.issued_at, &zone)),
        ("Period", period),
        ("Time zone", invoice.time_zone.clone()),
    ];
    let mut rows = Vec::new();
    let mut kind = "";
    for line in lines {
        if line.kind != kind {
            kind = line.kind;
            rows.push(Row::Heading(heading(kind)));
        }
        rows.push(Row::Line {
            about: line.name.clone(),
            cells: [
                figures::grouped(&line.calls.to_string(), currency),
                figures::grouped(&line.minutes, currency),
                figures::grouped(&line.amount, currency),
            ],
        });
    }
    let is_rounded = invoice.rounding.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    let rounding = is_rounded.then(|| plain_sum("Rounding", &invoice.rounding, currency));
    let sums =
        rounding.into_iter().chain(sums(&invoice.net, &invoice.taxes, &invoice.total, currency));
    Content {
        title: "Invoice",
        number: invoice.number.clone(),
        facts,
        issuer: block("From", &invoice.issuer),
        recipient: block("To", &invoice.recipient),
        heads: ["Account", "Calls", "Minutes", "Amount"].map(str::to_owned),
        unit: currency.to_string(),
        rows,
        sums: sums.collect(),
        note: invoice.note.clone(),
    }
}

fn credit_note_content(note: &credit_notes::Shown, currency: Currency) -> Content {
    let zone = TimeZone::get(&note.time_zone).unwrap_or(TimeZone::UTC);
    let facts = vec![
        ("Number", note.number.clone()),
        ("Issued", day(&note.issued_at, &zone)),
        ("Invoice", note.invoice_number.clone()),
    ];
    let amount = figures::grouped(&note.net, currency);
    let row =
        Row::Line { about: note.reason.clone(), cells: [String::new(), String::new(), amount] };
    Content {
        title: "Credit note",
        number: note.number.clone(),
        facts,
        issuer: block("From", &note.issuer),
        recipient: block("To", &note.recipient),
        heads: ["Reason", "", "", "Amount"].map(str::to_owned),
        unit: currency.to_string(),
        rows: vec![row],
        sums: sums(&note.net, &note.taxes, &note.total, currency).collect(),
        note: note.note.clone(),
    }
}

fn heading(kind: &str) -> &'static str {
    match kind {
        "calls" => "Calls of the period",
        "late" => "Calls of earlier periods, on no invoice so far",
        _ => "Corrections of calls on earlier invoices",
    }
}

fn sums<'a>(
    net: &'a str,
    taxes: &'a [Tax],
    total: &'a str,
    currency: Currency,
) -> impl Iterator<Item = Sum> {
    let taxes = taxes.iter().map(move |tax| {
        plain_sum(&format!("{} {}", tax.name, figures::percent(tax.rate_bp)), &tax.amount, currency)
    });
    let total = Sum {
        name: format!("Total {currency}"),
        amount: figures::money(total, currency),
        is_total: true,
    };
    std::iter::once(plain_sum("Net", net, currency)).chain(taxes).chain([total])
}

fn plain_sum(name: &str, amount: &str, currency: Currency) -> Sum {
    let amount = figures::money(amount, currency);
    Sum { name: name.to_owned(), amount, is_total: false }
}

fn block(label: &'static str, party: &Party) -> Block {
    let tax_id = party.tax_id.as_ref().map(|id| format!("Tax ID {id}"));
    let rest = party.address.iter().cloned().chain(tax_id).chain(party.email.clone());
    Block { label, name: party.legal_name.clone(), rest: rest.collect() }
}

/// The day of a time, in the zone of the document.
fn day(time: &str, zone: &TimeZone) -> String {
    let time: Option<Timestamp> = time.parse().ok();
    time.map_or_else(String::new, |time| time.to_zoned(zone.clone()).date().to_string())
}

/// Days, both included, where the period begins and ends at midnight; else with the times.
fn period(from: &str, to: &str) -> String {
    let wall =
        |text: &str| text.get(.."2025-06-25T00:00:00".len())?.parse::<civil::DateTime>().ok();
    let (Some(from), Some(to)) = (wall(from), wall(to)) else { return String::new() };
    let is_midnight = |at: civil::DateTime| at.time() == civil::Time::midnight();
    let last: Option<Date> = to.date().yesterday().ok();
    match last {
        Some(last) if is_midnight(from) && is_midnight(to) => format!("{} – {last}", from.date()),
        _ => format!("{} – {}", minute(from), minute(to)),
    }
}

fn minute(at: civil::DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}
