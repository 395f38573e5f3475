//! `GET /sub-accounts/all`: the sub-accounts of the organization, oldest first, as a bare array. Keys
//! are kept as hashes, so `api_key` comes back masked.

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountId;
use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use super::refusal::Refusal;
use super::{Slots, rows, uuid};
use crate::Shared;
use crate::account::Organization;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    organization_id: String,
    /// Null when every live key is revoked.
    api_key: Option<String>,
    multi_tenant: bool,
    #[serde(flatten)]
    slots: Slots,
}

pub(crate) fn describe() -> Operation {
    let shown = schema::answered([
        ("id", schema::uuid()),
        ("name", schema::text()),
        ("organization_id", schema::uuid()),
        (
            "api_key",
            schema::pattern(r"^sa-[*]+.{4}$").or_null().about("masked: keys are stored as hashes"),
        ),
        ("multi_tenant", schema::flag()),
    ])
    .with(Slots::members());
    Operation::new("List sub-accounts", "Oldest first, as a bare array.")
        .query(super::parameters())
        .answers(
            StatusCode::OK,
            "The sub-accounts.",
            schema::list(shown.named("CompatibilitySubAccount")),
        )
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let mut query = request.lenient_query();
    let rows = rows(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await.map_err(Problem::from)?;
    let organization = Organization::load(&mut connection, request.access.organization()?).await?;
    let accounts = rows.accounts(&mut connection, &organization).await?;
    let mut keys = HashMap::new();
    if let (Some(first), Some(last)) = (accounts.first(), accounts.last()) {
        keys = masked_keys(&mut connection, organization.id, first.id, last.id).await?;
    }
    let shown = accounts.into_iter().map(|account| Shown {
        id: uuid::text(account.id),
        organization_id: uuid::text(organization.id),
        api_key: keys.remove(&account.id),
        multi_tenant: false,
        slots: Slots::of(&account, &organization),
        name: account.name,
    });
    Ok(Answer::ok(&shown.collect::<Vec<_>>())?)
}

/// The oldest live key of each account from `first` to `last`: of whatever form it is, its last four
/// characters are shown.
async fn masked_keys(
    connection: &mut AnyConnection,
    organization: AccountId,
    first: AccountId,
    last: AccountId,
) -> Result<HashMap<AccountId, String>, Problem> {
    let rows = sqlx::query(
        "SELECT account_id, last4 FROM keys WHERE id IN (SELECT MIN(id) FROM keys \
         WHERE account_id >= $1 AND account_id <= $2 AND type = 'live' AND revoked_us IS NULL \
         AND (expires_us IS NULL OR expires_us > $4) \
         AND account_id IN (SELECT id FROM accounts WHERE organization_id = $3) GROUP BY account_id)",
    )
    .bind(first.to_string())
    .bind(last.to_string())
    .bind(organization.to_string())
    .bind(hub::clock::now_us())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get("account_id")?;
            let last4: String = row.try_get("last4")?;
            Ok((account.parse().map_err(Problem::internal)?, format!("sa-{last4:*>32}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::compatibility::account;
    use crate::testing::{Harness, text};

    #[tokio::test]
    async fn accounts_of_both_surfaces_are_listed_with_their_keys_masked() {
        let harness = Harness::new().await;
        let empty = harness.get(&harness.organization, "/sub-accounts/all").await;
        assert_eq!((empty.status, empty.body), (200, json!([])));
        let made = account(&harness, json!({"min_concurrency": 1})).await;
        let (id, key) = harness.isolated(3).await;
        let json = [("content-type", "application/json")];
        let listed = harness
            .send_with(&harness.organization, "GET", "/sub-accounts/all", &json, Vec::new())
            .await;
        let list = listed.body.as_array().expect("a bare array");
        let find = |id: &str| list.iter().find(|shown| shown["id"] == id).expect("listed");
        let (here, there) = (find(&made.id), find(&crate::testing::compatibility::uuid(&id)));
        let names: Vec<&str> = here.as_object().expect("one").keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "allow_concurrent_calls",
                "api_key",
                "id",
                "max_concurrency",
                "min_concurrency",
                "multi_tenant",
                "name",
                "organization_id"
            ]
        );
        assert_eq!(here["allow_concurrent_calls"], json!(100));
        assert_eq!(
            (&here["max_concurrency"], &there["max_concurrency"]),
            (&Value::Null, &json!(3))
        );
        let masked = text(&here["api_key"]);
        assert_eq!(masked, format!("sa-{}{}", "*".repeat(28), &made.key[31..]));
        assert!(text(&there["api_key"]).ends_with(&key[key.len() - 4..]));
        let said = String::from_utf8_lossy(&listed.bytes).into_owned();
        assert!(!said.contains(&made.key) && !said.contains(&key));
        assert_eq!(harness.get(&made.key, "/sub-accounts/all").await.status, 403);
    }

    #[tokio::test]
    async fn pages_are_bare_arrays_too() {
        let harness = Harness::new().await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(account(&harness, json!({"max_concurrency": 1})).await.id);
        }
        made.sort();
        let mut seen = Vec::new();
        for (number, count) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
            let path = format!("/sub-accounts/all?page_number={number}&page_size=2&sort=name");
            let page = harness.get(&harness.organization, &path).await;
            let page = page.body.as_array().expect("a bare array").clone();
            assert_eq!(page.len(), count);
            seen.extend(page.iter().map(|shown| text(&shown["id"])));
        }
        assert_eq!(seen, made);
        let refused = harness.get(&harness.organization, "/sub-accounts/all?page_size=0").await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!(400)));
    }
}
