//! `GET …/{id}/usage` and `GET /v1/usage`: totals of finished calls in a window, by default from the
//! first of this month, or what [`series`] makes of them. The organization's totals cover all its accounts, deleted ones too.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use hub::clock::now_us;
use hub::id::AccountId;
use hub::money::Currency;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::sums::Sums;
use super::{WINDOW_MAX_US, Window, csv, interval, series};
use crate::Shared;
use crate::account::Organization;
use crate::answer::{self, Answer};
use crate::fields::values;
use crate::problem::Problem;
use crate::request::Request;
use crate::timestamp;

#[derive(Serialize)]
struct Shown {
    account: String,
    from: String,
    to: String,
    calls: i64,
    answered: i64,
    billable_s: i64,
    cost: String,
    debt: String,
    currency: String,
    outcomes: BTreeMap<String, i64>,
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = request.query();
    let as_csv = answer::accepts(&headers, csv::MEDIA_TYPE);
    if as_csv || series::is_asked(&query) {
        return series::answer(&app, &request, as_csv).await;
    }
    let named = query.optional("organization_id", values::account_id);
    let window = super::window(&mut query, interval::month_start_us(now_us(), &TimeZone::UTC));
    if window.to_us.saturating_sub(window.from_us) > WINDOW_MAX_US {
        query.refuse("from", "expected at most 366 days before to");
    }
    query.finish()?;
    let id = request.access.organization_or(named)?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?;
    let account = request.access.sub_account();
    let sums = Sums::load(&mut connection, organization.id, account, window).await?;
    let subject = account.unwrap_or(organization.id);
    let totals = Shown::of(subject, window, sums, organization.currency);
    Ok(Answer::ok(&totals)?.into_response())
}

impl Shown {
    fn of(account: AccountId, window: Window, sums: Sums, currency: Currency) -> Self {
        Self {
            account: account.to_string(),
            from: timestamp::text(window.from_us),
            to: timestamp::text(window.to_us),
            calls: sums.calls,
            answered: sums.answered,
            billable_s: sums.billable_s,
            cost: sums.cost.in_currency(currency).to_string(),
            debt: sums.debt.in_currency(currency).to_string(),
            currency: currency.to_string(),
            outcomes: sums.outcomes,
        }
    }
}
