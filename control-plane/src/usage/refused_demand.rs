//! `GET …/{id}/usage/refused-demand` and `GET /v1/usage/refused-demand`: calls that were refused for
//! slots, minute by minute, and how many more slots would have served them, by the rule of [`demand`].

use std::collections::BTreeMap;

use axum::extract::State;
use http::StatusCode;
use hub::clock::{SECOND_US, now_us};
use hub::denial::Scope;
use hub::id::{AccountId, AccountKind};
use hub::report::SLICE_S;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use super::demand::{self, Ranked, Refused};
use super::{Window, denials, interval};
use crate::Shared;
use crate::account::Organization;
use crate::answer::Answer;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::values;
use crate::problem::Problem;
use crate::reports::SLICE_COLUMNS;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};
use crate::timestamp;

/// The longest window.
const WINDOW_MAX_US: i64 = 7 * DAY_US;
const DAY_US: i64 = 86_400 * SECOND_US;
const MINUTE_US: i64 = 60 * SECOND_US;
/// The share of refused calls that is to be served.
const PERCENT: u64 = 95;
/// How long refused calls would have lasted where no call says: the setting of no account.
const DURATION_DEFAULT_S: i64 = 180;
const DURATIONS_S: std::ops::RangeInclusive<u32> = 1..=86_400;
/// Calls of the last day whose mean is taken, at most: the latest.
const CALLS_MEASURED_MAX: i64 = 1_000;
/// Minutes that are shown: those with the most refused calls, in the order of time.
const MINUTES_MAX: usize = 1_000;

const SCOPES: &[(&str, Scope)] =
    &[("account", Scope::Account), ("organization", Scope::Organization)];

/// What was asked for.
struct Asked {
    organization_id: Option<AccountId>,
    window: Window,
    zone: TimeZone,
    scope: Option<Scope>,
    duration_s: Option<i64>,
}

#[derive(Serialize)]
struct Shown {
    account: String,
    from: String,
    to: String,
    time_zone: String,
    /// Calls that were refused for slots; one that is tried again counts once.
    refused_calls: u64,
    /// Of the calls that the figures below are about.
    assumed_duration_s: i64,
    /// `calls`: their mean; `request`: it was given; `default`: there were none.
    assumed_duration_from: &'static str,
    served_percent: u64,
    /// Slots that would have served that share, or more.
    extra_slots: u64,
    /// The most that were wanted at once, beside those in use.
    extra_slots_peak: u64,
    summary: String,
    data: Vec<Minute>,
}

#[derive(Clone, Serialize)]
struct Minute {
    start: String,
    #[serde(skip)]
    at_us: i64,
    refused_calls: u64,
    extra_slots: u64,
    extra_slots_peak: u64,
}

impl Shown {
    fn schema() -> Schema {
        let figures = || {
            [
                ("refused_calls", schema::count()),
                ("extra_slots", schema::count()),
                ("extra_slots_peak", schema::count()),
            ]
        };
        let minute = schema::answered([("start", schema::time())]).with(figures());
        schema::answered([
            ("account", schema::any_account_id()),
            ("from", schema::time()),
            ("to", schema::time()),
            ("time_zone", schema::text()),
            ("assumed_duration_s", schema::count()),
            ("assumed_duration_from", schema::labels(["calls", "request", "default"])),
            ("served_percent", schema::count()),
            ("summary", schema::text()),
            ("data", schema::list(minute).about("the minutes with the most, in their order")),
        ])
        .with(figures())
        .named("RefusedDemand")
    }
}

pub(crate) fn describe_sub_account() -> Operation {
    describe("Read a sub-account's refused demand", [])
}

pub(crate) fn describe_organization() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    describe("Read the organization's refused demand", [("organization_id", organization)])
}

