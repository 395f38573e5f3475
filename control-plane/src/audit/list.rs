//! `GET /v1/audit` and `GET /v1/sub-accounts/{id}/audit`: who changed what, latest first.
//! `Accept: application/x-ndjson` asks for the export instead.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::StatusCode;

use super::entry::{Filter, Shown, select};
use super::export;
use crate::Shared;
use crate::answer::{self, Answer};
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::Bound;

pub(crate) fn describe_organization() -> Operation {
    describe("Read the organization's audit", Filter::parameters(true))
}

pub(crate) fn describe_sub_account() -> Operation {
    describe("Read a sub-account's audit", Filter::parameters(false))
}

fn describe(summary: &'static str, filters: Vec<(&'static str, Schema)>) -> Operation {
    Operation::new(
        summary,
        "Who changed what, latest first. As `application/x-ndjson` it is the export.",
    )
    .query(filters)
    .query(schema::window())
    .answers_as(
        StatusCode::OK,
        "A page.",
        [("application/json", schema::page(Shown::schema())), (export::MEDIA_TYPE, schema::text())],
    )
}

pub(crate) async fn handle(
    state: State<Shared>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    if answer::accepts(&headers, export::MEDIA_TYPE) {
        return export::handle(state, request).await;
    }
    let mut query = request.query();
    let filter = Filter::read(&mut query);
    let window = page::window(&mut query);
    let before = window.after().map(str::parse::<i64>);
    if matches!(before, Some(Err(_))) {
        query.refuse("cursor", "expected a next_cursor of an earlier answer");
    }
    query.finish()?;
    let mut conditions = filter.conditions(&request)?;
    if let Some(Ok(before)) = before {
        conditions.and("a.sequence < ?", [Bound::Int(before)]);
    }
    let mut connection = state.store.read().await?;
    let tail = format!("ORDER BY a.sequence DESC LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, &select(), &tail).await?;
    let entries = rows.iter().map(Shown::of_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Answer::ok(&Page::of(entries, &window, |entry| entry.sequence.to_string()))?.into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Harness, named, text};

    async fn actions(harness: &Harness, path: &str) -> Vec<String> {
        let page = harness.get(&harness.organization, path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        let entries = page.body["data"].as_array().expect("a list").clone();
        entries.iter().map(|entry| text(&entry["action"])).collect()
    }

    #[tokio::test]
    async fn what_concerns_an_account_is_read_by_its_parent_and_what_concerns_others_is_not_there()
    {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(2).await;
        let (other, _) = harness.isolated(1).await;
        harness.recharge(&id, "5").await;
        let path = format!("/v1/sub-accounts/{id}");
        let body = json!({"name": "k", "type": "live"});
        harness.send(&harness.organization, "POST", &format!("{path}/api-keys"), body).await;
        let all = actions(&harness, "/v1/audit").await;
        let expected =
            ["api_key.created", "wallet.recharged", "sub_account.created", "sub_account.created"];
        assert_eq!(all, expected);
        let own = actions(&harness, &format!("{path}/audit")).await;
        assert_eq!(own, ["api_key.created", "wallet.recharged", "sub_account.created"]);
        assert_eq!(actions(&harness, &format!("/v1/sub-accounts/{other}/audit")).await.len(), 1);
        assert_eq!(harness.get(&key, &format!("{path}/audit")).await.status, 403);
        let shown = harness.get(&harness.organization, &format!("{path}/audit?limit=1")).await;
        let entry = &shown.body["data"][0];
        assert_eq!((&entry["sequence"], &entry["account"]), (&json!(4), &json!(id)));
        assert_eq!((&entry["before"], &entry["after"]["name"]), (&Value::Null, &json!("k")));
        assert_eq!(entry["seal"], Value::Null);
        assert!(!shown.body.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn filters_and_cursors_select_what_they_say() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(2).await;
        harness.isolated(1).await;
        let path = format!("/v1/organizations/{}/wallet/recharge", harness.organization_id);
        let money = json!({"amount": 1, "currency": "INR"});
        harness.send(&harness.operator, "POST", &path, money).await;
        for (query, count) in [
            ("action=sub_account", 2),
            ("action=sub_account.created", 2),
            ("action=sub_accoun_", 0),
            ("actor=operator", 1),
            ("actor=%25", 0),
            (&format!("actor={}", harness.organization_id), 2),
            (&format!("subject={id}"), 1),
            (&format!("account={id}&action=wallet"), 0),
            ("to=2020-01-01", 0),
            ("from=2020-01-01", 3),
        ] {
            let found = actions(&harness, &format!("/v1/audit?{query}")).await;
            assert_eq!(found.len(), count, "{query}: {found:?}");
        }
        let first = harness.get(&harness.organization, "/v1/audit?limit=2").await;
        let cursor = text(&first.body["next_cursor"]);
        let rest = actions(&harness, &format!("/v1/audit?limit=2&cursor={cursor}")).await;
        assert_eq!(rest, ["sub_account.created"]);
        let refused =
            harness.get(&harness.organization, "/v1/audit?actor=&cursor=eA&from=x&colour=1").await;
        assert_eq!(named(&refused.body), ["actor", "from", "cursor", "colour"]);
    }

    #[tokio::test]
    async fn an_operator_names_the_organization_and_no_organization_sees_another() {
        let harness = Harness::new().await;
        harness.isolated(1).await;
        let body = json!({"name": "Other", "concurrency_total": 10, "currency": "USD"});
        let other = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
        let (other_id, other_key) =
            (text(&other.body["organization_id"]), text(&other.body["api_key"]));
        let page = harness.get(&other_key, "/v1/audit").await;
        assert_eq!(page.body["data"].as_array().map(Vec::len), Some(1));
        assert_eq!(page.body["data"][0]["sequence"], json!(1));
        let named_other = format!("/v1/audit?organization_id={other_id}");
        assert_eq!(harness.get(&harness.organization, &named_other).await.status, 404);
        let seen = harness.get(&harness.operator, &named_other).await;
        assert_eq!(seen.body, page.body);
        assert_eq!(harness.get(&harness.operator, "/v1/audit").await.status, 400);
    }
}
