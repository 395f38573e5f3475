//! Delegations: an Owner or Admin of an organization in one of its accounts, for a reason that is
//! written down, for half an hour, to read, or to change things as well. Keys and people of the account
//! stay out of reach, and nobody comes further from there. A delegation has no secret: its user names
//! it by the header `Ringfence-Delegation`, and it is good while that user may open one.

use hub::clock::SECOND_US;
use hub::id::AccountId;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::App;
use crate::access::{Access, Reach};
use crate::account::word;
use crate::answer::Answer;
use crate::description::schema::{self, Schema};
use crate::problem::{Kind, Problem};
use crate::timestamp;

pub(crate) mod end;
pub(crate) mod list;
pub(crate) mod open;

/// Names the delegation that a user acts under.
pub(crate) const HEADER: &str = "ringfence-delegation";
/// How long a delegation lasts.
const LIFE_US: i64 = 30 * 60 * SECOND_US;
/// Open ones that a user may have at a time.
const PER_USER_MAX: i64 = 20;
/// How long they are listed; the audit keeps what was done.
const KEPT_US: i64 = 90 * 86_400 * SECOND_US;
/// Old ones forgotten per sweep.
const SWEEP_MAX: i64 = 1_000;
/// What [`Shown::of_row`] reads; conditions follow.
const SELECT: &str = "SELECT d.id, d.account_id, d.user_id, u.name AS user_name, d.access, d.reason, \
     d.created_us, d.expires_us, d.ended_us FROM delegations d JOIN users u ON u.id = d.user_id";

/// A delegation that stands, of the user who names it.
#[derive(Clone, Debug)]
pub(crate) struct Delegation {
    pub(crate) id: String,
    pub(crate) account: AccountId,
    pub(crate) organization: AccountId,
    pub(crate) reach: Reach,
}

/// A delegation as both sides see it.
#[derive(Serialize)]
struct Shown {
    delegation_id: String,
    account: String,
    user_id: String,
    user_name: String,
    access: String,
    reason: String,
    opened_at: String,
    expires_at: String,
    /// Where somebody ended it before its time was over.
    ended_at: Option<String>,
}

impl Shown {
    fn schema() -> Schema {
        schema::answered([
            ("delegation_id", schema::id("delegation")),
            ("account", schema::any_account_id()),
            ("user_id", schema::text().about("who is there")),
            ("user_name", schema::text()),
            ("access", schema::word(Reach::WORDS)),
            ("reason", schema::text()),
            ("opened_at", schema::time()),
            ("expires_at", schema::time()),
            (
                "ended_at",
                schema::time().or_null().about("where somebody ended it before its time was over"),
            ),
        ])
        .named("Delegation")
    }

    /// From [`SELECT`].
    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            delegation_id: row.try_get("id")?,
            account: row.try_get("account_id")?,
            user_id: row.try_get("user_id")?,
            user_name: row.try_get("user_name")?,
            access: row.try_get("access")?,
            reason: row.try_get("reason")?,
            opened_at: timestamp::text(row.try_get("created_us")?),
            expires_at: timestamp::text(row.try_get("expires_us")?),
            ended_at: row.try_get::<Option<i64>, _>("ended_us")?.map(timestamp::text),
        })
    }
}

/// The delegation of this id, if it is the user's and stands at `now_us`. Whether the user may still
/// have one is for the caller to see.
pub(crate) async fn find(
    connection: &mut AnyConnection,
    id: &str,
    user_id: &str,
    now_us: i64,
) -> Result<Option<Delegation>, Problem> {
    let row = sqlx::query(
        "SELECT d.account_id, a.organization_id, d.access \
         FROM delegations d JOIN accounts a ON a.id = d.account_id \
         WHERE d.id = $1 AND d.user_id = $2 AND d.ended_us IS NULL AND d.expires_us > $3 \
         AND a.status IN ('active', 'suspended')",
    )
    .bind(id)
    .bind(user_id)
    .bind(now_us)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let account = |column| -> Result<AccountId, Problem> {
            row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
        };
        let writes = row.try_get::<String, _>("access")? == word(Reach::WORDS, &Reach::Write);
        Ok(Delegation {
            id: id.to_owned(),
            account: account("account_id")?,
            organization: account("organization_id")?,
            reach: if writes { Reach::Write } else { Reach::Read },
        })
    })
    .transpose()
}

/// What the audit says of something that was read.
#[derive(Serialize)]
struct Read<'a> {
    path: &'a str,
}

/// Notes in the audit that something is read under a delegation: changes have entries of their own.
pub(crate) async fn note_read(app: &App, access: &Access, path: &str) -> Result<(), Problem> {
    let Some(delegation) = access.principal.delegation() else { return Ok(()) };
    let mut change = app.begin_as(access).await?;
    let organization = Some(delegation.organization);
    let read = Read { path };
    change
        .audit(organization, "delegation.read", &delegation.id, None::<&Read>, Some(&read))
        .await?;
    change.commit(Answer::no_content()).await?;
    Ok(())
}

/// Ends all delegations of a user.
pub(crate) async fn end_all(
    connection: &mut AnyConnection,
    user_id: &str,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE delegations SET ended_us = $1 WHERE user_id = $2 AND ended_us IS NULL AND expires_us > $1")
        .bind(now_us)
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets old delegations, at most a bounded number of them.
pub(crate) async fn sweep(connection: &mut AnyConnection, now_us: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM delegations WHERE id IN \
         (SELECT id FROM delegations WHERE created_us < $1 ORDER BY created_us LIMIT $2)",
    )
    .bind(now_us.saturating_sub(KEPT_US))
    .bind(SWEEP_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

/// The delegation that is named does not stand, or is somebody else's.
pub(crate) fn not_standing() -> Problem {
    Problem::unauthenticated_because(
        "the delegation has ended, or its user may not have one any more: leave Ringfence-Delegation out, or open another",
    )
}

fn unknown() -> Problem {
    Problem::new(Kind::UnknownDelegation, "the account has no such open delegation")
}
