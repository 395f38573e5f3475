//! `GET …/{id}/calls`: the records of finished calls, latest first.

use axum::extract::State;
use hub::money::{Amount, Currency};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::Shared;
use crate::answer::Answer;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::timestamp;

/// A finished call, named as in the gateway's receipt.
#[derive(Serialize)]
struct Record {
    call_id: String,
    account: String,
    state: &'static str,
    admitted_at: String,
    #[serde(skip)]
    admitted_us: i64,
    answered_at: Option<String>,
    ended_at: String,
    direction: String,
    from: String,
    to: String,
    agent_id: String,
    source: String,
    outcome: String,
    cause: String,
    billed: bool,
    billable_s: i64,
    cost: String,
    /// The part of the cost that neither hold nor wallet could pay.
    debt: String,
    currency: Option<String>,
    costs: Option<Box<RawValue>>,
}

impl Record {
    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let currency: Option<String> = row.try_get("currency")?;
        let shown_in: Currency =
            currency.as_deref().and_then(|code| code.parse().ok()).unwrap_or(Currency::INR);
        let money = |column| -> Result<String, sqlx::Error> {
            Ok(Amount::from_micros(row.try_get(column)?).in_currency(shown_in).to_string())
        };
        let costs: Option<String> = row.try_get("costs")?;
        Ok(Self {
            call_id: row.try_get("call_id")?,
            account: row.try_get("account_id")?,
            state: "ended",
            admitted_at: timestamp::text(row.try_get("admitted_us")?),
            admitted_us: row.try_get("admitted_us")?,
            answered_at: row.try_get::<Option<i64>, _>("answered_us")?.map(timestamp::text),
            ended_at: timestamp::text(row.try_get("ended_us")?),
            direction: row.try_get("direction")?,
            from: row.try_get("caller")?,
            to: row.try_get("callee")?,
            agent_id: row.try_get("agent_id")?,
            source: row.try_get("source")?,
            outcome: row.try_get("outcome")?,
            cause: row.try_get("cause")?,
            billed: currency.is_some(),
            billable_s: row.try_get("billable_s")?,
            cost: money("cost")?,
            debt: money("debt")?,
            currency,
            // What a stack sent is shown as it came, or not at all if it is no JSON.
            costs: costs.and_then(|costs| RawValue::from_string(costs).ok()),
        })
    }

    fn cursor(&self) -> String {
        format!("{}:{}", self.admitted_us, self.call_id)
    }
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let times = super::window(&mut query, 0);
    let window = page::window(&mut query);
    let position = window.after().map(|cursor| {
        let (us, call_id) = cursor.split_once(':')?;
        Some((us.parse::<i64>().ok()?, call_id.to_owned()))
    });
    let (before_us, before_id) = match position {
        None => (times.to_us, String::new()),
        Some(Some(position)) => position,
        Some(None) => {
            query.refuse("cursor", "expected a next_cursor of an earlier answer");
            (0, String::new())
        }
    };
    query.finish()?;
    app.caught_up(request.access.organization()?).await;
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(
        "SELECT account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, agent_id, source, \
         outcome, cause, billable_s, cost, debt, currency, costs FROM calls \
         WHERE account_id = $1 AND admitted_us >= $2 AND admitted_us <= $3 AND (admitted_us < $3 OR call_id < $4) \
         ORDER BY admitted_us DESC, call_id DESC LIMIT $5",
    )
    .bind(request.access.account()?.to_string())
    .bind(times.from_us)
    .bind(before_us)
    .bind(before_id)
    .bind(window.rows())
    .fetch_all(&mut *connection)
    .await?;
    let records = rows.iter().map(Record::of_row).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&Page::of(records, &window, Record::cursor))
}
