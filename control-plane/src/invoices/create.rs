//! `POST /v1/invoices`: issues the invoice of a closed period.

use axum::extract::State;
use http::StatusCode;
use hub::clock::{SECOND_US, now_us};
use hub::id::AccountKind;
use jiff::tz::TimeZone;
use serde_json::json;

use super::issue::{self, Asked};
use super::shown::Shown;
use super::terms::Terms;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::{App, Shared, timestamp, usage};

/// The longest period: a leap year.
const PERIOD_MAX_US: i64 = 366 * 86_400 * SECOND_US;
/// How often it is prepared anew when others issue for the same account meanwhile.
const TRIES_MAX: usize = 3;

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    let body = schema::asked([
        ("organization_id", organization),
        ("account", schema::any_account_id().about("a sub-account, for what its own wallet was charged; left out: the organization, for all that it pays for")),
        ("from", schema::moment().required().about("a date of the organization's time zone, or a time, included")),
        ("to", schema::moment().required().about("a date, whose day is included, or a time, excluded; not in the future")),
    ]);
    Operation::new(
        "Issue an invoice",
        "Of the calls that were admitted in a period that is over, and of earlier ones that were on no invoice or were corrected since. It is never changed: a credit note takes back. A period begins where the last one of the account ends, or later.",
    )
    .body(body, json!({"account": "sa_01jq2m6v3x8k5t9w7r4n1b0dce", "from": "2025-06-01", "to": "2025-06-30"}))
    .answers(StatusCode::CREATED, "The invoice.", Shown::schema())
    .refuses([Kind::InvoicingNotConfigured, Kind::PeriodInvoiced, Kind::NothingToInvoice])
    .makes("invoice_id", "/v1/invoices/{invoice_id}")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let asked = read(&app, &request).await?;
    app.caught_up(asked.organization).await;
    for _ in 0..TRIES_MAX {
        let prepared = {
            let mut connection = app.store.read().await?;
            issue::prepare(&mut connection, asked).await
        };
        // A request that is repeated gets its answer, though its period is invoiced by now.
        let mut change = match app.begin(&request).await? {
            Begun::New(change) => change,
            Begun::Repeated(answer) => return Ok(answer),
        };
        if let Some(shown) = issue::issue(&mut change, prepared?).await? {
            return change.commit(Answer::created(&shown)?).await;
        }
    }
    Err(Problem::new(Kind::Busy, "others issue invoices of this account; try again"))
}

async fn read(app: &App, request: &Request) -> Result<Asked, Problem> {
    let mut fields = request.body()?;
    let organization = fields.optional("organization_id", values::account_id);
    let account = fields.optional("account", values::account_id);
    let (mut from, mut to) = (None, None);
    for (name, place) in [("from", &mut from), ("to", &mut to)] {
        *place = fields.required(name, |raw| {
            usage::moment(raw, &TimeZone::UTC, name == "to").and_then(|_| values::text(raw))
        });
    }
    fields.finish()?;
    let organization = request.access.organization_or(organization)?;
    let terms = Terms::load(&mut *app.store.read().await?, organization).await?;
    let zone = TimeZone::get(&terms.settings.time_zone).map_err(Problem::internal)?;
    // Now in the organization's time zone.
    let moment = |text: Option<String>, ends: bool| {
        let raw = crate::fields::Raw::Text(text.unwrap_or_default());
        let field = if ends { "to" } else { "from" };
        usage::moment(&raw, &zone, ends).map_err(|problem| Problem::field(field, problem))
    };
    let (from_us, to_us) = (moment(from, false)?, moment(to, true)?);
    let now_us = now_us();
    if to_us > now_us {
        let problem =
            format!("expected a period that is over: {} at the latest", timestamp::text(now_us));
        return Err(Problem::field("to", problem));
    }
    if from_us >= to_us || to_us.saturating_sub(from_us) > PERIOD_MAX_US {
        return Err(Problem::field("from", "expected a time before to, by at most 366 days"));
    }
    Ok(Asked { organization, account: account.unwrap_or(organization), from_us, to_us })
}
