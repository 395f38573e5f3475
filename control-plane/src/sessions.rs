//! Sessions: who has signed in, shown by an opaque cookie that is stored as its hash. They end when
//! they are not used for a while, after a time in any case, and when the user says so.

use hub::clock::SECOND_US;
use hub::key::KeyHash;
use sqlx::{AnyConnection, Row as _};

use crate::delegations;
use crate::keys::hex;
use crate::problem::Problem;
use crate::users::User;

pub(crate) mod attempts;
pub(crate) mod cookie;
pub(crate) mod create;
pub(crate) mod end;

/// Without use a session ends after half a day.
const IDLE_US: i64 = 12 * 3_600 * SECOND_US;
/// However much it is used, it ends after a week.
const LIFE_US: i64 = 7 * 86_400 * SECOND_US;
/// Sessions that a user has at a time; the oldest make room.
const PER_USER_MAX: i64 = 50;
/// Ended sessions forgotten per sweep.
const SWEEP_MAX: i64 = 1_000;

/// A session that stands.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user: User,
    pub(crate) last_used_us: i64,
}

/// The session of a cookie, if it stands at `now_us`.
pub(crate) async fn find(
    connection: &mut AnyConnection,
    secret: &[u8],
    now_us: i64,
) -> Result<Option<Session>, Problem> {
    let row = sqlx::query(
        "SELECT s.id, s.last_used_us, u.id AS user_id, u.email, u.name AS user_name \
         FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.hash = $1 AND s.created_us > $2 AND s.last_used_us > $3",
    )
    .bind(hex(KeyHash::of(secret)))
    .bind(now_us.saturating_sub(LIFE_US))
    .bind(now_us.saturating_sub(IDLE_US))
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Session {
            id: row.try_get("id")?,
            user: User::of_row(&row)?,
            last_used_us: row.try_get("last_used_us")?,
        })
    })
    .transpose()
}

/// Ends all sessions of a user, and wherever it is by delegation.
pub(crate) async fn end_all(
    connection: &mut AnyConnection,
    user_id: &str,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    delegations::end_all(&mut *connection, user_id, now_us).await?;
    sqlx::query("DELETE FROM sessions WHERE user_id = $1")
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets sessions that have lived their time, at most a bounded number of them.
pub(crate) async fn sweep(connection: &mut AnyConnection, now_us: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM sessions WHERE id IN \
         (SELECT id FROM sessions WHERE created_us < $1 ORDER BY created_us LIMIT $2)",
    )
    .bind(now_us.saturating_sub(LIFE_US))
    .bind(SWEEP_MAX)
    .execute(connection)
    .await?;
    Ok(())
}
