//! `GET …/{id}/usage` and `GET /v1/usage`: totals of finished calls in a window, by default from the
//! first of this month, or what [`series`] makes of them. The organization's totals cover all its accounts, deleted ones too.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::StatusCode;
use hub::clock::now_us;
use hub::id::{AccountId, AccountKind};
use hub::money::Currency;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::denials::{self, Denials};
use super::sums::Sums;
use super::{WINDOW_MAX_US, Window, csv, interval, series};
use crate::Shared;
use crate::account::Organization;
use crate::answer::{self, Answer};
use crate::description::Operation;
use crate::description::schema::{self, Schema};
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
    /// Refused admits by reason, each try.
    denials: Denials,
}

pub(crate) fn describe_organization() -> Operation {
    let grouped = schema::labels(["account"]).about(
        "rows for each of its accounts, itself and deleted ones too; `limit` counts accounts",
    );
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    describe(
        "Read the organization's usage",
        "All its accounts together, deleted ones too; an account's own key reads its own.",
    )
    .query([("organization_id", organization), ("group_by", grouped)])
    .query(schema::window())
}

pub(crate) fn describe_sub_account() -> Operation {
    describe("Read a sub-account's usage", "Of its finished calls.")
}

fn describe(summary: &'static str, about: &str) -> Operation {
    let about = format!(
        "{about} Totals of the calls admitted from `from` (the first of this month) to `to` (now), at most 366 days. With `interval`, `time_zone` or `group_by`, or as CSV, it answers rows, at most 1,000 intervals and 10,000 rows; their peaks are exact for calls that have ended."
    );
    Operation::new(summary, about)
        .query(super::parameters())
        .query([
            ("interval", schema::word(interval::Interval::WORDS)),
            ("time_zone", schema::text().by_default("UTC").about("an IANA name: whose hours, days and months they are, and whose dates `from` and `to`").example("Asia/Kolkata")),
        ])
        .answers_as(StatusCode::OK, "Totals, or rows.", [
            ("application/json", schema::any_of([Shown::schema(), series::Shown::schema()])),
            (csv::MEDIA_TYPE, schema::text()),
        ])
        .with_header("X-Next-Cursor", schema::text().about("of a CSV that is a page: the `cursor` of the next one"))
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
    let denials = denials::total(&mut connection, organization.id, account, window).await?;
    let subject = account.unwrap_or(organization.id);
    let totals = Shown::of(subject, window, (sums, denials), organization.currency);
    Ok(Answer::ok(&totals)?.into_response())
}

impl Shown {
    fn schema() -> Schema {
        schema::answered([
            ("account", schema::any_account_id()),
            ("from", schema::time()),
            ("to", schema::time()),
            ("calls", schema::count()),
            ("answered", schema::count()),
            ("billable_s", schema::count()),
            ("cost", schema::money()),
            ("debt", schema::money()),
            ("currency", schema::currency()),
            ("outcomes", schema::by_name(schema::count())),
            (
                "denials",
                schema::by_name(schema::count()).about("refused admits by reason, each try"),
            ),
        ])
        .named("UsageTotals")
    }

    fn of(
        account: AccountId,
        window: Window,
        (sums, denials): (Sums, Denials),
        currency: Currency,
    ) -> Self {
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
            denials,
        }
    }
}
