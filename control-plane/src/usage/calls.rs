//! `GET …/{id}/calls` and `GET /v1/calls`: the records of finished calls, latest first; all, or of an
//! account, an outcome, a direction or a beginning of `call_id`. JSON by pages; whole as CSV or as JSON
//! lines.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use hub::call::{Cause, Direction, Outcome};
use hub::clock::now_us;
use hub::id::{AccountId, AccountKind};
use hub::money::{Amount, Currency};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::Window;
use crate::Shared;
use crate::answer::{self, Answer};
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Raw, values};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::records::rate;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};
use crate::timestamp;

mod export;

use export::Form;

const SELECT: &str = "SELECT account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, agent_id, \
     source, outcome, cause, billable_s, cost, debt, currency, costs, rate, purged_us FROM calls";
/// The longest `call_id`.
const CALL_ID_CHARACTERS_MAX: usize = 128;

/// A finished call, named as in the gateway's receipt.
#[derive(Serialize)]
pub(crate) struct Record {
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
    #[serde(flatten)]
    priced: rate::Shown,
    #[serde(skip)]
    is_purged: bool,
}

impl Record {
    fn schema() -> Schema {
        let words = |words: &[&'static str]| schema::labels(words.iter().copied());
        schema::answered([
            ("call_id", schema::text().example("c-4711")),
            ("account", schema::any_account_id()),
            ("state", schema::labels(["ended"])),
            ("admitted_at", schema::time()),
            ("answered_at", schema::time().or_null()),
            ("ended_at", schema::time()),
            ("direction", words(&Direction::ALL.map(Direction::label))),
            ("from", schema::text()),
            ("to", schema::text()),
            ("agent_id", schema::text()),
            ("source", schema::text()),
            ("outcome", words(&Outcome::ALL.map(Outcome::label))),
            ("cause", words(&Cause::ALL.map(Cause::label)).about("what ended it")),
            ("billed", schema::flag()),
            ("billable_s", schema::count()),
            ("cost", schema::money()),
            (
                "debt",
                schema::money()
                    .about("the part of the cost that neither hold nor wallet could pay"),
            ),
            ("currency", schema::currency().or_null()),
            ("costs", schema::anything().about("the breakdown that the stack sent, as it came")),
        ])
        .with(rate::Shown::members())
        .named("CallRecord")
    }

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
            priced: rate::Shown::of(row.try_get("rate")?, shown_in)?,
            is_purged: row.try_get::<Option<i64>, _>("purged_us")?.is_some(),
        })
    }

    /// It does not say any more whom the call was with.
    pub(crate) const fn is_purged(&self) -> bool {
        self.is_purged
    }

    fn position(&self) -> Position {
        let (account, call_id) = (self.account.clone(), self.call_id.clone());
        Position { admitted_us: self.admitted_us, account, call_id }
    }
}

/// A place in the order of the list: latest first, then by account and `call_id`.
#[derive(Clone, Debug)]
struct Position {
    admitted_us: i64,
    account: String,
    call_id: String,
}

impl Position {
    fn cursor(&self) -> String {
        format!("{}:{}:{}", self.admitted_us, self.account, self.call_id)
    }

    fn of_cursor(cursor: &str) -> Option<Self> {
        let (us, rest) = cursor.split_once(':')?;
        let (account, call_id) = rest.split_once(':')?;
        let admitted_us = us.parse().ok()?;
        Some(Self { admitted_us, account: account.to_owned(), call_id: call_id.to_owned() })
    }
}

/// What is selected.
struct Filter {
    organization: AccountId,
    account: Option<AccountId>,
    named: Option<AccountId>,
    times: Window,
    outcome: Option<String>,
    direction: Option<String>,
    call_id: Option<String>,
}

impl Filter {
    /// Reads what is left of a query, whose window was read before.
    fn read(mut query: Fields, request: &Request) -> Result<Self, Problem> {
        let organization = query.optional("organization_id", values::account_id);
        let account = request.access.sub_account();
        let named = query.optional("account", values::account_id);
        if account.is_some() && named.is_some() {
            query.refuse("account", "expected for the organization only");
        }
        let times = super::window(&mut query, 0);
        let outcome = query.optional("outcome", |raw| word(raw, &Outcome::ALL.map(Outcome::label)));
        let direction =
            query.optional("direction", |raw| word(raw, &Direction::ALL.map(Direction::label)));
        let call_id = query.optional("call_id", call_id_prefix);
        query.finish()?;
        let organization = request.access.organization_or(organization)?;
        Ok(Self { organization, account, named, times, outcome, direction, call_id })
    }

