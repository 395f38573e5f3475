//! `GET …/{id}/usage` and `GET /v1/usage`: totals of finished calls in a window, by default from the
//! first of this month. The organization's totals cover all its accounts, deleted ones too.

use std::collections::BTreeMap;

use axum::extract::State;
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use super::{WINDOW_MAX_US, Window};
use crate::Shared;
use crate::account::Organization;
use crate::answer::Answer;
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

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let named = query.optional("organization_id", values::account_id);
    let window = super::window(&mut query, super::month_start_us());
    if window.to_us.saturating_sub(window.from_us) > WINDOW_MAX_US {
        query.refuse("from", "expected at most 366 days before to");
    }
    query.finish()?;
    let id = request.access.organization_or(named)?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?;
    let account = request.access.sub_account();
    Answer::ok(&load(&mut connection, &organization, account, window).await?)
}

async fn load(
    connection: &mut AnyConnection,
    organization: &Organization,
    account: Option<AccountId>,
    window: Window,
) -> Result<Shown, Problem> {
    let accounts = match account {
        Some(_) => "account_id = $1",
        None => "account_id IN (SELECT id FROM accounts WHERE organization_id = $1)",
    };
    let sql = format!(
        "SELECT outcome, CAST(COUNT(*) AS BIGINT), CAST(COUNT(answered_us) AS BIGINT), CAST(SUM(billable_s) AS BIGINT), \
         CAST(SUM(cost) AS BIGINT), CAST(SUM(debt) AS BIGINT) FROM calls \
         WHERE {accounts} AND admitted_us >= $2 AND admitted_us < $3 GROUP BY outcome",
    );
    let subject = account.unwrap_or(organization.id);
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(subject.to_string())
        .bind(window.from_us)
        .bind(window.to_us)
        .fetch_all(connection)
        .await?;
    let (mut sums, mut outcomes) = ([0_i64; 5], BTreeMap::new());
    for row in rows {
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum = sum.saturating_add(row.try_get(index + 1)?);
        }
        outcomes.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let [calls, answered, billable_s, cost, debt] = sums;
    let currency: Currency = organization.currency;
    Ok(Shown {
        account: subject.to_string(),
        from: timestamp::text(window.from_us),
        to: timestamp::text(window.to_us),
        calls,
        answered,
        billable_s,
        cost: Amount::from_micros(cost).in_currency(currency).to_string(),
        debt: Amount::from_micros(debt).in_currency(currency).to_string(),
        currency: currency.to_string(),
        outcomes,
    })
}
