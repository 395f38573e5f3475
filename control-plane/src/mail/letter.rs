//! The letters that are sent, with the links in them. A link is drawn here, for this one sending: what
//! is stored is its hash, beside that of an earlier one that may have arrived as well.

use hub::clock::SECOND_US;
use hub::key::KeyHash;
use sqlx::{AnyConnection, Row as _};

use crate::App;
use crate::change::Change;
use crate::keys::{self, hex};
use crate::problem::Problem;
use crate::{invitations, resets, timestamp};

/// A mail of plain text.
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The secret in it.
    pub(crate) link: String,
}

/// What an invitation's link looks like. What follows the `#` is seen by no server on its way.
pub(crate) fn invitation_link(app: &App, token: &str) -> String {
    format!("{}/accept-invitation#token={token}", app.public_url)
}

/// The letter of an invitation that still stands.
pub(super) async fn invitation(
    app: &App,
    change: &mut Change<'_>,
    id: &str,
) -> Result<Option<Letter>, Problem> {
    let row = sqlx::query(
        "SELECT i.email, i.role, i.expires_us, COALESCE(a.display_name, a.name) AS account \
         FROM invitations i JOIN accounts a ON a.id = i.account_id \
         WHERE i.id = $1 AND i.expires_us > $2 AND a.status IN ('active', 'suspended')",
    )
    .bind(id)
    .bind(change.now_us)
    .fetch_optional(change.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let token = keys::random();
    invitations::note_mailed(change.connection(), id, &hash(&token)).await?;
    let (account, role): (String, String) = (row.try_get("account")?, row.try_get("role")?);
    let link = invitation_link(app, &token);
    let until = timestamp::text(row.try_get("expires_us")?);
    let text = format!(
        "You are invited to become {role} of {account}.\n\n\
         Accept the invitation here:\n\n{link}\n\n\
         The link is good once, until {until}. Whoever has it can accept, so pass it on to nobody.\n\
         If you did not expect it, nothing has to be done.\n"
    );
    let subject = format!("Invitation to {account}");
    Ok(Some(Letter { to: row.try_get("email")?, subject, text, link }))
}

/// The letter to a user who has forgotten the password; `None`: nobody has this e-mail.
pub(super) async fn password_reset(
    app: &App,
    change: &mut Change<'_>,
    email: &str,
) -> Result<Option<Letter>, Problem> {
    let Some(user_id) = user(change.connection(), email).await? else { return Ok(None) };
    let token = keys::random();
    let expires_us = change.now_us.saturating_add(resets::LIFE_US);
    resets::note(change.connection(), &user_id, &hash(&token), expires_us).await?;
    change.audit(None, "password_reset.sent", &user_id, None::<&()>, None::<&()>).await?;
    let link = format!("{}/reset-password#token={token}", app.public_url);
    let minutes = resets::LIFE_US / (60 * SECOND_US);
    let text = format!(
        "Somebody asked for another password for {email}.\n\n\
         Set it here:\n\n{link}\n\n\
         The link is good once, for {minutes} minutes. It ends all sessions and API tokens that you have.\n\
         If it was not you, nothing has to be done: the password stays as it is.\n"
    );
    Ok(Some(Letter { to: email.to_owned(), subject: "Another password".to_owned(), text, link }))
}

async fn user(connection: &mut AnyConnection, email: &str) -> Result<Option<String>, Problem> {
    let row = sqlx::query("SELECT id FROM users WHERE email = $1")
        .bind(email)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn hash(token: &str) -> String {
    hex(KeyHash::of(token.as_bytes()))
}