    /// At most so many records that follow a position.
    async fn records(
        &self,
        connection: &mut AnyConnection,
        after: Option<&Position>,
        most: i64,
    ) -> Result<Vec<Record>, Problem> {
        let mut conditions = Conditions::default();
        let text = |id: &AccountId| [Bound::Text(id.to_string())];
        match &self.account {
            Some(account) => conditions.and("account_id = ?", text(account)),
            None => conditions.and("organization_id = ?", text(&self.organization)),
        }
        conditions.and_given("account_id = ?", self.named.as_ref().map(text));
        conditions.and("purged_us IS NULL", []);
        let Window { from_us, to_us } = self.times;
        let last_us = after.map_or(to_us, |after| after.admitted_us);
        conditions.and("admitted_us >= ? AND admitted_us <= ?", [from_us, last_us].map(Bound::Int));
        match after {
            None => conditions.and("admitted_us < ?", [Bound::Int(to_us)]),
            Some(Position { admitted_us, account, call_id }) => conditions.and(
                "admitted_us < ? OR account_id < ? OR (account_id = ? AND call_id < ?)",
                [
                    Bound::Int(*admitted_us),
                    Bound::Text(account.clone()),
                    Bound::Text(account.clone()),
                    Bound::Text(call_id.clone()),
                ],
            ),
        }
        for (condition, word) in
            [("outcome = ?", &self.outcome), ("direction = ?", &self.direction)]
        {
            conditions.and_given(condition, word.clone().map(|word| [Bound::Text(word)]));
        }
        conditions.and_given(
            "SUBSTR(call_id, 1, CAST(? AS INTEGER)) = ?",
            self.call_id.clone().map(|prefix| [Bound::Int(length(&prefix)), Bound::Text(prefix)]),
        );
        let tail = format!("ORDER BY admitted_us DESC, account_id DESC, call_id DESC LIMIT {most}");
        let rows = conditions.rows(connection, SELECT, &tail).await?;
        rows.iter().map(Record::of_row).collect()
    }
}

/// A page, and what is not in any.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    page: Page<Record>,
    /// Calls admitted before it were purged: of the account, of some of the organization's accounts.
    purged_before: Option<String>,
}

/// Up to when calls of an account, or of any that an organization has, are purged.
async fn purged_before(
    connection: &mut AnyConnection,
    filter: &Filter,
) -> Result<Option<String>, Problem> {
    let mut conditions = Conditions::default();
    let text = |id: &AccountId| [Bound::Text(id.to_string())];
    match filter.account.as_ref().or(filter.named.as_ref()) {
        Some(account) => conditions.and("id = ?", text(account)),
        None => conditions.and("status <> 'deleted'", []),
    }
    conditions.and("organization_id = ?", text(&filter.organization));
    let select = "SELECT CAST(MAX(calls_purged_us) AS BIGINT) FROM accounts";
    let rows = conditions.rows(connection, select, "").await?;
    let us = rows.first().map(|row| row.try_get::<Option<i64>, _>(0)).transpose()?.flatten();
    Ok(us.filter(|us| *us > 0).map(|us| timestamp::text(us.min(now_us()))))
}

pub(crate) fn describe_sub_account() -> Operation {
    describe("List finished calls", [])
}

pub(crate) fn describe_organization() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    let account = schema::any_account_id().about("of this account only");
    describe(
        "List the organization's finished calls",
        [("organization_id", organization), ("account", account)],
    )
}

fn describe<const N: usize>(summary: &'static str, more: [(&'static str, Schema); N]) -> Operation {
    let purged = schema::time().or_null().about(
        "calls of the account, or of some of the organization's accounts, that were admitted before this are purged and not listed (`call_retention_days`); null: none is",
    );
    let listed = schema::page(Record::schema()).with([("purged_before", purged)]);
    Operation::new(
        summary,
        "Latest first; `from` and `to` are times of admission. As CSV or JSON lines all that is selected is sent, without pages.",
    )
    .query(super::parameters())
    .query(more)
    .query([
        ("outcome", schema::labels(Outcome::ALL.map(Outcome::label))),
        ("direction", schema::labels(Direction::ALL.map(Direction::label))),
        ("call_id", schema::pattern("^[!-~]{1,128}$").about("its beginning").example("c-47")),
    ])
    .query(schema::window())
    .answers_as(
        StatusCode::OK,
        "A page, or all of them.",
        [
            ("application/json", listed),
            (Form::Csv.media_type(), schema::text()),
            (Form::Lines.media_type(), schema::text()),
        ],
    )
    .with_header("X-Purged-Before", schema::time().about("of CSV and JSON lines, as `purged_before`"))
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = request.query();
    let form = Form::ALL.into_iter().find(|form| answer::accepts(&headers, form.media_type()));
    if let Some(form) = form {
        let filter = Filter::read(query, &request)?;
        app.caught_up(filter.organization).await;
        let mut connection = app.store.read().await?;
        let purged_before = purged_before(&mut connection, &filter).await?;
        drop(connection);
        return Ok(export::respond(app, filter, form, purged_before));
    }
    let window = page::window(&mut query);
    let after = window.after().map(Position::of_cursor);
    if matches!(after, Some(None)) {
        query.refuse("cursor", "expected a next_cursor of an earlier answer");
    }
    let filter = Filter::read(query, &request)?;
    app.caught_up(filter.organization).await;
    let mut connection = app.store.read().await?;
    let after = after.flatten();
    let records = filter.records(&mut connection, after.as_ref(), window.rows()).await?;
    let page = Page::of(records, &window, |record| record.position().cursor());
    let purged_before = purged_before(&mut connection, &filter).await?;
    Ok(Answer::ok(&Listed { page, purged_before })?.into_response())
}

