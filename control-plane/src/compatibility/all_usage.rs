//! `GET /sub-accounts/all/usage`: what the calls of every sub-account were and cost in a window, a row
//! for each, also for those that had none.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::refusal::Refusal;
use super::usage::{Reports, Totals};
use super::{rows, uuid, window};
use crate::Shared;
use crate::account::Organization;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;
use crate::usage::sums::Between;

#[derive(Serialize)]
struct Row {
    sub_account_id: String,
    sub_account_name: String,
    #[serde(flatten)]
    totals: Totals,
}

pub(crate) fn describe() -> Operation {
    let row = Totals::members()
        .with([("sub_account_id", schema::uuid()), ("sub_account_name", schema::text())]);
    Operation::new("Read the usage of all sub-accounts", "A row for each, also for idle ones.")
        .query(window::parameters())
        .query(super::parameters())
        .answers(StatusCode::OK, "The rows.", schema::list(row.named("CompatibilityUsageRow")))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let mut query = request.lenient_query();
    let shown = window::read(&mut query);
    let rows = rows(&mut query);
    query.finish()?;
    let id = request.access.organization()?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await.map_err(Problem::from)?;
    let organization = Organization::load(&mut connection, id).await?;
    let accounts = rows.accounts(&mut connection, &organization).await?;
    let (Some(first), Some(last)) = (accounts.first(), accounts.last()) else {
        return Ok(Answer::ok(&[(); 0])?);
    };
    let between = Between { organization: id, first: first.id, last: last.id };
    let mut reports = Reports::load(&mut connection, between, shown).await?;
    let rows = accounts.into_iter().map(|account| Row {
        sub_account_id: uuid::text(account.id),
        totals: reports.take(account.id),
        sub_account_name: account.name,
    });
    Ok(Answer::ok(&rows.collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Harness;
    use crate::testing::calls::{call, record};
    use crate::testing::compatibility::{account, uuid};

    #[tokio::test]
    async fn every_account_has_a_row_and_an_idle_one_a_row_of_zeros() {
        let harness = Harness::new().await;
        let none = harness.get(&harness.organization, "/sub-accounts/all/usage").await;
        assert_eq!((none.status, none.body), (200, json!([])));
        let idle = account(&harness, json!({"max_concurrency": 1})).await;
        let (busy, _) = harness.isolated(3).await;
        let call = call(busy.parse().expect("an id"), "one", None);
        harness.admit(&call, "0");
        harness.end(record(&call, "1.5", "1.5", 0));
        harness.plane.post_records(std::future::ready(())).await;

        let path = "/sub-accounts/all/usage?from=2020-01-01&to=2020-01-31";
        let before = harness.get(&harness.organization, path).await;
        let all = harness.get(&harness.organization, "/sub-accounts/all/usage").await;
        let rows = |body: &serde_json::Value| body.as_array().expect("a bare array").clone();
        let find = |body: &serde_json::Value, id: &str| {
            rows(body).into_iter().find(|row| row["sub_account_id"] == id).expect("a row")
        };
        assert_eq!((rows(&before.body).len(), rows(&all.body).len()), (2, 2));
        let busy = uuid(&busy);
        let row = find(&all.body, &busy);
        assert_eq!(
            (&row["sub_account_name"], &row["total_cost"]),
            (&json!("Acme Corp"), &json!(150.0))
        );
        assert_eq!(row["llm_cost_map"], json!({"unknown": 10.0}));
        for row in [find(&all.body, &idle.id), find(&before.body, &busy)] {
            assert_eq!((&row["total_records"], &row["total_cost"]), (&json!(0), &json!(0.0)));
            assert_eq!(row["status_map"], json!({}));
        }
        let page = harness
            .get(&harness.organization, "/sub-accounts/all/usage?page_number=2&page_size=1")
            .await;
        assert_eq!(rows(&page.body).len(), 1);
        assert_eq!(harness.get(&idle.key, "/sub-accounts/all/usage").await.status, 403);
    }
}
