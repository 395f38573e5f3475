//! Webhooks: what happens to an account, told to a URL that its administrators name, signed and sent
//! again as Standard Webhooks says (standardwebhooks.com). An event is stored with the change that
//! causes it, once for every webhook that wants it; `deliver` sends it, at least once. Nothing here
//! waits for a receiver, and none can hold up another's.

use hub::id::AccountId;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::description::schema::{self, Schema};
use crate::problem::{Kind, Problem};
use crate::timestamp;

pub(crate) mod create;
pub(crate) mod deliver;
pub(crate) mod deliveries;
pub(crate) mod event;
pub(crate) mod list;
mod network;
pub(crate) mod patch;
pub(crate) mod remove;
mod schedule;
mod send;
mod signature;
pub(crate) mod test;
mod values;

pub(crate) use event::{Event, EventKind};

/// Webhooks of one account.
const PER_ACCOUNT_MAX: i64 = 20;
/// Deliveries of one webhook that may wait; events beyond are dropped, and counted.
const PENDING_MAX: i64 = 10_000;

/// A webhook as it is stored.
#[derive(Clone)]
pub(crate) struct Webhook {
    id: String,
    account: AccountId,
    url: String,
    events: Vec<EventKind>,
    secret: String,
    is_active: bool,
    disabled_reason: Option<String>,
    failing_since_us: Option<i64>,
    pending: i64,
    dropped: i64,
    created_us: i64,
    updated_us: i64,
}

/// As answers show it; the secret is in the answer to its creation only.
#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    id: String,
    account: String,
    url: String,
    events: Vec<&'static str>,
    is_active: bool,
    /// Why it was switched off without being asked to; null otherwise.
    disabled_reason: Option<String>,
    /// Since when every attempt has failed; null when the last one did not.
    failing_since: Option<String>,
    /// Deliveries that wait, and events that were dropped because too many did.
    pending: i64,
    dropped: i64,
    created_at: String,
    updated_at: String,
}

impl Shown {
    fn members() -> Schema {
        schema::answered([
            ("id", schema::id("webhook")),
            ("account", schema::any_account_id()),
            ("url", schema::text().example("https://example.com/ringfence")),
            ("events", schema::list(values::kind())),
            ("is_active", schema::flag()),
            (
                "disabled_reason",
                schema::text()
                    .or_null()
                    .about("why it was switched off without being asked to; null otherwise"),
            ),
            (
                "failing_since",
                schema::time()
                    .or_null()
                    .about("since when every attempt has failed; null when the last one did not"),
            ),
            ("pending", schema::count().about("deliveries that wait")),
            ("dropped", schema::count().about("events that were not kept, since too many waited")),
            ("created_at", schema::time()),
            ("updated_at", schema::time()),
        ])
    }

    fn schema() -> Schema {
        Self::members().named("Webhook")
    }
}

const COLUMNS: &str = "SELECT id, account_id, url, events, secret, is_active, disabled_reason, failing_since_us, \
     pending, dropped, created_us, updated_us FROM webhooks";

impl Webhook {
    /// One of an account's own webhooks.
    async fn load(
        connection: &mut AnyConnection,
        account: AccountId,
        id: &str,
    ) -> Result<Self, Problem> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE id = $1 AND account_id = $2"
        )))
        .bind(id)
        .bind(account.to_string())
        .fetch_optional(connection)
        .await?;
        let unknown = || Problem::new(Kind::UnknownWebhook, "the account has no such webhook");
        Self::of_row(&row.ok_or_else(unknown)?)
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let account: String = row.try_get("account_id")?;
        Ok(Self {
            id: row.try_get("id")?,
            account: account.parse().map_err(Problem::internal)?,
            url: row.try_get("url")?,
            events: event::of_text(&row.try_get::<String, _>("events")?)?,
            secret: row.try_get("secret")?,
            is_active: row.try_get::<i64, _>("is_active")? != 0,
            disabled_reason: row.try_get("disabled_reason")?,
            failing_since_us: row.try_get("failing_since_us")?,
            pending: row.try_get("pending")?,
            dropped: row.try_get("dropped")?,
            created_us: row.try_get("created_us")?,
            updated_us: row.try_get("updated_us")?,
        })
    }

    /// Nothing is sent to one that is switched off.
    fn refuse_inactive(&self) -> Result<(), Problem> {
        if self.is_active {
            return Ok(());
        }
        Err(Problem::field("webhook_id", "the webhook is switched off: set is_active first"))
    }

    fn shown(&self) -> Shown {
        Shown {
            id: self.id.clone(),
            account: self.account.to_string(),
            url: self.url.clone(),
            events: self.events.iter().map(|kind| kind.name()).collect(),
            is_active: self.is_active,
            disabled_reason: self.disabled_reason.clone(),
            failing_since: self.failing_since_us.map(timestamp::text),
            pending: self.pending,
            dropped: self.dropped,
            created_at: timestamp::text(self.created_us),
            updated_at: timestamp::text(self.updated_us),
        }
    }
}

/// A new secret, in the form that the libraries of Standard Webhooks read.
fn new_secret() -> String {
    use base64::Engine as _;
    let random: [u8; 32] = rand::random();
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(random))
}

/// Removes the webhooks of an account that is being deleted, and everything about them.
pub(crate) async fn forget(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<(), Problem> {
    let ids = sqlx::query("SELECT id FROM webhooks WHERE account_id = $1")
        .bind(account.to_string())
        .fetch_all(&mut *connection)
        .await?;
    for row in ids {
        remove_one(connection, &row.try_get::<String, _>(0)?).await?;
    }
    Ok(())
}

async fn remove_one(connection: &mut AnyConnection, id: &str) -> Result<(), sqlx::Error> {
    for sql in [
        "DELETE FROM webhook_attempts WHERE delivery_id IN \
         (SELECT id FROM webhook_deliveries WHERE webhook_id = $1)",
        "DELETE FROM webhook_deliveries WHERE webhook_id = $1",
        "DELETE FROM webhooks WHERE id = $1",
    ] {
        sqlx::query(sql).bind(id).execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
