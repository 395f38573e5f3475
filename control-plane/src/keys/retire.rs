//! Retires keys whose time is over: they open nothing from their expiry on, here and at gateways, by
//! comparison with the clock; this takes them out of what gateways know, and says so in the audit.

use hub::clock::now_us;
use hub::directory::Change as Published;
use hub::id::AccountId;
use sqlx::{AssertSqlSafe, Row as _};

use super::{COLUMNS, Shown};
use crate::App;
use crate::answer::Answer;
use crate::problem::Problem;

/// Keys of one transaction.
const BATCH_MAX: usize = 100;

/// Retires some of the keys that have expired; true when there may be more.
pub(crate) async fn some(app: &App) -> Result<bool, Problem> {
    let is_due = {
        let mut connection = app.store.read().await?;
        sqlx::query("SELECT 1 FROM keys WHERE revoked_us IS NULL AND expires_us <= $1 LIMIT 1")
            .bind(now_us())
            .fetch_optional(&mut *connection)
            .await?
            .is_some()
    };
    if !is_due {
        return Ok(false);
    }
    let mut change = app.begin_own().await?;
    let now_us = change.now_us;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "UPDATE keys SET revoked_us = expires_us WHERE id IN \
         (SELECT id FROM keys WHERE revoked_us IS NULL AND expires_us <= $1 ORDER BY expires_us LIMIT {BATCH_MAX}) \
         RETURNING hash, account_id, {COLUMNS}, \
         (SELECT a.organization_id FROM accounts a WHERE a.id = keys.account_id) AS organization_id"
    )))
    .bind(now_us)
    .fetch_all(change.connection())
    .await?;
    for row in &rows {
        let id = |column| -> Result<Option<AccountId>, Problem> {
            let id: Option<String> = row.try_get(column)?;
            id.map(|id| id.parse().map_err(Problem::internal)).transpose()
        };
        let organization = id("organization_id")?;
        let hash = super::of_hex(&row.try_get::<String, _>("hash")?)?;
        change.publish(Published::KeyGone { hash, organization });
        change.concern(id("account_id")?);
        let shown = Shown::of_row(row)?;
        change
            .audit(organization, "api_key.expired", &shown.id, Some(&shown), None::<&Shown>)
            .await?;
    }
    change.commit(Answer::no_content()).await?;
    Ok(rows.len() == BATCH_MAX)
}

#[cfg(test)]
mod tests {
    use hub::directory::Change;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Harness, text};

    #[tokio::test]
    async fn an_expired_key_opens_nothing_and_is_retired_once() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}");
        assert!(!some(&harness.plane.app).await.expect("nothing to do"));
        harness.execute("UPDATE keys SET expires_us = 1 WHERE scope = 'account'").await;
        assert_eq!(harness.get(&key, &path).await.status, 401, "before it is retired");
        let listed = harness.get(&harness.organization, &format!("{path}/api-keys")).await;
        assert_eq!(listed.body["data"], json!([]));
        some(&harness.plane.app).await.expect("retired");
        some(&harness.plane.app).await.expect("nothing left");
        assert_eq!(harness.audit("api_key").await, ["expired"]);
        let shown = harness.get(&harness.organization, &format!("{path}/audit?limit=1")).await;
        let entry = &shown.body["data"][0];
        assert_eq!((&entry["actor"], &entry["account"]), (&json!("ringfence"), &json!(id)));
        let is_gone = |change: &Change| matches!(change, Change::KeyGone { .. });
        assert_eq!(harness.heard.lock().iter().filter(|change| is_gone(change)).count(), 1);
        assert_eq!(harness.get(&key, &path).await.status, 401);
    }

    #[tokio::test]
    async fn an_expiry_is_checked_and_shown() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        for bad in [json!("2020-01-01"), json!(7), json!("never")] {
            let body = json!({"name": "k", "expires_at": bad});
            let refused = harness.send(&harness.organization, "POST", &path, body).await;
            assert_eq!(
                (refused.status, crate::testing::named(&refused.body)),
                (400, vec!["expires_at".to_owned()])
            );
        }
        let body = json!({"name": "k", "expires_at": null});
        let made = harness.send(&harness.organization, "POST", &path, body).await;
        assert_eq!((made.status, &made.body["expires_at"]), (201, &Value::Null));
        assert_eq!(
            harness
                .get(&text(&made.body["secret"]), &format!("/v1/sub-accounts/{id}"))
                .await
                .status,
            200
        );
    }
}
