//! Invitations: a link, good once and for a week, by which whoever has an e-mail address becomes a
//! member of an account. The link is in one answer only, and another one for the same goes by mail;
//! stored are their hashes.

use hub::clock::SECOND_US;
use hub::id::AccountId;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::account::word;
use crate::description::schema::{self, Schema};
use crate::members;
use crate::permission::Role;
use crate::problem::{Kind, Problem};
use crate::timestamp;

pub(crate) mod accept;
pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

/// How long an invitation is good.
const LIFE_US: i64 = 7 * 86_400 * SECOND_US;
/// Invitations that an account may have open at a time.
const PER_ACCOUNT_MAX: i64 = 1_000;

/// An invitation as it is stored, without its token.
struct Invitation {
    id: String,
    account: AccountId,
    email: String,
    role: Role,
    created_us: i64,
    expires_us: i64,
}

/// The same, as it is shown.
#[derive(Serialize)]
struct Shown {
    invitation_id: String,
    account: String,
    email: String,
    role: &'static str,
    created_at: String,
    expires_at: String,
}

impl Shown {
    /// An object that is not a component yet.
    fn members() -> Schema {
        schema::answered([
            ("invitation_id", schema::id("invitation")),
            ("account", schema::any_account_id()),
            ("email", schema::text().example("ana@example.com")),
            ("role", schema::word(Role::WORDS)),
            ("created_at", schema::time()),
            ("expires_at", schema::time()),
        ])
    }
}

impl Invitation {
    /// From the columns `id, account_id, email, role, created_us, expires_us`.
    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.try_get("id")?,
            account: row.try_get::<String, _>("account_id")?.parse().map_err(Problem::internal)?,
            email: row.try_get("email")?,
            role: members::role(row.try_get("role")?)?,
            created_us: row.try_get("created_us")?,
            expires_us: row.try_get("expires_us")?,
        })
    }

    fn shown(&self) -> Shown {
        Shown {
            invitation_id: self.id.clone(),
            account: self.account.to_string(),
            email: self.email.clone(),
            role: word(Role::WORDS, &self.role),
            created_at: timestamp::text(self.created_us),
            expires_at: timestamp::text(self.expires_us),
        }
    }
}

/// Notes the link that is about to be mailed; the one that was answered stays good as well.
pub(crate) async fn note_mailed(
    connection: &mut AnyConnection,
    id: &str,
    hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE invitations SET mailed_hash = $1 WHERE id = $2")
        .bind(hash)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Refuses what would give an account a second Owner, or the same member twice.
async fn check_place(
    connection: &mut AnyConnection,
    account: AccountId,
    email: &str,
    role: Role,
) -> Result<(), Problem> {
    let rows = sqlx::query(
        "SELECT m.role, u.email FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.account_id = $1 AND (m.role = 'owner' OR u.email = $2)",
    )
    .bind(account.to_string())
    .bind(email)
    .fetch_all(connection)
    .await?;
    for row in rows {
        if row.try_get::<String, _>("email")? == email {
            return Err(Problem::new(Kind::AlreadyMember, "this e-mail is a member's already"));
        }
        if role == Role::Owner {
            return Err(Problem::new(
                Kind::OwnerExists,
                "the organization has an Owner, who can transfer the ownership to a member",
            ));
        }
    }
    Ok(())
}
