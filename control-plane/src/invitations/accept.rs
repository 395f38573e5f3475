//! `POST /v1/invitations/accept`: whoever has the link becomes a member: as a new user with a name
//! and a password, or, where the e-mail is known, by the password of its user. The link is then used
//! up. Wrong passwords count as attempts to sign in.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;
use hub::key::KeyHash;
use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::{Invitation, check_place};
use crate::account::{Account, word};
use crate::answer::Answer;
use crate::change::{Begun, Change};
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::id::new_id;
use crate::keys::hex;
use crate::members::{self, MEMBERS_PER_ACCOUNT_MAX, MEMBERSHIPS_PER_USER_MAX};
use crate::permission::Role;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::sessions;
use crate::users::{self, User, password};
use crate::{App, Shared};

/// Who accepts.
enum Guest {
    Known(User),
    /// With the hash of the password.
    New {
        name: String,
        password_hash: String,
    },
}

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("token", schema::characters(1..=values::TOKEN_BYTES_MAX).required()),
        ("name", schema::name().about("of a new user, who needs one").example("Ana")),
        ("password", schema::characters(1..=password::BYTES_MAX).required().about("that of the user of this e-mail address, or of a new one: then 12 characters or more")),
    ]);
    Operation::new(
        "Accept an invitation",
        "Uses the token up. Wrong passwords count as attempts to sign in.",
    )
    .body(body, json!({"token": "…", "name": "Ana", "password": "correct horse battery staple"}))
    .answers(
        StatusCode::CREATED,
        "The user with all accounts that it is a member of.",
        users::Shown::members().named("User"),
    )
    .refuses([
        Kind::Unauthenticated,
        Kind::UnknownInvitation,
        Kind::AlreadyMember,
        Kind::OwnerExists,
    ])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let token = fields.required_secret("token", values::one_time_token);
    let name = fields.optional("name", values::name);
    let password = fields.required_secret("password", password::presented);
    fields.finish()?;
    let hash = hex(KeyHash::of(token.unwrap_or_default().as_bytes()));
    let email = {
        let mut connection = app.store.read().await?;
        open(&mut connection, &hash).await?.email
    };
    let guest = guest(&app, &request, &email, name, password.unwrap_or_default()).await?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    // Again, and now for good: of two who have the link one comes first.
    let invitation = open(change.connection(), &hash).await?;
    sqlx::query("DELETE FROM invitations WHERE id = $1")
        .bind(invitation.id.as_str())
        .execute(change.connection())
        .await?;
    let account = Account::load(change.connection(), invitation.account).await?;
    check_place(change.connection(), account.id, &email, invitation.role).await?;
    let user = settle(&mut change, &email, guest).await?;
    change.act_as(&user.id);
    join(&mut change, &user, &invitation).await?;
    let shown = invitation.shown();
    let organization = Some(account.organization);
    change.audit(organization, "member.joined", &user.id, None::<&()>, Some(&shown)).await?;
    let memberships = members::of_user(change.connection(), &user.id).await?;
    change.commit(Answer::created(&users::Shown::of(&user, &memberships))?).await
}

/// The invitation of a token's hash, if it is still good and its account still there.
async fn open(connection: &mut AnyConnection, hash: &str) -> Result<Invitation, Problem> {
    let row = sqlx::query(
        "SELECT i.id, i.account_id, i.email, i.role, i.created_us, i.expires_us \
         FROM invitations i JOIN accounts a ON a.id = i.account_id \
         WHERE (i.hash = $1 OR i.mailed_hash = $1) AND i.expires_us > $2 AND a.status IN ('active', 'suspended')",
    )
    .bind(hash)
    .bind(now_us())
    .fetch_optional(connection)
    .await?;
    let unknown = || {
        Problem::new(
            Kind::UnknownInvitation,
            "the invitation was used, revoked or replaced, or its time is over: ask for another",
        )
    };
    Invitation::of_row(&row.ok_or_else(unknown)?)
}

async fn guest(
    app: &App,
    request: &Request,
    email: &str,
    name: Option<String>,
    password: String,
) -> Result<Guest, Problem> {
    let is_known = {
        let mut connection = app.store.read().await?;
        sqlx::query("SELECT 1 FROM users WHERE email = $1")
            .bind(email)
            .fetch_optional(&mut *connection)
            .await?
            .is_some()
    };
    if is_known {
        let user = sessions::create::authenticate(app, request, email.to_owned(), password).await?;
        return Ok(Guest::Known(user));
    }
    let name = name.ok_or_else(|| Problem::field("name", "required: the user is new"))?;
    let password =
        password::long_enough(password).map_err(|problem| Problem::field("password", problem))?;
    Ok(Guest::New { name, password_hash: app.passwords.hash(password).await? })
}

/// The user in the database.
async fn settle(change: &mut Change<'_>, email: &str, guest: Guest) -> Result<User, Problem> {
    let now_us = change.now_us;
    let (name, password_hash) = match guest {
        Guest::Known(user) => return Ok(user),
        Guest::New { name, password_hash } => (name, password_hash),
    };
    let user = User { id: new_id("user", now_us), email: email.to_owned(), name };
    let written = sqlx::query(
        "INSERT INTO users (id, email, name, password_hash, created_us, updated_us) \
         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (email) DO NOTHING",
    )
    .bind(user.id.as_str())
    .bind(email)
    .bind(user.name.as_str())
    .bind(password_hash)
    .bind(now_us)
    .execute(change.connection())
    .await?;
    if written.rows_affected() == 0 {
        return Err(Problem::new(
            Kind::AlreadyMember,
            "the e-mail became a user's meanwhile: accept again, with that user's password",
        ));
    }
    Ok(user)
}

