//! Mail that is to be sent: rows that say what about, and hold no secret. One that cannot be sent is
//! tried again, later each time, until its time is over.

use hub::clock::SECOND_US;
use sqlx::{AnyConnection, Row as _};

use crate::account::word;
use crate::id::new_id;
use crate::problem::Problem;

/// Mails that wait, at most; what comes then is not sent.
const WAITING_MAX: i64 = 10_000;
/// The pause after the first failure; each later one is twice as long, up to the greatest.
const PAUSE_US: i64 = 30 * SECOND_US;
const PAUSE_MAX_US: i64 = 3_600 * SECOND_US;
const HOUR_US: i64 = 3_600 * SECOND_US;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// About an invitation, named by its id.
    Invitation,
    /// About a forgotten password, named by the e-mail address.
    PasswordReset,
}

impl Kind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("invitation", Self::Invitation), ("password_reset", Self::PasswordReset)];

    /// How long after it was noted a mail is of use to anybody.
    const fn life_us(self) -> i64 {
        match self {
            Self::Invitation => 12 * HOUR_US,
            Self::PasswordReset => HOUR_US,
        }
    }
}

/// A mail whose turn it is.
pub(crate) struct Due {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) about: String,
    /// Whether it was the last time that it is tried.
    pub(crate) is_last: bool,
}

/// Notes that a mail is to be sent. The same that waits already is sent once.
pub(crate) async fn note(
    connection: &mut AnyConnection,
    kind: Kind,
    about: &str,
    now_us: i64,
) -> Result<(), Problem> {
    let count = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM mails")
        .fetch_one(&mut *connection)
        .await?;
    if count.try_get::<i64, _>(0)? >= WAITING_MAX {
        tracing::warn!(?kind, "{WAITING_MAX} mails wait to be sent; another one is not");
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO mails (id, kind, about, created_us, attempts, next_us) VALUES ($1, $2, $3, $4, 0, $4) \
         ON CONFLICT (kind, about) DO NOTHING",
    )
    .bind(new_id("mail", now_us))
    .bind(word(Kind::WORDS, &kind))
    .bind(about)
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether any mail's turn has come.
pub(crate) async fn is_due(connection: &mut AnyConnection, now_us: i64) -> Result<bool, Problem> {
    let due = sqlx::query("SELECT 1 FROM mails WHERE next_us <= $1 LIMIT 1")
        .bind(now_us)
        .fetch_optional(connection)
        .await?;
    Ok(due.is_some())
}

/// Takes a mail whose turn has come: for a while nobody else does.
pub(crate) async fn take(
    connection: &mut AnyConnection,
    now_us: i64,
) -> Result<Option<Due>, Problem> {
    let row = sqlx::query(
        "SELECT id, kind, about, attempts, created_us FROM mails WHERE next_us <= $1 ORDER BY next_us LIMIT 1",
    )
    .bind(now_us)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let attempts: i64 = row.try_get("attempts")?;
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    let next_us = now_us.saturating_add((PAUSE_US << doublings).min(PAUSE_MAX_US));
    let text: String = row.try_get("kind")?;
    let known = Kind::WORDS.iter().find(|(word, _)| *word == text);
    let kind = known.ok_or_else(|| Problem::internal("a mail of an unknown kind"))?.1;
    let due = Due {
        id: row.try_get("id")?,
        kind,
        about: row.try_get("about")?,
        is_last: next_us > row.try_get::<i64, _>("created_us")?.saturating_add(kind.life_us()),
    };
    sqlx::query("UPDATE mails SET attempts = $1, next_us = $2 WHERE id = $3")
        .bind(attempts + 1)
        .bind(next_us)
        .bind(due.id.as_str())
        .execute(connection)
        .await?;
    Ok(Some(due))
}

/// The mail was sent, or never will be.
pub(crate) async fn remove(connection: &mut AnyConnection, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM mails WHERE id = $1").bind(id).execute(connection).await?;
    Ok(())
}
