//! `POST /v1/invoices/{invoice_id}/credit-notes`: takes something off an invoice, or all that is left of it.

use axum::extract::{Path, State};
use http::StatusCode;
use hub::money::{Amount, Currency};
use serde_json::json;
use sqlx::AnyConnection;

use super::super::draft::{Taxed, taxes_between};
use super::super::terms::{Numbered, Terms};
use super::super::{Invoice, minor};
use super::{CreditNote, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::{Raw, values};
use crate::id::new_id;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::webhooks::EventKind;

/// The longest reason, in characters.
const REASON_CHARACTERS_MAX: usize = 500;

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("reason", schema::characters(1..=REASON_CHARACTERS_MAX).required()),
        (
            "net",
            schema::amount(Amount::MAX).about(
                "without taxes, in whole minor units; left out: all that is left of the invoice",
            ),
        ),
    ]);
    Operation::new(
        "Issue a credit note",
        "Takes a part off an invoice or all that is left of it, taxes in proportion. It moves no money, and what it takes off is on no other invoice.",
    )
    .body(body, json!({"reason": "Outage of 12 June", "net": "10.00"}))
    .answers(StatusCode::CREATED, "The credit note.", Shown::schema())
    .refuses([Kind::ExceedsInvoice])
    .makes("credit_note_id", "/v1/credit-notes/{credit_note_id}")
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let reason = fields.required("reason", reason);
    let net = fields.optional("net", values::amount_above_zero);
    fields.finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let issued_us = change.now_us;
    let invoice = Invoice::load(change.connection(), &id, &request.access).await?;
    let net = credited(&invoice, net)?;
    let Invoice { organization, account, currency, .. } = invoice;
    let taxes = taxes_between(&invoice.document.taxes, invoice.credited_net, net, currency);
    let tax = taxes.iter().map(Taxed::amount).fold(Amount::ZERO, Amount::saturating_add);
    let terms = Terms::load(change.connection(), organization).await?;
    let (sequence, number) = terms.next(change.connection(), Numbered::CreditNote).await?;
    let note = CreditNote {
        id: new_id("crn", issued_us),
        organization,
        account,
        invoice_id: invoice.id,
        invoice_number: invoice.number,
        sequence,
        number,
        issued_us,
        currency,
        reason: reason.unwrap_or_default(),
        net,
        tax,
        total: net.saturating_add(tax),
        taxes,
        document: invoice.document,
    };
    insert(change.connection(), &note).await?;
    let shown = Shown::of(&note);
    change.concern(Some(account));
    change
        .audit(Some(organization), "credit_note.issued", &note.id, None::<&Shown>, Some(&shown))
        .await?;
    change.tell(EventKind::CreditNoteIssued, account, organization, &shown)?;
    change.commit(Answer::created(&shown)?).await
}

/// The net to be credited: no more than is left of the invoice.
fn credited(invoice: &Invoice, asked: Option<Amount>) -> Result<Amount, Problem> {
    let currency: Currency = invoice.currency;
    let left = invoice.net.saturating_sub(invoice.credited_net);
    let net = asked.unwrap_or(left);
    if !minor::is_whole(net, currency) {
        let decimals = currency.decimals();
        let problem =
            format!("expected at most {decimals} decimals: whole minor units of {currency}");
        return Err(Problem::field("net", problem));
    }
    if net > left || net <= Amount::ZERO {
        let [left, asked] = [left, net].map(|amount| amount.in_currency(currency).to_string());
        let detail = format!("{left} of the invoice's net is left");
        return Err(Problem::new(Kind::ExceedsInvoice, detail)
            .with("left", left)
            .with("requested", asked));
    }
    Ok(net)
}

async fn insert(connection: &mut AnyConnection, note: &CreditNote) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO credit_notes (id, organization_id, account_id, invoice_id, sequence, number, issued_us, reason, net, \
         tax, total, taxes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(note.id.as_str())
    .bind(note.organization.to_string())
    .bind(note.account.to_string())
    .bind(note.invoice_id.as_str())
    .bind(note.sequence)
    .bind(note.number.as_str())
    .bind(note.issued_us)
    .bind(note.reason.as_str())
    .bind(note.net.micros())
    .bind(note.tax.micros())
    .bind(note.total.micros())
    .bind(serde_json::to_string(&note.taxes).map_err(Problem::internal)?)
    .execute(connection)
    .await?;
    Ok(())
}

fn reason(raw: &Raw) -> Result<String, String> {
    let reason = values::text(raw).unwrap_or_default().trim().to_owned();
    let characters = reason.chars().count();
    if (1..=REASON_CHARACTERS_MAX).contains(&characters) && !reason.chars().any(char::is_control) {
        return Ok(reason);
    }
    Err(format!(
        "expected 1 to {REASON_CHARACTERS_MAX} characters, none of them a control character"
    ))
}
