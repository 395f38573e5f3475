//! `GET …/{id}/calls`: the records of finished calls, latest first; all, or of an outcome, a direction
//! or a beginning of `call_id`.

use axum::extract::State;
use hub::call::{Direction, Outcome};
use hub::money::{Amount, Currency};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::Shared;
use crate::answer::Answer;
use crate::fields::{Raw, values};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};
use crate::timestamp;

const SELECT: &str = "SELECT account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, agent_id, \
     source, outcome, cause, billable_s, cost, debt, currency, costs FROM calls";
/// The longest `call_id`.
const CALL_ID_CHARACTERS_MAX: usize = 128;

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
    let outcome = query.optional("outcome", |raw| word(raw, &Outcome::ALL.map(Outcome::label)));
    let direction =
        query.optional("direction", |raw| word(raw, &Direction::ALL.map(Direction::label)));
    let call_id = query.optional("call_id", call_id_prefix);
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
    let mut conditions = Conditions::default();
    conditions.and("account_id = ?", [Bound::Text(request.access.account()?.to_string())]);
    conditions
        .and("admitted_us >= ? AND admitted_us <= ?", [times.from_us, before_us].map(Bound::Int));
    conditions
        .and("admitted_us < ? OR call_id < ?", [Bound::Int(before_us), Bound::Text(before_id)]);
    for (condition, word) in [("outcome = ?", outcome), ("direction = ?", direction)] {
        conditions.and_given(condition, word.map(|word| [Bound::Text(word)]));
    }
    conditions.and_given(
        "SUBSTR(call_id, 1, CAST(? AS INTEGER)) = ?",
        call_id.map(|prefix| [Bound::Int(length(&prefix)), Bound::Text(prefix)]),
    );
    let tail = format!("ORDER BY admitted_us DESC, call_id DESC LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, SELECT, &tail).await?;
    let records = rows.iter().map(Record::of_row).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&Page::of(records, &window, Record::cursor))
}

fn word(raw: &Raw, words: &[&'static str]) -> Result<String, String> {
    let given = values::text(raw)?;
    let known = words.contains(&given.as_str());
    if known { Ok(given) } else { Err(format!("expected one of {}", words.join(", "))) }
}

fn call_id_prefix(raw: &Raw) -> Result<String, String> {
    let text = values::text(raw)?;
    let fits = (1..=CALL_ID_CHARACTERS_MAX).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(format!(
            "expected the first of a call_id's characters: 1 to {CALL_ID_CHARACTERS_MAX}, visible ASCII"
        ))
    }
}

fn length(prefix: &str) -> i64 {
    i64::try_from(prefix.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use triomphe::Arc;

    use hub::call::Record;
    use serde_json::Value;
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;
    use crate::testing::calls::{call, record};
    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn filters_select_what_they_say_and_cursors_go_on_within_them() {
        let harness = Harness::new().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        let plane = harness.plane.clone();
        tasks.spawn(async move { plane.post_records(stopped).await });
        let (account, _) = harness.isolated(9).await;
        for (call_id, outcome) in [
            ("a%1", Outcome::Busy),
            ("a%2", Outcome::Completed),
            ("A%3", Outcome::Busy),
            ("ab4", Outcome::Busy),
        ] {
            let call = call(account.parse().expect("an id"), call_id, None);
            harness.admit(&call, "0");
            let like = record(&call, "0", "0", 0);
            harness.end(Arc::new(Record { outcome, ..Record::clone(&like) }));
        }
        let path = format!("/v1/sub-accounts/{account}/calls");
        let found = async |query: &str| -> (Vec<String>, Value) {
            let page = harness.get(&harness.organization, &format!("{path}?{query}")).await;
            assert_eq!(page.status, 200, "{query}: {}", page.body);
            let rows = page.body["data"].as_array().expect("a list");
            let ids = rows.iter().map(|row| text(&row["call_id"])).collect();
            (ids, page.body["next_cursor"].clone())
        };
        assert_eq!(found("call_id=a%25").await.0, ["a%2", "a%1"]);
        assert_eq!(found("outcome=completed").await.0, ["a%2"]);
        assert_eq!(found("direction=inbound").await.0, [""; 0]);
        assert_eq!(found("direction=outbound&to=2020-01-01").await.0, [""; 0]);
        let (first, cursor) = found("outcome=busy&limit=2").await;
        assert_eq!(first, ["ab4", "A%3"]);
        let cursor = text(&cursor);
        assert_eq!(found(&format!("outcome=busy&limit=2&cursor={cursor}")).await.0, ["a%1"]);
        let refused = harness
            .get(&harness.organization, &format!("{path}?outcome=lost&direction=up&call_id=%20"))
            .await;
        assert_eq!(named(&refused.body), ["outcome", "direction", "call_id"]);
        drop(stop);
        tasks.join_all().await;
    }
}