fn describe<const N: usize>(summary: &'static str, more: [(&'static str, Schema); N]) -> Operation {
    let seconds = schema::whole(DURATIONS_S).about(
        "how long each refused call would have lasted; the mean of the latest calls unless given",
    );
    Operation::new(
        summary,
        "Calls that were refused for slots, from `from` (24 hours ago) to `to` (now), at most 7 days, and how many more slots would have served 95 % of them, assuming that each would have lasted the same time.",
    )
    .query(super::parameters())
    .query(more)
    .query([
        ("time_zone", schema::text().by_default("UTC").about("whose minutes and dates they are").example("Asia/Kolkata")),
        ("scope", schema::word(SCOPES).about("whose limit refused; both unless given")),
        ("duration_s", seconds),
    ])
    .answers(StatusCode::OK, "The figures, in words too, and by minute.", Shown::schema())
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let asked = read(&request)?;
    let id = request.access.organization_or(asked.organization_id)?;
    let account = request.access.sub_account();
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?.id;
    let subject = (organization, account);
    let (duration_s, from) = match asked.duration_s {
        Some(duration_s) => (duration_s, "request"),
        None => match mean_duration_s(&mut connection, subject, asked.window.to_us).await? {
            Some(duration_s) => (duration_s, "calls"),
            None => (DURATION_DEFAULT_S, "default"),
        },
    };
    let wanted_us = duration_s.saturating_mul(SECOND_US);
    // Calls refused before the window may be wanted still when it begins.
    let before_us = asked.window.from_us.saturating_sub(wanted_us);
    let wider = Window { from_us: before_us, ..asked.window };
    let refused = load(&mut connection, subject, wider, asked.scope).await?;
    drop(connection);
    let mut ranked = demand::rank(refused, wanted_us);
    ranked.retain(|slice| slice.at_us >= asked.window.from_us);
    let minutes = by_minute(&ranked, &asked.zone);
    let shown = Shown {
        account: account.unwrap_or(organization).to_string(),
        from: timestamp::text(asked.window.from_us),
        to: timestamp::text(asked.window.to_us),
        time_zone: asked.zone.iana_name().unwrap_or("UTC").to_owned(),
        refused_calls: calls(&ranked),
        assumed_duration_s: duration_s,
        assumed_duration_from: from,
        served_percent: PERCENT,
        extra_slots: demand::slots_for(&ranked, PERCENT),
        extra_slots_peak: peak(&ranked),
        summary: summary(&minutes, calls(&ranked), &asked.zone),
        data: busiest(minutes),
    };
    Answer::ok(&shown)
}

fn read(request: &Request) -> Result<Asked, Problem> {
    let mut query = request.query();
    let organization_id = query.optional("organization_id", values::account_id);
    let zone = query.optional("time_zone", interval::zone).unwrap_or(TimeZone::UTC);
    let window = super::window_in(&mut query, &zone, now_us().saturating_sub(DAY_US));
    if window.to_us.saturating_sub(window.from_us) > WINDOW_MAX_US {
        query.refuse("from", "expected at most 7 days before to");
    }
    let scope = query.optional("scope", values::word(SCOPES));
    let duration_s = query.optional("duration_s", values::whole(DURATIONS_S)).map(i64::from);
    query.finish()?;
    Ok(Asked { organization_id, window, zone, scope, duration_s })
}

/// An organization with all of its accounts, or one of them.
type Subject = (AccountId, Option<AccountId>);

/// How long slots were in use by the latest calls that were admitted in the day before.
async fn mean_duration_s(
    connection: &mut AnyConnection,
    (organization, account): Subject,
    to_us: i64,
) -> Result<Option<i64>, Problem> {
    let mut latest = Conditions::default();
    match account {
        Some(account) => latest.and("account_id = ?", [Bound::Text(account.to_string())]),
        None => latest.and("organization_id = ?", [Bound::Text(organization.to_string())]),
    }
    latest.and("admitted_us >= ? AND admitted_us < ?", [to_us - DAY_US, to_us].map(Bound::Int));
    let select = "SELECT admitted_us, ended_us FROM calls";
    let tail = format!("ORDER BY admitted_us DESC LIMIT {CALLS_MEASURED_MAX}");
    let (mut calls, mut sum_us) = (0_i64, 0_i64);
    let measuring = latest.each(connection, select, &tail, |row| {
        let (admitted_us, ended_us): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        calls += 1;
        sum_us = sum_us.saturating_add(ended_us.saturating_sub(admitted_us));
        Ok::<_, Problem>(())
    });
    measuring.await?;
    // Rounded up: a call that lasts wants its slot for a second at least.
    Ok(sum_us
        .checked_div(calls)
        .map(|mean_us| (mean_us + SECOND_US - 1).div_euclid(SECOND_US).max(1)))
}