async fn join(
    change: &mut Change<'_>,
    user: &User,
    invitation: &Invitation,
) -> Result<(), Problem> {
    let account = invitation.account.to_string();
    for (column, id, most) in [
        ("account_id", &account, MEMBERS_PER_ACCOUNT_MAX),
        ("user_id", &user.id, MEMBERSHIPS_PER_USER_MAX),
    ] {
        let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM memberships WHERE {column} = $1");
        let count = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id.as_str())
            .fetch_one(change.connection())
            .await?
            .try_get::<i64, _>(0)?;
        if count >= most {
            let detail =
                format!("there are {most} memberships of this {column}, the most there may be");
            return Err(Problem::new(Kind::Forbidden, detail).with("limit", most));
        }
    }
    sqlx::query(
        "INSERT INTO memberships (account_id, user_id, role, created_us) VALUES ($1, $2, $3, $4)",
    )
    .bind(account.as_str())
    .bind(user.id.as_str())
    .bind(word(Role::WORDS, &invitation.role))
    .bind(change.now_us)
    .execute(change.connection())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::people::{Cookie, PASSWORD};
    use crate::testing::{Harness, named, text};

    async fn invite(harness: &Harness, path: &str, email: &str, role: &str) -> Value {
        let body = json!({"email": email, "role": role});
        let made = harness.send(&harness.organization, "POST", path, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body
    }

    #[tokio::test]
    async fn an_invitation_makes_a_user_who_can_sign_in_and_is_good_once() {
        let harness = Harness::new().await;
        let made = invite(&harness, "/v1/invitations", "Ana@example.com", "owner").await;
        let path = "/v1/invitations/accept";
        let short = json!({"token": made["token"], "name": "Ana", "password": "short"});
        let refused = harness.send("", "POST", path, short).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["password".to_owned()]));
        assert!(!refused.body.to_string().contains("\"short\""));
        let body = json!({"token": made["token"], "name": "Ana", "password": PASSWORD});
        let accepted = harness.send("", "POST", path, body.clone()).await;
        assert_eq!(accepted.status, 201, "{}", accepted.body);
        assert_eq!(accepted.body["memberships"][0]["role"], json!("owner"));
        let again = harness.send("", "POST", path, body).await;
        assert_eq!((again.status, &again.body["reason"]), (404, &json!("unknown_invitation")));
        let cookie = harness.sign_in("ana@example.com").await;
        assert_eq!(harness.get_by(&cookie, "/v1/organization").await.status, 200);
        assert_eq!(harness.audit("member").await, ["joined"]);
    }

    #[tokio::test]
    async fn who_is_a_user_already_accepts_by_its_own_password() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let first = invite(&harness, "/v1/invitations", "ana@example.com", "viewer").await;
        let path = "/v1/invitations/accept";
        let body = json!({"token": first["token"], "name": "Ana", "password": PASSWORD});
        assert_eq!(harness.send("", "POST", path, body).await.status, 201);
        let invitations = format!("/v1/sub-accounts/{id}/invitations");
        let second = invite(&harness, &invitations, "ana@example.com", "admin").await;
        let other = json!({"token": second["token"], "password": "another password"});
        assert_eq!(harness.send("", "POST", path, other).await.status, 401);
        let body = json!({"token": second["token"], "password": PASSWORD});
        let accepted = harness.send("", "POST", path, body).await;
        assert_eq!(accepted.status, 201, "{}", accepted.body);
        assert_eq!(accepted.body["memberships"].as_array().map(Vec::len), Some(2));
    }

    #[tokio::test]
    async fn an_invitation_that_is_old_or_revoked_opens_nothing() {
        let harness = Harness::new().await;
        let made = invite(&harness, "/v1/invitations", "ana@example.com", "admin").await;
        let body = json!({"token": made["token"], "name": "Ana", "password": PASSWORD});
        let path = format!("/v1/invitations/{}", text(&made["invitation_id"]));
        let gone = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
        let refused = harness.send("", "POST", "/v1/invitations/accept", body).await;
        assert_eq!(refused.status, 404);
        let made = invite(&harness, "/v1/invitations", "ana@example.com", "admin").await;
        harness.execute("UPDATE invitations SET expires_us = 1").await;
        let body = json!({"token": made["token"], "name": "Ana", "password": PASSWORD});
        let refused = harness.send("", "POST", "/v1/invitations/accept", body).await;
        assert_eq!(refused.status, 404);
        let body = json!({"email": "ana@example.com", "password": PASSWORD});
        assert_eq!(harness.send("", "POST", "/v1/sessions", body).await.status, 401);
    }

    #[tokio::test]
    async fn of_many_who_have_the_link_one_becomes_the_member() {
        let harness = std::sync::Arc::new(Harness::new().await);
        let made = invite(&harness, "/v1/invitations", "ana@example.com", "owner").await;
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let harness = std::sync::Arc::clone(&harness);
            let body = json!({"token": made["token"], "name": "Ana", "password": PASSWORD});
            requests.spawn(async move {
                harness.send("", "POST", "/v1/invitations/accept", body).await.status
            });
        }
        let statuses = requests.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        let body = json!({"email": "ana@example.com", "password": PASSWORD});
        let made = harness.send("", "POST", "/v1/sessions", body).await;
        assert_eq!(harness.get_by(&Cookie::of(&made), "/v1/me").await.status, 200);
    }
}
