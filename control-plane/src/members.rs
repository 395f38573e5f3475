//! Memberships: which user is what in which account. Members of an organization and those of its
//! sub-accounts are separate.

use hub::id::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::account::word;
use crate::description::schema::{self, Schema};
use crate::permission::Role;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::timestamp;

pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod remove;
pub(crate) mod transfer;

/// Members of one account.
pub(crate) const MEMBERS_PER_ACCOUNT_MAX: i64 = 1_000;
/// Accounts that one user may be a member of.
pub(crate) const MEMBERSHIPS_PER_USER_MAX: i64 = 100;

/// A user's place in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) account: AccountId,
    pub(crate) account_name: String,
    pub(crate) role: Role,
}

/// A member, as those who administer the account see it.
#[derive(Serialize)]
struct Member {
    user_id: String,
    email: String,
    name: String,
    role: String,
    created_at: String,
}

/// The member that a path names.
#[derive(Deserialize)]
pub(crate) struct Named {
    user_id: String,
}

impl Member {
    fn schema() -> Schema {
        Self::members().named("Member")
    }

    fn members() -> Schema {
        schema::answered([
            ("user_id", schema::id("user")),
            ("email", schema::text().example("ana@example.com")),
            ("name", schema::text().example("Ana")),
            ("role", schema::word(Role::WORDS)),
            ("created_at", schema::time().about("since when")),
        ])
    }

    /// The tag of what it is in the account.
    fn tag(&self) -> Result<Tag, Problem> {
        Tag::of(&(&self.user_id, &self.role, &self.created_at))
    }

    /// From the columns `user_id, email, name, role, created_us`.
    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            role: row.try_get("role")?,
            created_at: timestamp::text(row.try_get("created_us")?),
        })
    }

    async fn load(
        connection: &mut AnyConnection,
        account: AccountId,
        user_id: &str,
    ) -> Result<Self, Problem> {
        let row = sqlx::query(
            "SELECT m.user_id, u.email, u.name, m.role, m.created_us \
             FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.account_id = $1 AND m.user_id = $2",
        )
        .bind(account.to_string())
        .bind(user_id)
        .fetch_optional(connection)
        .await?;
        let unknown = || Problem::new(Kind::UnknownMember, "the account has no such member");
        Self::of_row(&row.ok_or_else(unknown)?)
    }

    /// There is exactly one Owner, always.
    fn refuse_owner(&self) -> Result<(), Problem> {
        if self.role != word(Role::WORDS, &Role::Owner) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::OwnerRequired,
            "an organization has exactly one Owner: transfer the ownership to another member first",
        ))
    }
}

/// A membership, as its user sees it.
#[derive(Serialize)]
pub(crate) struct Shown {
    account: String,
    name: String,
    role: &'static str,
}

impl Shown {
    pub(crate) fn schema() -> Schema {
        schema::answered([
            ("account", schema::any_account_id()),
            ("name", schema::text().about("the account's").example("Acme Corp")),
            ("role", schema::word(Role::WORDS)),
        ])
        .named("Membership")
    }

    pub(crate) fn of(membership: &Membership) -> Self {
        Self {
            account: membership.account.to_string(),
            name: membership.account_name.clone(),
            role: word(Role::WORDS, &membership.role),
        }
    }
}

/// The memberships of a user in accounts that are not being deleted, oldest account first.
pub(crate) async fn of_user(
    connection: &mut AnyConnection,
    user_id: &str,
) -> Result<Vec<Membership>, Problem> {
    let rows = sqlx::query(
        "SELECT m.account_id, m.role, a.name FROM memberships m JOIN accounts a ON a.id = m.account_id \
         WHERE m.user_id = $1 AND a.status IN ('active', 'suspended') ORDER BY m.account_id LIMIT $2",
    )
    .bind(user_id)
    .bind(MEMBERSHIPS_PER_USER_MAX)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get("account_id")?;
            Ok(Membership {
                account: account.parse().map_err(Problem::internal)?,
                account_name: row.try_get("name")?,
                role: role(row.try_get("role")?)?,
            })
        })
        .collect()
}

/// Ends what people have in an account that is being deleted. Who is a member of nothing else is forgotten;
/// but who is named by a delegation is for as long as that is kept.
pub(crate) async fn forget(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<(), sqlx::Error> {
    let only_here = sqlx::query(
        "SELECT m.user_id FROM memberships m WHERE m.account_id = $1 AND NOT EXISTS \
         (SELECT 1 FROM memberships o WHERE o.user_id = m.user_id AND o.account_id <> $1) \
         AND NOT EXISTS (SELECT 1 FROM delegations d WHERE d.user_id = m.user_id)",
    )
    .bind(account.to_string())
    .fetch_all(&mut *connection)
    .await?;
    for sql in [
        "DELETE FROM memberships WHERE account_id = $1",
        "DELETE FROM invitations WHERE account_id = $1",
    ] {
        sqlx::query(sql).bind(account.to_string()).execute(&mut *connection).await?;
    }
    for row in only_here {
        for sql in [
            "DELETE FROM sessions WHERE user_id = $1",
            "DELETE FROM user_tokens WHERE user_id = $1",
            "DELETE FROM password_resets WHERE user_id = $1",
            "DELETE FROM users WHERE id = $1",
        ] {
            let user: String = row.try_get(0)?;
            sqlx::query(sql).bind(user).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Reads the role of a row.
pub(crate) fn role(word: &str) -> Result<Role, Problem> {
    let known = Role::WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, role)| *role).ok_or_else(|| Problem::internal("a membership of an unknown role"))
}