/// Refused calls in the order of time.
async fn load(
    connection: &mut AnyConnection,
    (organization, account): Subject,
    window: Window,
    scope: Option<Scope>,
) -> Result<Vec<Refused>, Problem> {
    let mut conditions = denials::scope(organization, account);
    // Whole minutes: slices outside of the window are left out below.
    let from_us = window.from_us.div_euclid(MINUTE_US).saturating_mul(MINUTE_US);
    conditions.and("minute_us >= ? AND minute_us < ?", [from_us, window.to_us].map(Bound::Int));
    conditions.and_given("scope = ?", scope.map(|scope| [Bound::Text(scope.label().to_owned())]));
    let sums = SLICE_COLUMNS.map(|name| format!("CAST(SUM({name}) AS BIGINT)")).join(", ");
    let select = format!("SELECT minute_us, {sums} FROM refused_calls");
    let slice_us = i64::from(SLICE_S) * SECOND_US;
    let mut slices = BTreeMap::new();
    let loading = conditions.each(connection, &select, "GROUP BY minute_us", |row| {
        let minute_us: i64 = row.try_get(0)?;
        for (slice, at_us) in (1..=SLICE_COLUMNS.len()).zip((minute_us..).step_by(step(slice_us))) {
            let calls: i64 = row.try_get(slice)?;
            if calls > 0 && (window.from_us..window.to_us).contains(&at_us) {
                slices.insert(at_us, calls.unsigned_abs());
            }
        }
        Ok::<_, Problem>(())
    });
    loading.await?;
    Ok(slices.into_iter().map(|(at_us, calls)| Refused { at_us, calls }).collect())
}

fn step(us: i64) -> usize {
    usize::try_from(us).unwrap_or(1)
}

fn calls(ranked: &[Ranked]) -> u64 {
    ranked.iter().map(|slice| slice.calls).sum()
}

fn peak(ranked: &[Ranked]) -> u64 {
    ranked.iter().map(Ranked::wanted).max().unwrap_or_default()
}

/// The same for each minute that has any; calls of other minutes are wanted beside them.
fn by_minute(ranked: &[Ranked], zone: &TimeZone) -> Vec<Minute> {
    let minute = |slice: &Ranked| slice.at_us.div_euclid(MINUTE_US);
    let minutes = ranked.chunk_by(|one, next| minute(one) == minute(next));
    minutes
        .map(|slices| {
            let at_us = slices.first().map_or(0, minute).saturating_mul(MINUTE_US);
            Minute {
                start: interval::text(at_us, zone),
                at_us,
                refused_calls: calls(slices),
                extra_slots: demand::slots_for(slices, PERCENT),
                extra_slots_peak: peak(slices),
            }
        })
        .collect()
}

fn busiest(mut minutes: Vec<Minute>) -> Vec<Minute> {
    if minutes.len() > MINUTES_MAX {
        minutes.sort_by_key(|minute| (std::cmp::Reverse(minute.refused_calls), minute.at_us));
        minutes.truncate(MINUTES_MAX);
        minutes.sort_by_key(|minute| minute.at_us);
    }
    minutes
}

