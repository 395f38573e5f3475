//! The first start, and what each start sets: the first organization, the operator's key and the
//! organization's key. Generated secrets are handed to the caller once.

use hub::clock::now_us;
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use sqlx::{AnyConnection, Row as _};

use crate::account::RechargePolicy;
use crate::keys::{self, KeyType, NewKey, Origin};
use crate::organizations::create::{NewOrganization, insert};
use crate::settings::{FirstStart, OpenError, Settings};
use crate::store::Store;

/// Makes what is missing. `Some` at the first start.
pub(crate) async fn run(
    store: &Store,
    settings: &Settings,
) -> Result<Option<FirstStart>, OpenError> {
    let mut writing = store.write().await?;
    let connection = writing.connection();
    let now_us = now_us();
    let known = sqlx::query("SELECT value FROM installation WHERE name = 'first_organization'")
        .fetch_optional(&mut *connection)
        .await?;
    let (organization_id, first) = match known {
        Some(row) => {
            let id: String = row.try_get(0)?;
            (id.parse().map_err(|_| OpenError::Unreadable("a first organization"))?, false)
        }
        None => (first_organization(connection, settings, now_us).await?, true),
    };
    // A withdrawal that a crash cut off may have told the hub a later sequence than the ledger has.
    sqlx::query(
        "UPDATE wallets SET sequence = CASE WHEN sequence < $1 THEN $1 ELSE sequence + 2 END \
         WHERE account_id IN (SELECT id FROM organizations WHERE recharge_policy = 'transfer')",
    )
    .bind(now_us)
    .execute(&mut *connection)
    .await?;
    crate::wallets::withdrawing::overtake(connection, now_us).await?;
    let operator =
        StartKey { name: "operator_key", shown_name: "Operator key", scope: KeyScope::Operator };
    let owner = StartKey {
        name: "organization_key",
        shown_name: "Owner key",
        scope: KeyScope::Organization(organization_id),
    };
    let operator_key = operator.apply(connection, settings.operator_key.as_deref(), now_us).await?;
    let organization_key =
        owner.apply(connection, settings.organization_key.as_deref(), now_us).await?;
    writing.commit().await?;
    Ok(first.then_some(FirstStart { operator_key, organization_key, organization_id }))
}

async fn first_organization(
    connection: &mut AnyConnection,
    settings: &Settings,
    now_us: i64,
) -> Result<AccountId, OpenError> {
    let first = &settings.first_organization;
    let new = NewOrganization {
        name: first.name.clone(),
        total: first.concurrency_total,
        reserved: 0,
        outbound_cap: None,
        call_retention_days: None,
        currency: first.currency,
        default_rate: first.default_rate,
        recharge_policy: RechargePolicy::External,
        members_may_allocate: true,
        regions: None,
    };
    let (organization, _) = insert(connection, new, now_us).await.map_err(|problem| {
        tracing::error!(?problem, "the first organization cannot be made");
        OpenError::Unreadable("something in the way of a first organization")
    })?;
    sqlx::query("INSERT INTO installation (name, value) VALUES ('first_organization', $1)")
        .bind(organization.id.to_string())
        .execute(connection)
        .await?;
    Ok(organization.id)
}

/// One of the two keys that a start looks after.
struct StartKey {
    /// Of the setting.
    name: &'static str,
    shown_name: &'static str,
    scope: KeyScope,
}

