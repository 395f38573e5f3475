//! The sum of the floors of an organization's accounts, kept in its row: every write of an account moves it
//! in the same transaction.

use hub::id::AccountId;
use sqlx::{AnyConnection, Row as _};

use super::Account;
use crate::problem::Problem;

/// The floors of all accounts of an organization but one: what an allocation is checked with.
pub(crate) async fn of_others(
    connection: &mut AnyConnection,
    organization: AccountId,
    but: AccountId,
) -> Result<u64, Problem> {
    let row = sqlx::query(
        "SELECT floors - COALESCE((SELECT floor FROM accounts WHERE id = $2 \
         AND status IN ('active', 'suspended')), 0) FROM organizations WHERE id = $1",
    )
    .bind(organization.to_string())
    .bind(but.to_string())
    .fetch_one(connection)
    .await?;
    u64::try_from(row.try_get::<i64, _>(0)?).map_err(Problem::internal)
}

/// The account is being made, or gets another floor than its row has.
pub(super) async fn set(
    connection: &mut AnyConnection,
    account: &Account,
) -> Result<(), sqlx::Error> {
    write(connection, account.id, account.organization, i64::from(account.floor)).await
}

/// The account is being deleted: its floor is free. Before its status says so.
pub(crate) async fn free(
    connection: &mut AnyConnection,
    id: AccountId,
    organization: AccountId,
) -> Result<(), sqlx::Error> {
    write(connection, id, organization, 0).await
}

async fn write(
    connection: &mut AnyConnection,
    id: AccountId,
    organization: AccountId,
    floor: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE organizations SET floors = floors + $1 - COALESCE((SELECT floor FROM accounts \
         WHERE id = $2 AND status IN ('active', 'suspended')), 0) WHERE id = $3",
    )
    .bind(floor)
    .bind(id.to_string())
    .bind(organization.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sqlx::Row as _;

    use crate::testing::{Harness, text};

    /// What is kept, and what the accounts have.
    async fn sums(harness: &Harness) -> (i64, i64) {
        let mut connection = harness.plane.app.store.read().await.expect("a connection");
        let row = sqlx::query(
            "SELECT floors, (SELECT CAST(COALESCE(SUM(floor), 0) AS BIGINT) FROM accounts \
             WHERE organization_id = organizations.id AND status IN ('active', 'suspended')) \
             FROM organizations WHERE id = $1",
        )
        .bind(harness.organization_id.as_str())
        .fetch_one(&mut *connection)
        .await
        .expect("an organization");
        (row.try_get(0).expect("a number"), row.try_get(1).expect("a number"))
    }

    #[tokio::test]
    async fn the_sum_follows_every_account() {
        let harness = Harness::new().await;
        let key = &harness.organization;
        let reserve = json!({"reserved_concurrency": 4});
        harness.send(key, "PATCH", "/v1/organization", reserve).await;
        assert_eq!(sums(&harness).await, (4, 4));
        let body = json!({"name": "One", "min_concurrency": 7});
        let made = harness.send(key, "POST", "/v1/sub-accounts", body).await;
        let path = format!("/v1/sub-accounts/{}", text(&made.body["sub_account_id"]));
        let body = json!({"name": "Two", "concurrency_limit": 2});
        harness.send(key, "POST", "/v1/workspaces", body).await;
        assert_eq!(sums(&harness).await, (13, 13));
        harness.send(key, "PATCH", &path, json!({"min_concurrency": 3})).await;
        harness.send(key, "PATCH", &path, json!({"name": "Uno"})).await;
        harness.send(key, "POST", &format!("{path}/suspend"), json!({})).await;
        assert_eq!(sums(&harness).await, (9, 9));
        let refused = harness.send(key, "PATCH", &path, json!({"min_concurrency": 1_000})).await;
        assert_eq!((refused.status, sums(&harness).await), (409, (9, 9)));
        assert_eq!(harness.send(key, "DELETE", &path, Value::Null).await.status, 204);
        assert_eq!(sums(&harness).await, (6, 6));
    }
}