/// One finished call.
pub(crate) async fn find(
    connection: &mut AnyConnection,
    account: AccountId,
    admitted_us: i64,
    call_id: &str,
) -> Result<Option<Record>, Problem> {
    let sql = format!("{SELECT} WHERE account_id = $1 AND admitted_us = $2 AND call_id = $3");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(account.to_string())
        .bind(admitted_us)
        .bind(call_id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Record::of_row).transpose()
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

    #[tokio::test]
    async fn the_organization_sees_all_calls_in_pages_and_whole_and_an_account_its_own() {
        let harness = Harness::new().await;
        let mut accounts = Vec::new();
        for _ in 0..3 {
            accounts.push(harness.isolated(9).await);
        }
        for (number, (account, _)) in ["a", "b", "c"].iter().zip(&accounts) {
            for part in ["1", "2"] {
                let call_id = format!("{number}{part}");
                let billing = Some(hub::directory::Billing::Isolated);
                let made = call(account.parse().expect("an id"), &call_id, billing);
                harness.finished(&made, "0", "0");
            }
        }
        harness.plane.post_records(std::future::ready(())).await;
        let ids = |rows: &Value| -> Vec<String> {
            let rows = rows.as_array().expect("rows");
            rows.iter().map(|row| text(&row["call_id"])).collect()
        };
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/calls?limit=4{cursor}");
            let page = harness.get(&harness.organization, &path).await;
            assert_eq!(page.status, 200, "{}", page.body);
            seen.extend(ids(&page.body["data"]));
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["c2", "c1", "b2", "b1", "a2", "a1"]);
        let (account, key) = &accounts[1];
        let path = format!("/v1/calls?account={account}");
        let some = harness.get(&harness.organization, &path).await;
        assert_eq!(ids(&some.body["data"]), ["b2", "b1"]);
        let own = harness.get(key, "/v1/calls").await;
        assert_eq!(ids(&own.body["data"]), ["b2", "b1"]);
        let (other, _) = &accounts[0];
        let refused = harness.get(key, &format!("/v1/calls?account={other}")).await;
        assert_eq!(named(&refused.body), ["account"]);

        for (media_type, rows) in [("application/x-ndjson", 6), ("text/csv", 7)] {
            let headers = [("accept", media_type)];
            let whole = harness
                .send_with(&harness.organization, "GET", "/v1/calls", &headers, Vec::new())
                .await;
            let body = String::from_utf8(whole.bytes).expect("UTF-8");
            assert_eq!(body.lines().count(), rows, "{body}");
            assert!(body.lines().last().is_some_and(|line| line.contains("a1")), "{body}");
            let path = format!("/v1/sub-accounts/{account}/calls?call_id=b1");
            let one = harness.send_with(key, "GET", &path, &headers, Vec::new()).await;
            let body = String::from_utf8(one.bytes).expect("UTF-8");
            assert_eq!(body.lines().count(), rows - 5, "{body}");
            if media_type == "text/csv" {
                let mut table = csv::Reader::from_reader(body.as_bytes());
                let names = table.headers().expect("a header").clone();
                let row = table.records().next().expect("a row").expect("as long");
                let cell = |name| &row[names.iter().position(|known| known == name).expect(name)];
                assert_eq!((cell("rate_per_minute"), cell("rate_increment_s")), ("1.20", "60"));
                assert_eq!((cell("rate_deck"), cell("costs")), ("", r#"{"llm":"0.1"}"#));
            }
        }
    }
}
