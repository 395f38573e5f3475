//! `GET /sub-accounts/{id}/usage`: what the calls of one sub-account were and cost in a window.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountId;
use serde::Serialize;
use sqlx::AnyConnection;

use super::number::Number;
use super::refusal::Refusal;
use super::window;
use crate::Shared;
use crate::answer::Answer;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::problem::Problem;
use crate::request::Request;
use crate::usage::costs::{Breakdown, Named};
use crate::usage::sums::{Between, Sums};

#[derive(Serialize)]
pub(super) struct Totals {
    from: String,
    to: String,
    total_records: i64,
    total_duration: Number,
    /// What the organization is charged.
    total_cost: Number,
    /// From here on: what the releases of the calls said.
    total_platform_cost: Number,
    total_telephony_cost: Number,
    status_map: BTreeMap<String, i64>,
    synthesizer_cost_map: BTreeMap<String, Number>,
    transcriber_cost_map: BTreeMap<String, Number>,
    llm_cost_map: BTreeMap<String, Number>,
}

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read the usage of a sub-account",
        "Costs are hundredths of the currency unit, durations seconds.",
    )
    .query(window::parameters())
    .answers(StatusCode::OK, "The totals.", Totals::members().named("CompatibilityUsage"))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let mut query = request.lenient_query();
    let shown = window::read(&mut query);
    query.finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    app.caught_up(organization).await;
    let mut connection = app.store.read().await.map_err(Problem::from)?;
    let accounts = Between { organization, first: id, last: id };
    let mut reports = Reports::load(&mut connection, accounts, shown).await?;
    Ok(Answer::ok(&reports.take(id))?)
}

impl Totals {
    /// An object that is not a component yet.
    pub(super) fn members() -> Schema {
        let costs = || schema::by_name(schema::number());
        schema::answered([
            ("from", schema::text().example("2025-06-25")),
            ("to", schema::text().example("2025-06-27T23:59:59.999999")),
            ("total_records", schema::count()),
            ("total_duration", schema::number()),
            ("total_cost", schema::number().about("what the organization is charged")),
            (
                "total_platform_cost",
                schema::number().about("from here on: what the releases of the calls said"),
            ),
            ("total_telephony_cost", schema::number()),
            ("status_map", schema::by_name(schema::count())),
            ("synthesizer_cost_map", costs()),
            ("transcriber_cost_map", costs()),
            ("llm_cost_map", costs()),
        ])
    }
}

/// What several sub-accounts used in one window.
pub(super) struct Reports {
    shown: window::Shown,
    each: HashMap<AccountId, (Sums, Breakdown)>,
}

impl Reports {
    pub(super) async fn load(
        connection: &mut AnyConnection,
        accounts: Between,
        shown: window::Shown,
    ) -> Result<Self, Problem> {
        let mut each = HashMap::new();
        for (id, sums) in Sums::of_each(connection, accounts, shown.window).await? {
            let breakdown = if sums.breakdowns > 0 {
                Breakdown::load(connection, id, shown.window).await?
            } else {
                Breakdown::default()
            };
            each.insert(id, (sums, breakdown));
        }
        Ok(Self { shown, each })
    }

    /// One of them; all zero when it had no calls.
    pub(super) fn take(&mut self, account: AccountId) -> Totals {
        let (sums, breakdown) = self.each.remove(&account).unwrap_or_default();
        Totals {
            from: self.shown.from.clone(),
            to: self.shown.to.clone(),
            total_records: sums.calls,
            total_duration: Number::seconds(sums.billable_s),
            total_cost: Number::hundredths(sums.cost),
            total_platform_cost: Number::hundredths(breakdown.platform),
            total_telephony_cost: Number::hundredths(breakdown.telephony),
            status_map: sums.outcomes,
            synthesizer_cost_map: numbers(breakdown.synthesizer),
            transcriber_cost_map: numbers(breakdown.transcriber),
            llm_cost_map: numbers(breakdown.llm),
        }
    }
}

fn numbers(named: Named) -> BTreeMap<String, Number> {
    named.into_iter().map(|(name, amount)| (name, Number::hundredths(amount))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Harness;
    use crate::testing::calls::{call, record};
    use crate::testing::compatibility::account;

    #[tokio::test]
    async fn usage_has_the_documented_shape_and_the_numbers_of_the_native_api() {
        let harness = Harness::new().await;
        let made = account(&harness, json!({"allow_concurrent_calls": 5})).await;
        let id = made.native_id.parse().expect("an id");
        harness.admit(&call(id, "unanswered", None), "0");
        for (call_id, cost) in [("one", "0.25"), ("two", "0.06754")] {
            let call = call(id, call_id, None);
            harness.admit(&call, cost);
            harness.end(record(&call, cost, "0", 0));
        }
        harness.plane.post_records(std::future::ready(())).await;

        let json = [("content-type", "application/json")];
        let path = format!("{}/usage", made.path);
        let used = harness.send_with(&harness.organization, "GET", &path, &json, Vec::new()).await;
        assert_eq!(used.status, 200, "{}", used.body);
        let mut expected = json!({
            "total_records": 2, "total_duration": 120.0, "total_cost": 31.754,
            "total_platform_cost": 0.0, "total_telephony_cost": 0.0, "status_map": {"completed": 2},
            "synthesizer_cost_map": {}, "transcriber_cost_map": {}, "llm_cost_map": {"unknown": 20.0},
        });
        expected["from"] = used.body["from"].clone();
        expected["to"] = used.body["to"].clone();
        assert_eq!(used.body, expected);

        let native = harness.get(&made.key, &format!("{}/usage", made.native_path)).await;
        assert_eq!(native.body["calls"], json!(2));
        assert_eq!(native.body["billable_s"], json!(120));
        assert_eq!(native.body["cost"], json!("0.31754"));
        let own = harness.get(&made.key, &path).await;
        assert_eq!(own.body, used.body, "the account's own key sees the same");
    }

    #[tokio::test]
    async fn moments_are_said_back_and_windows_too_long_are_refused() {
        let harness = Harness::new().await;
        let made = account(&harness, json!({"allow_concurrent_calls": 5})).await;
        let ask = async |query: &str| {
            let path = format!("{}/usage?{query}", made.path);
            harness.get(&harness.organization, &path).await
        };
        let dates = ask("from=2025-06-25&to=2025-06-27").await;
        assert_eq!(dates.body["from"], json!("2025-06-25"));
        assert_eq!(dates.body["to"], json!("2025-06-27T23:59:59.999999"));
        assert_eq!(dates.body["status_map"], json!({}));
        let times = ask("from=2025-06-25T00:00:00.000Z&to=2025-06-27T00:00:00.000Z&x=1").await;
        assert_eq!((times.status, &times.body["total_records"]), (200, &json!(0)));
        let long = ask("from=2025-06-01&to=2025-07-03").await;
        assert_eq!((long.status, &long.body["error"]), (400, &json!(400)));
        assert!(long.body["message"].as_str().is_some_and(|said| said.contains("32 days")));
        let foreign = harness.isolated(1).await.1;
        let hidden = harness.get(&foreign, &format!("{}/usage", made.path)).await;
        assert_eq!((hidden.status, &hidden.body["reason"]), (404, &Value::Null));
    }
}