/// `37 calls refused at 10:04 on 2025-06-25; 6 more slots would have served 95 % of them`
fn summary(minutes: &[Minute], all: u64, zone: &TimeZone) -> String {
    let worst = minutes.iter().rev().max_by_key(|minute| minute.refused_calls);
    let Some(worst) = worst else { return "no call was refused for slots".to_owned() };
    let at = Timestamp::from_microsecond(worst.at_us).unwrap_or(Timestamp::UNIX_EPOCH);
    let at: Zoned = at.to_zoned(zone.clone());
    let Minute { refused_calls, extra_slots, .. } = worst;
    let (calls, slots) = (counted(*refused_calls, "call"), counted(*extra_slots, "more slot"));
    let rest = if all > *refused_calls { format!(" ({all} in all)") } else { String::new() };
    format!(
        "{calls} refused at {} on {}; {slots} would have served {PERCENT} % of them{rest}",
        at.strftime("%H:%M"),
        at.date(),
    )
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use hub::denial::Reason::NoSlot;
    use serde_json::json;

    use crate::testing::reports::{refused, report};
    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn refused_calls_say_how_many_more_slots_would_have_served_them() {
        let harness = Harness::new().await;
        let (account, key) = harness.isolated(9).await;
        let (other, other_key) = harness.isolated(9).await;
        let refused = vec![
            refused(&account, "2025-06-25T10:03:00Z", &[(NoSlot, 9)], 2),
            refused(&account, "2025-06-25T10:04:31Z", &[(NoSlot, 40)], 37),
            refused(&other, "2025-06-25T10:04:31Z", &[(NoSlot, 1)], 1),
        ];
        harness.reported(&report(1, refused)).await;
        let path = format!("/v1/sub-accounts/{account}/usage/refused-demand");
        let window = "from=2025-06-25T10:00:00Z&to=2025-06-25T11:00:00Z";
        let shown = harness.get(&key, &format!("{path}?{window}&duration_s=60")).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        let body = &shown.body;
        // The two of 10:03 are over when the others come; 38 of 39 and 36 of 37 are at least 95 %.
        assert_eq!((&body["refused_calls"], &body["extra_slots_peak"]), (&json!(39), &json!(37)));
        assert_eq!(body["extra_slots"], 36);
        assert_eq!(body["assumed_duration_from"], "request");
        assert_eq!(
            body["summary"],
            "37 calls refused at 10:04 on 2025-06-25; 36 more slots would have served 95 % of them (39 in all)"
        );
        let minutes = body["data"].as_array().expect("minutes");
        assert_eq!(minutes.len(), 2);
        assert_eq!(minutes[1]["start"], "2025-06-25T10:04:00Z");
        // Longer ones are still wanted a minute and a half later.
        let longer = harness.get(&key, &format!("{path}?{window}&time_zone=Asia/Kolkata")).await;
        assert_eq!(longer.body["assumed_duration_from"], "default");
        assert_eq!(longer.body["data"][1]["extra_slots_peak"], 39);
        assert!(longer.body["summary"].as_str().is_some_and(|text| text.contains("at 15:34")));
        // Also those refused before the window.
        let late = "from=2025-06-25T10:04:00Z&to=2025-06-25T10:05:00Z";
        let late = harness.get(&key, &format!("{path}?{late}")).await;
        assert_eq!(
            (&late.body["refused_calls"], &late.body["extra_slots_peak"]),
            (&json!(37), &json!(39))
        );

        let path = format!("/v1/usage/refused-demand?{window}&duration_s=60");
        let all = harness.get(&harness.organization, &path).await;
        assert_eq!(
            (&all.body["refused_calls"], &all.body["extra_slots_peak"]),
            (&json!(40), &json!(38))
        );
        let own = harness.get(&other_key, &path).await;
        assert_eq!(own.body["refused_calls"], 1);
        let none = harness.get(&harness.organization, &format!("{path}&scope=organization")).await;
        assert_eq!(none.body["summary"], "no call was refused for slots");
    }

    #[tokio::test]
    async fn calls_say_how_long_refused_ones_would_have_lasted() {
        use crate::testing::calls::{call, record};

        let harness = Harness::new().await;
        let (account, key) = harness.isolated(9).await;
        let made = call(account.parse().expect("an id"), "1", None);
        harness.admit(&made, "0");
        harness.end(record(&made, "0", "0", 0));
        harness.plane.post_records(std::future::ready(())).await;
        let path = format!("/v1/sub-accounts/{account}/usage/refused-demand");
        let shown = harness.get(&key, &path).await;
        assert_eq!(shown.body["assumed_duration_from"], "calls");
        let mean_s = shown.body["assumed_duration_s"].as_i64().expect("seconds");
        assert!((90..=95).contains(&mean_s), "it was admitted 90 seconds ago: {mean_s}");
        let refused = harness
            .get(&key, &format!("{path}?from=2025-06-01&to=2025-06-25&scope=world&duration_s=0"))
            .await;
        assert_eq!(named(&refused.body), ["from", "scope", "duration_s"]);
    }
}
