//! Usage cut into intervals, or by account, or both; as JSON or CSV. One pass over the call records
//! of the window, which keeps no more of them than were live at once.

use std::collections::HashMap;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue};
use hub::call::Outcome;
use hub::clock::{SECOND_US, now_us};
use hub::denial::Reason;
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use jiff::tz::TimeZone;
use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use super::csv::Table;
use super::denials::{self, Denials};
use super::interval::{self, Interval};
use super::tally::{Counted, Sums, Tally};
use super::{WINDOW_MAX_US, Window};
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, values};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};
use crate::{App, timestamp};

/// The most rows of one answer: intervals times accounts.
const ROWS_MAX: usize = 10_000;
/// The most call records that are counted for one answer.
const CALLS_MAX: usize = 1_000_000;
/// Calls that last longer are found by an index of their own. As in `0008_usage.sql`.
const LONG_US: i64 = 86_400 * SECOND_US;

const COLUMNS: [&str; 12] = [
    "start",
    "end",
    "account",
    "name",
    "calls",
    "answered",
    "billable_s",
    "minutes",
    "cost",
    "debt",
    "currency",
    "peak_concurrency",
];

/// What was asked for.
struct Asked {
    organization_id: Option<AccountId>,
    window: Window,
    zone: TimeZone,
    interval: Option<Interval>,
    /// When each interval begins, and the end of the last.
    cuts: Vec<i64>,
    /// The accounts that are told apart, a page of them.
    accounts: Option<page::Window>,
}

/// Whose usage a row is.
struct Subject {
    id: String,
    name: String,
}

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    account: String,
    from: String,
    to: String,
    interval: Option<&'static str>,
    time_zone: &'a str,
    currency: String,
    #[serde(flatten)]
    page: Page<Row>,
}

#[derive(Serialize)]
struct Row {
    start: String,
    end: String,
    account: String,
    name: String,
    calls: i64,
    answered: i64,
    billable_s: i64,
    minutes: String,
    cost: String,
    debt: String,
    /// The most calls at once, of those that have ended by now.
    peak_concurrency: usize,
    outcomes: std::collections::BTreeMap<String, i64>,
    denials: Denials,
}

impl Shown<'_> {
    pub(super) fn schema() -> Schema {
        let row = schema::answered([
            ("start", schema::time().about("with the offset that is in force then")),
            ("end", schema::time()),
            ("account", schema::any_account_id()),
            ("name", schema::text()),
            ("calls", schema::count()),
            ("answered", schema::count()),
            ("billable_s", schema::count()),
            ("minutes", schema::pattern(r"^[0-9]+\.[0-9]{2}$").example("1.52")),
            ("cost", schema::money()),
            ("debt", schema::money()),
            (
                "peak_concurrency",
                schema::count().about("the most calls at once, of those that have ended"),
            ),
            ("outcomes", schema::by_name(schema::count())),
            (
                "denials",
                schema::by_name(schema::count()).about("refused admits by reason, each try"),
            ),
        ]);
        schema::page(row.named("UsageRow"))
            .with([
                ("account", schema::any_account_id()),
                ("from", schema::time()),
                ("to", schema::time()),
                ("interval", schema::word(Interval::WORDS).or_null()),
                ("time_zone", schema::text()),
                ("currency", schema::currency()),
            ])
            .named("UsageSeries")
    }
}

/// What one subject has in each interval.
type Counts = Vec<(Sums, Denials)>;

/// Whether the query asks for more than totals.
pub(super) fn is_asked(query: &Fields) -> bool {
    ["interval", "time_zone", "group_by"].iter().any(|name| query.has(name))
}

pub(super) async fn answer(
    app: &App,
    request: &Request,
    as_csv: bool,
) -> Result<Response, Problem> {
    let asked = read(request)?;
    let id = request.access.organization_or(asked.organization_id)?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?;
    let subject = request.access.sub_account().unwrap_or(id);
    let page = match &asked.accounts {
        Some(window) => by_account(&mut connection, id, window, &asked).await?,
        None => whole(&mut connection, id, subject, &asked).await?,
    };
    drop(connection);
    let page = page.flat_map(|(subject, sums)| rows(&asked, organization.currency, &subject, sums));
    if as_csv {
        return table(&page, organization.currency);
    }
    let shown = Shown {
        account: subject.to_string(),
        from: timestamp::text(asked.window.from_us),
        to: timestamp::text(asked.window.to_us),
        interval: asked.interval.map(|interval| crate::account::word(Interval::WORDS, &interval)),
        time_zone: asked.zone.iana_name().unwrap_or("UTC"),
        currency: organization.currency.to_string(),
        page,
    };
    Ok(Answer::ok(&shown)?.into_response())
}