impl StartKey {
    /// Puts the set key in the place of the former; generates one when there was none. Returns what
    /// was generated.
    async fn apply(
        &self,
        connection: &mut AnyConnection,
        set: Option<&str>,
        now_us: i64,
    ) -> Result<Option<String>, OpenError> {
        let (scope, account) = match self.scope {
            KeyScope::Organization(id) => ("organization", id.to_string()),
            KeyScope::Operator | KeyScope::Account(_) => ("operator", String::new()),
        };
        // The latest; one that was revoked or replaced by the API stands for itself.
        let latest = sqlx::query(
            "SELECT id, hash, revoked_us FROM keys WHERE origin = 'start' AND scope = $1 AND COALESCE(account_id, '') = $2 \
             ORDER BY CASE WHEN revoked_us IS NULL THEN 0 ELSE 1 END LIMIT 1",
        )
        .bind(scope)
        .bind(account)
        .fetch_optional(&mut *connection)
        .await?;
        let was_made = latest.is_some();
        let is_open = |row: &sqlx::any::AnyRow| {
            row.try_get::<Option<i64>, _>("revoked_us").is_ok_and(|us| us.is_none())
        };
        let former = latest.filter(is_open);
        let new = NewKey {
            scope: self.scope,
            organization: match self.scope {
                KeyScope::Organization(id) => Some(id),
                KeyScope::Operator | KeyScope::Account(_) => None,
            },
            name: self.shown_name,
            key_type: KeyType::Live,
            origin: Origin::Start,
            expires_us: None,
        };
        let Some(secret) = set else {
            return if was_made {
                Ok(None)
            } else {
                Ok(Some(keys::issue(connection, &new, now_us).await?.secret))
            };
        };
        let hash = keys::hex(KeyHash::of(secret.as_bytes()));
        if let Some(former) = former {
            if former.try_get::<String, _>("hash")? == hash {
                return Ok(None);
            }
            sqlx::query("UPDATE keys SET revoked_us = $1 WHERE id = $2")
                .bind(now_us)
                .bind(former.try_get::<String, _>("id")?)
                .execute(&mut *connection)
                .await?;
        }
        self.set(connection, &new, secret, &hash, now_us).await?;
        Ok(None)
    }

    /// Writes the set key, or brings it back if it was this key before.
    async fn set(
        &self,
        connection: &mut AnyConnection,
        new: &NewKey<'_>,
        secret: &str,
        hash: &str,
        now_us: i64,
    ) -> Result<(), OpenError> {
        let present = sqlx::query(
            "SELECT hash, scope, account_id, type, revoked_us, origin FROM keys WHERE hash = $1",
        )
        .bind(hash)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(present) = present else {
            keys::insert(connection, new, secret.to_owned(), now_us).await?;
            return Ok(());
        };
        let same = present.try_get::<Option<i64>, _>("revoked_us")?.is_some()
            && present.try_get::<String, _>("origin")? == "start"
            && opens(&present) == Some(self.scope);
        if !same {
            return Err(OpenError::KeyInUse { name: self.name });
        }
        sqlx::query("UPDATE keys SET revoked_us = NULL WHERE hash = $1")
            .bind(hash)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// What a key row opened before it was revoked.
fn opens(row: &sqlx::any::AnyRow) -> Option<KeyScope> {
    let account: Option<String> = row.try_get("account_id").ok()?;
    let (scope, key_type): (String, String) =
        (row.try_get("scope").ok()?, row.try_get("type").ok()?);
    crate::principal::scope(&scope, account.as_deref(), &key_type).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hub::directory::Change;
    use parking_lot::Mutex;

    use crate::settings::OpenError;
    use crate::testing::{Harness, open_hub, settings};
    use crate::{ControlPlane, Settings};

    const KEY_A: &str = "an-organization-key-of-32-characters";
    const KEY_B: &str = "another-organization-key-32-characters";

    type Spoil = fn(&mut Settings);

    /// Opens the harness's directory again, and says which of the keys open anything.
    async fn reopened(
        harness: Harness,
        organization_key: Option<&str>,
        keys: &[&str],
    ) -> (Harness, Vec<u16>) {
        let Harness {
            plane,
            router,
            directory,
            operator,
            organization,
            organization_id,
            heard,
            kept,
        } = harness;
        drop(router);
        plane.close().await;
        let mut settings = settings(&directory);
        settings.organization_key = organization_key.map(str::to_owned);
        let (plane, first) =
            ControlPlane::open(settings, open_hub(&directory)).await.expect("opens");
        assert!(first.is_none(), "only the first start is one");
        let router = plane.router();
        let harness = Harness {
            plane,
            router,
            operator,
            organization,
            organization_id,
            heard,
            directory,
            kept,
        };
        let mut statuses = Vec::new();
        for key in keys {
            statuses.push(harness.get(key, "/v1/organization").await.status);
        }
        (harness, statuses)
    }

    #[tokio::test]
    async fn a_set_key_replaces_the_former_one_and_stays_when_unset() {
        let mut harness = Harness::new().await;
        let generated = harness.organization.clone();
        let keys = [generated.as_str(), KEY_A, KEY_B];
        for (set, expected) in [
            (None, [200, 401, 401]),
            (Some(KEY_A), [401, 200, 401]),
            (Some(KEY_A), [401, 200, 401]),
            (Some(KEY_B), [401, 401, 200]),
            (None, [401, 401, 200]),
            (Some(KEY_A), [401, 200, 401]),
        ] {
            let (next, statuses) = reopened(harness, set, &keys).await;
            assert_eq!(statuses, expected, "{set:?}");
            harness = next;
        }
    }

    #[tokio::test]
    async fn a_start_makes_no_key_in_the_place_of_one_that_was_revoked() {
        let harness = Harness::new().await;
        let keys = "/v1/organization/api-keys";
        let made = serde_json::json!({"name": "another"});
        let made = harness.send(&harness.organization, "POST", keys, made).await;
        let other = crate::testing::text(&made.body["secret"]);
        let listed = harness.get(&other, keys).await;
        let first = crate::testing::text(&listed.body["data"][0]["id"]);
        let path = format!("{keys}/{first}");
        let gone = harness.send(&other, "DELETE", &path, serde_json::Value::Null).await;
        assert_eq!(gone.status, 204);
        let former = harness.organization.clone();
        let (harness, statuses) = reopened(harness, None, &[&former, &other]).await;
        assert_eq!(statuses, [401, 200]);
        let listed = harness.get(&other, keys).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1), "{}", listed.body);
    }

