//! API tokens of users: what a user's programs show in its place. A token acts with the roles of its
//! user, or reads with them only; it always ends by itself. Stored is its hash. Tokens are made and
//! revoked by a session, never by a token, so that one that is lost cannot live on in others.

use hub::clock::SECOND_US;
use hub::key::KeyHash;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::access::Reach;
use crate::account::word;
use crate::description::schema::{self, Schema};
use crate::keys::hex;
use crate::problem::Problem;
use crate::timestamp;
use crate::users::User;

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

/// What every token begins with: no key does.
pub(crate) const PREFIX: &str = "rf_user_";
/// How long a token lives that was not told, and the longest that it may.
const LIFE_US: i64 = 90 * 86_400 * SECOND_US;
const LIFE_DAYS_MAX: i64 = 366;
/// Tokens that a user may have at a time.
const PER_USER_MAX: i64 = 100;
/// Expired tokens forgotten per sweep.
const SWEEP_MAX: i64 = 1_000;
/// The columns that [`Shown::of_row`] reads.
const COLUMNS: &str = "id, name, access, last4, created_us, expires_us, last_used_us";

/// A token as it is shown after its creation.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    token_id: String,
    name: String,
    access: String,
    last4: String,
    created_at: String,
    expires_at: String,
    /// To the minute.
    last_used_at: Option<String>,
}

/// A token that stands.
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) user: User,
    pub(crate) reach: Reach,
    pub(crate) last_used_us: Option<i64>,
}

impl Shown {
    fn members() -> Schema {
        schema::answered([
            ("token_id", schema::id("token")),
            ("name", schema::text().example("Nightly report")),
            ("access", schema::word(Reach::WORDS)),
            ("last4", schema::text().about("the end of its secret").example("b0dC")),
            ("created_at", schema::time()),
            ("expires_at", schema::time()),
            ("last_used_at", schema::time().or_null().about("to the minute")),
        ])
    }

    /// From [`COLUMNS`].
    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            token_id: row.try_get("id")?,
            name: row.try_get("name")?,
            access: row.try_get("access")?,
            last4: row.try_get("last4")?,
            created_at: timestamp::text(row.try_get("created_us")?),
            expires_at: timestamp::text(row.try_get("expires_us")?),
            last_used_at: row.try_get::<Option<i64>, _>("last_used_us")?.map(timestamp::text),
        })
    }
}

/// The token of a secret, if it stands at `now_us`.
pub(crate) async fn find(
    connection: &mut AnyConnection,
    secret: &[u8],
    now_us: i64,
) -> Result<Option<Token>, Problem> {
    if !secret.starts_with(PREFIX.as_bytes()) {
        return Ok(None);
    }
    let row = sqlx::query(
        "SELECT t.id, t.access, t.last_used_us, u.id AS user_id, u.email, u.name AS user_name \
         FROM user_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1 AND t.expires_us > $2",
    )
    .bind(hex(KeyHash::of(secret)))
    .bind(now_us)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let writes = row.try_get::<String, _>("access")? == word(Reach::WORDS, &Reach::Write);
        Ok(Token {
            id: row.try_get("id")?,
            user: User::of_row(&row)?,
            reach: if writes { Reach::Write } else { Reach::Read },
            last_used_us: row.try_get("last_used_us")?,
        })
    })
    .transpose()
}

/// Ends all tokens of a user.
pub(crate) async fn end_all(
    connection: &mut AnyConnection,
    user_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM user_tokens WHERE user_id = $1")
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets tokens that have expired, at most a bounded number of them.
pub(crate) async fn sweep(connection: &mut AnyConnection, now_us: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM user_tokens WHERE id IN \
         (SELECT id FROM user_tokens WHERE expires_us <= $1 ORDER BY expires_us LIMIT $2)",
    )
    .bind(now_us)
    .bind(SWEEP_MAX)
    .execute(connection)
    .await?;
    Ok(())
}