fn read(request: &Request) -> Result<Asked, Problem> {
    const GROUPS: &[(&str, ())] = &[("account", ())];
    let mut query = request.query();
    let organization_id = query.optional("organization_id", values::account_id);
    let zone = query.optional("time_zone", interval::zone).unwrap_or(TimeZone::UTC);
    let window = super::window_in(&mut query, &zone, interval::month_start_us(now_us(), &zone));
    let interval = query.optional("interval", values::word(Interval::WORDS));
    let by_account = query.optional("group_by", values::word(GROUPS)).is_some();
    if by_account && request.access.sub_account().is_some() {
        query.refuse("group_by", "expected for the organization only");
    }
    let mut cuts = Vec::new();
    if window.to_us.saturating_sub(window.from_us) > WINDOW_MAX_US {
        query.refuse("from", "expected at most 366 days before to");
    } else if let Some(found) = interval::cuts(window, interval, &zone) {
        cuts = found;
    } else {
        let most = interval::INTERVALS_MAX;
        query.refuse("interval", format!("expected at most {most} intervals from from to to"));
    }
    let accounts_max = ROWS_MAX / cuts.len().saturating_sub(1).max(1);
    let accounts = by_account.then(|| page::window_of(&mut query, accounts_max));
    query.finish()?;
    Ok(Asked { organization_id, window, zone, interval, cuts, accounts })
}

/// One account, or an organization with all of its accounts, deleted ones too.
async fn whole(
    connection: &mut AnyConnection,
    organization: AccountId,
    subject: AccountId,
    asked: &Asked,
) -> Result<Page<(Subject, Counts)>, Problem> {
    let name = Account::load(connection, subject).await?.name;
    let mut tally = Tally::new(&asked.cuts);
    let (condition, id) = if subject == organization {
        ("account_id IN (SELECT id FROM accounts WHERE organization_id = ?)", organization)
    } else {
        ("account_id = ?", subject)
    };
    let scope = || {
        let mut scope = Conditions::default();
        scope.and(condition, [Bound::Text(id.to_string())]);
        scope
    };
    each_call(connection, scope, "ORDER BY admitted_us", asked.window, |_, call| tally.count(call))
        .await?;
    let account = Some(subject).filter(|subject| *subject != organization);
    let scope = denials::scope(organization, account);
    let denials = denials::by_interval(connection, scope, &asked.cuts).await?;
    let sums = tally.finish();
    // There is one subject.
    let denials = denials.into_values().next().unwrap_or_else(|| vec![Denials::new(); sums.len()]);
    let counts = sums.into_iter().zip(denials).collect();
    let subject = Subject { id: subject.to_string(), name };
    Ok(Page::whole(vec![(subject, counts)]))
}