    #[tokio::test]
    async fn a_restart_tells_the_hub_everything_again() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(7).await;
        harness.recharge(&id, "3").await;
        let Harness { plane, router, directory, .. } = harness;
        drop(router);
        plane.close().await;
        let hub = open_hub(&directory);
        let heard: Arc<Mutex<Vec<Change>>> = Arc::default();
        let hearing = Arc::clone(&heard);
        hub.follow(move |change| hearing.lock().push(change.clone()));
        ControlPlane::open(settings(&directory), hub).await.expect("opens");
        let heard = heard.lock();
        let is =
            |wanted: &dyn Fn(&Change) -> bool| heard.iter().filter(|change| wanted(change)).count();
        assert_eq!(is(&|change| matches!(change, Change::Organization(_))), 1);
        assert_eq!(is(&|change| matches!(change, Change::Account(_))), 2);
        assert_eq!(is(&|change| matches!(change, Change::Key { .. })), 3);
        let escrow = |change: &Change| matches!(change, Change::Wallet(wallet) if wallet.escrow.micros() == 3_000_000);
        assert_eq!(is(&escrow), 1);
    }

    #[tokio::test]
    async fn settings_that_cannot_be_used_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let hub = open_hub(&directory);
        let changes: [(&str, Spoil); 4] = [
            ("operator_key", |settings| settings.operator_key = Some("short".into())),
            ("organization_key", |settings| {
                settings.operator_key = Some(KEY_A.into());
                settings.organization_key = Some(KEY_A.into());
            }),
            ("regions", |settings| settings.regions.clear()),
            ("posting_cpu_percent", |settings| settings.posting_cpu_percent = Some(101)),
        ];
        for (expected, change) in changes {
            let mut settings = settings(&directory);
            change(&mut settings);
            let refused = ControlPlane::open(settings, Arc::clone(&hub)).await.err();
            assert!(
                matches!(refused, Some(OpenError::Setting { name, .. }) if name == expected),
                "{expected}"
            );
        }
    }

    #[tokio::test]
    async fn a_set_key_that_is_another_key_is_refused() {
        let harness = Harness::new().await;
        let (_, account_key) = harness.isolated(1).await;
        let Harness { plane, router, directory, .. } = harness;
        drop(router);
        plane.close().await;
        let mut settings = settings(&directory);
        settings.organization_key = Some(account_key);
        let refused = ControlPlane::open(settings, open_hub(&directory)).await.err();
        assert!(matches!(refused, Some(OpenError::KeyInUse { name: "organization_key" })));
    }
}
