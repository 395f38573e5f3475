//! Users: people with an e-mail address and a password, known to the whole installation. What they
//! may do comes from their memberships.

use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::description::schema::{self, Schema};
use crate::fields::{Raw, values};
use crate::problem::Problem;
use crate::{members, resets};

pub(crate) mod change_password;
pub(crate) mod me;
pub(crate) mod password;

/// The longest e-mail address and its longest local part, in bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;
const LOCAL_PART_BYTES_MAX: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
}

/// A user as it is shown to itself.
#[derive(Serialize)]
pub(crate) struct Shown {
    user_id: String,
    email: String,
    name: String,
    memberships: Vec<members::Shown>,
}

impl User {
    /// From the columns `user_id, email, user_name`.
    pub(crate) fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.try_get("user_id")?,
            email: row.try_get("email")?,
            name: row.try_get("user_name")?,
        })
    }
}

impl Shown {
    /// An object that is not a component yet.
    pub(crate) fn members() -> Schema {
        schema::answered([
            ("user_id", schema::id("user")),
            ("email", schema::text().example("ana@example.com")),
            ("name", schema::text().example("Ana")),
            ("memberships", schema::list(members::Shown::schema())),
        ])
    }

    pub(crate) fn of(user: &User, memberships: &[members::Membership]) -> Self {
        Self {
            user_id: user.id.clone(),
            email: user.email.clone(),
            name: user.name.clone(),
            memberships: memberships.iter().map(members::Shown::of).collect(),
        }
    }
}

/// Sets another password: links by which it might be reset are good no more.
pub(crate) async fn set_password(
    change: &mut Change<'_>,
    user_id: &str,
    hash: &str,
) -> Result<(), Problem> {
    sqlx::query("UPDATE users SET password_hash = $1, updated_us = $2 WHERE id = $3")
        .bind(hash)
        .bind(change.now_us)
        .bind(user_id)
        .execute(change.connection())
        .await?;
    resets::forget(change.connection(), user_id).await?;
    Ok(())
}

/// An e-mail address, in lower case: visible ASCII, so that no two that look alike are different.
pub(crate) fn email(raw: &Raw) -> Result<String, String> {
    let address = values::text(raw).unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let (local, domain) = address.rsplit_once('@').unwrap_or_default();
    let is_usable = address.len() <= EMAIL_BYTES_MAX
        && (1..=LOCAL_PART_BYTES_MAX).contains(&local.len())
        && address.bytes().all(|byte| byte.is_ascii_graphic())
        && !local.contains(['@', ',', ';', '<', '>', '(', ')', '"'])
        && !domain.is_empty()
        && !domain.starts_with(['.', '-'])
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    is_usable.then_some(address).ok_or_else(|| "expected an e-mail address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses_are_compared_in_lower_case_and_without_spaces_around_them() {
        let read = |text: &str| email(&Raw::Text(text.to_owned()));
        assert_eq!(read(" Ana.B+x@Example.COM "), Ok("ana.b+x@example.com".to_owned()));
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b@c", "é@b", "a@.b", "a@b c", "<a@b"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(&format!("{}@b", "a".repeat(65))).is_err());
    }
}