/// A page of an organization's accounts, itself and deleted ones too, in the order of their ids.
async fn by_account(
    connection: &mut AnyConnection,
    organization: AccountId,
    window: &page::Window,
    asked: &Asked,
) -> Result<Page<(Subject, Counts)>, Problem> {
    let found = sqlx::query(
        "SELECT id, name FROM accounts WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(organization.to_string())
    .bind(window.after_text())
    .bind(window.rows())
    .fetch_all(&mut *connection)
    .await?;
    let subjects = found
        .iter()
        .map(|row| Ok(Subject { id: row.try_get("id")?, name: row.try_get("name")? }))
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    let page = Page::of(subjects, window, |subject| subject.id.clone());
    let ids = page.data.iter().map(|subject| subject.id.as_str());
    let mut tallies: HashMap<&str, Tally<'_>> =
        ids.map(|id| (id, Tally::new(&asked.cuts))).collect();
    let mut denials = HashMap::new();
    if let (Some(first), Some(last)) = (page.data.first(), page.data.last()) {
        let scope = || {
            let mut scope = Conditions::default();
            let ids = [&organization.to_string(), &first.id, &last.id];
            scope.and(
                "account_id IN (SELECT id FROM accounts WHERE organization_id = ? AND id >= ? AND id <= ?)",
                ids.map(|id| Bound::Text(id.clone())),
            );
            scope
        };
        let order = "ORDER BY account_id, admitted_us";
        each_call(connection, scope, order, asked.window, |account, call| {
            if let Some(tally) = tallies.get_mut(account) {
                tally.count(call);
            }
        })
        .await?;
        let between = denials::between(organization, &first.id, &last.id);
        denials = denials::by_interval(connection, between, &asked.cuts).await?;
    }
    let mut sums: HashMap<String, Vec<Sums>> =
        tallies.into_iter().map(|(id, tally)| (id.to_owned(), tally.finish())).collect();
    Ok(page.map(|subject| {
        let sums = sums.remove(&subject.id).unwrap_or_default();
        let denials =
            denials.remove(&subject.id).unwrap_or_else(|| vec![Denials::new(); sums.len()]);
        (subject, sums.into_iter().zip(denials).collect())
    }))
}

/// Every call that was live in the window, those admitted before it first.
async fn each_call(
    connection: &mut AnyConnection,
    scope: impl Fn() -> Conditions,
    order: &str,
    window: Window,
    mut count: impl FnMut(&str, Counted),
) -> Result<(), Problem> {
    const SELECT: &str = "SELECT account_id, admitted_us, ended_us, answered_us, outcome, billable_s, cost, debt FROM calls";
    let Window { from_us, to_us } = window;
    let near_us = from_us.saturating_sub(LONG_US);
    let mut long = scope();
    long.and(
        // Word for word what the index of long calls is about.
        "ended_us - admitted_us > 86400000000 AND ended_us > ? AND admitted_us < ?",
        [from_us, near_us].map(Bound::Int),
    );
    let mut near = scope();
    near.and(
        "admitted_us >= ? AND admitted_us < ? AND (admitted_us >= ? OR ended_us > ?)",
        [near_us, to_us, from_us, from_us].map(Bound::Int),
    );
    let mut counted = 0;
    for conditions in [long, near] {
        let each = conditions.each(connection, SELECT, order, |row| {
            counted += 1;
            if counted > CALLS_MAX {
                let problem = format!(
                    "expected a window with at most {CALLS_MAX} calls; ask for a shorter one"
                );
                return Err(Problem::field("from", problem));
            }
            let call = Counted {
                admitted_us: row.try_get("admitted_us")?,
                ended_us: row.try_get("ended_us")?,
                answered: row.try_get::<Option<i64>, _>("answered_us")?.is_some(),
                outcome: row.try_get("outcome")?,
                billable_s: row.try_get("billable_s")?,
                cost: row.try_get("cost")?,
                debt: row.try_get("debt")?,
            };
            count(&row.try_get::<String, _>("account_id")?, call);
            Ok(())
        });
        each.await?;
    }
    Ok(())
}

fn rows(asked: &Asked, currency: Currency, subject: &Subject, counts: Counts) -> Vec<Row> {
    let money = |micros| Amount::from_micros(micros).in_currency(currency).to_string();
    let row = |(cut, (sums, denials)): (&[i64], (Sums, Denials))| Row {
        start: interval::text(cut[0], &asked.zone),
        end: interval::text(cut[1], &asked.zone),
        account: subject.id.clone(),
        name: subject.name.clone(),
        calls: sums.calls,
        answered: sums.answered,
        billable_s: sums.billable_s,
        minutes: minutes(sums.billable_s),
        cost: money(sums.cost),
        debt: money(sums.debt),
        peak_concurrency: sums.peak,
        outcomes: sums.outcomes,
        denials,
    };
    asked.cuts.windows(2).zip(counts).map(row).collect()
}

/// Rounded half up to hundredths: `1.52` for 91 seconds.
fn minutes(seconds: i64) -> String {
    let hundredths = seconds.saturating_mul(100).saturating_add(30).div_euclid(60);
    format!("{}.{:02}", hundredths.div_euclid(100), hundredths.rem_euclid(100))
}

fn table(page: &Page<Row>, currency: Currency) -> Result<Response, Problem> {
    let outcomes = Outcome::ALL.map(Outcome::label);
    let denied = Reason::ALL.map(|reason| format!("denied_{}", reason.label()));
    let denied = denied.iter().map(String::as_str);
    let header: Vec<&str> = COLUMNS.into_iter().chain(outcomes).chain(denied).collect();
    let mut table = Table::new(&header);
    for row in &page.data {
        let numbers = [row.calls, row.answered, row.billable_s].map(|number| number.to_string());
        let peak = row.peak_concurrency.to_string();
        let by_outcome = outcomes
            .map(|outcome| row.outcomes.get(outcome).copied().unwrap_or_default().to_string());
        let by_reason = Reason::ALL
            .map(|reason| row.denials.get(reason.label()).copied().unwrap_or_default().to_string());
        let counts = by_outcome.iter().chain(&by_reason).map(String::as_str);
        let [start, end, account, name] = [&row.start, &row.end, &row.account, &row.name];
        let before = [start, end, account, name].into_iter().chain(&numbers);
        let money = [&row.minutes, &row.cost, &row.debt].map(String::as_str);
        let cells = before.map(String::as_str).chain(money).chain([currency.code(), &peak]);
        table.row(cells.chain(counts));
    }
    let mut response = table.into_response();
    if let Some(cursor) = &page.next_cursor {
        let cursor = HeaderValue::from_str(cursor).map_err(Problem::internal)?;
        response.headers_mut().insert(HeaderName::from_static("x-next-cursor"), cursor);
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
