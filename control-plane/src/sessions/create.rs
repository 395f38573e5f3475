//! `POST /v1/sessions`: signs a user in by e-mail and password and sets the cookie of a new session;
//! one that the request came with ends. Takes as long for an e-mail that nobody has.

use axum::extract::State;
use http::StatusCode;
use http::{HeaderValue, header};
use hub::clock::SECOND_US;
use hub::key::KeyHash;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::{LIFE_US, PER_USER_MAX, cookie};
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::id::new_id;
use crate::keys::hex;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::users::{self, User, password};
use crate::{App, Shared, members, timestamp};

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    user: users::Shown,
    /// At the latest; without use it ends sooner.
    expires_at: String,
}

/// What the audit says of a session.
#[derive(Serialize)]
struct Audited<'a> {
    session_id: &'a str,
}

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("email", schema::characters(1..=254).required().example("ana@example.com")),
        ("password", schema::characters(1..=password::BYTES_MAX).required()),
    ]);
    let shown = users::Shown::members().with([(
        "expires_at",
        schema::time().about("at the latest; 12 hours after its last use in any case"),
    )]);
    Operation::new("Sign in", "Sets the cookie of a new session; one that the request came with ends. Ten failures of an e-mail address, or a hundred of a source address, in 15 minutes are refused for a while.")
        .body(body, json!({"email": "ana@example.com", "password": "correct horse battery staple"}))
        .answers(StatusCode::CREATED, "The user, and a session in `Set-Cookie`.", shown.named("Session"))
        .with_header("Set-Cookie", schema::text().about("`ringfence_session`"))
        .refuses([Kind::Unauthenticated])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let email = fields.required("email", users::email);
    let password = fields.required_secret("password", password::presented);
    fields.finish()?;
    let user =
        authenticate(&app, &request, email.unwrap_or_default(), password.unwrap_or_default())
            .await?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    change.act_as(&user.id);
    if let Some(former) = &request.cookie {
        sqlx::query("DELETE FROM sessions WHERE hash = $1")
            .bind(hex(KeyHash::of(former)))
            .execute(change.connection())
            .await?;
    }
    make_room(change.connection(), &user.id).await?;
    let secret = cookie::secret();
    let id = insert(change.connection(), &user.id, &secret, now_us).await?;
    let memberships = members::of_user(change.connection(), &user.id).await?;
    let after = Audited { session_id: &id };
    change.audit(None, "session.created", &user.id, None::<&Audited>, Some(&after)).await?;
    let answer = Answer::created(&Created {
        user: users::Shown::of(&user, &memberships),
        expires_at: timestamp::text(now_us.saturating_add(LIFE_US)),
    })?;
    let cookie = cookie::header(&secret, LIFE_US / SECOND_US, app.serves_tls)?;
    Ok(change.commit(answer).await?.with_cookie(cookie))
}

/// The user of this e-mail and password, or the same refusal whatever is wrong with them.
pub(crate) async fn authenticate(
    app: &App,
    request: &Request,
    email: String,
    password: String,
) -> Result<User, Problem> {
    let now_us = hub::clock::now_us();
    app.attempts.begin(&email, request.source, now_us).map_err(|retry_after_s| {
        Problem::new(Kind::RateLimited, "too many attempts to sign in have failed; try again later")
            .with("retry_after_s", retry_after_s)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    })?;
    let row = {
        let mut connection = app.store.read().await?;
        sqlx::query(
            "SELECT id AS user_id, email, name AS user_name, password_hash FROM users WHERE email = $1",
        )
        .bind(email.as_str())
        .fetch_optional(&mut *connection)
        .await?
    };
    let stored = row.as_ref().map(|row| row.try_get("password_hash")).transpose()?;
    let is_right = app.passwords.verify(password, stored).await?;
    match row.filter(|_| is_right) {
        Some(row) => {
            app.attempts.succeeded(&email, request.source);
            User::of_row(&row)
        }
        None => Err(Problem::new(Kind::Unauthenticated, "the e-mail or the password is wrong")),
    }
}

/// Writes a session and returns its id.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    user_id: &str,
    secret: &str,
    now_us: i64,
) -> Result<String, sqlx::Error> {
    let id = new_id("session", now_us);
    sqlx::query(
        "INSERT INTO sessions (id, hash, user_id, created_us, last_used_us) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.as_str())
    .bind(hex(KeyHash::of(secret.as_bytes())))
    .bind(user_id)
    .bind(now_us)
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(id)
}

/// Ends the oldest sessions of a user that has all it may have.
async fn make_room(connection: &mut AnyConnection, user_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
         (SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $2)",
    )
    .bind(user_id)
    .bind(PER_USER_MAX - 1)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::permission::Role;
    use crate::testing::people::{Cookie, PASSWORD};
    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn signing_in_answers_who_one_is_and_sets_a_cookie_that_opens() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Owner).await;
        let body = json!({"email": " Ana@Example.com", "password": PASSWORD});
        let made = harness.send("", "POST", "/v1/sessions", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(made.body["email"], json!("ana@example.com"));
        assert_eq!(made.body["memberships"][0]["account"], json!(harness.organization_id));
        assert_eq!(made.body["memberships"][0]["role"], json!("owner"));
        let cookie = made.headers["set-cookie"].to_str().expect("text");
        for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=604800"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "there is no TLS here");
        let cookie = Cookie::of(&made);
        let me = harness.get_by(&cookie, "/v1/me").await;
        assert_eq!((me.status, &me.body["user_id"]), (200, &made.body["user_id"]));
        assert_eq!(harness.get_by(&cookie, "/v1/organization").await.status, 200);
        let stored = std::fs::read(harness.directory.path().join("ringfence.db"));
        let shown = cookie.secret().as_bytes();
        let is_there = |bytes: Vec<u8>| bytes.windows(shown.len()).any(|window| window == shown);
        assert!(!stored.is_ok_and(is_there), "only its hash is stored");
    }

    #[tokio::test]
    async fn a_session_ends_when_its_client_signs_in_again() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let first = harness.sign_in("ana@example.com").await;
        let body = json!({"email": "ana@example.com", "password": PASSWORD});
        let again = harness.send_by(&first, "POST", "/v1/sessions", body).await;
        assert_eq!(again.status, 201, "{}", again.body);
        assert_eq!(harness.get_by(&first, "/v1/me").await.status, 401);
        assert_eq!(harness.get_by(&Cookie::of(&again), "/v1/me").await.status, 200);
    }

    #[tokio::test]
    async fn what_is_wrong_is_not_told_and_ten_failures_are_enough() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let try_in = async |email: &str, password: &str| {
            let body = json!({"email": email, "password": password});
            harness.send("", "POST", "/v1/sessions", body).await
        };
        let wrong = try_in("ana@example.com", "wrong").await;
        let unknown = try_in("bob@example.com", "wrong").await;
        assert_eq!((wrong.status, &wrong.bytes), (401, &unknown.bytes));
        for _ in 1..10 {
            assert_eq!(try_in("ana@example.com", "wrong").await.status, 401);
        }
        let refused = try_in("ana@example.com", PASSWORD).await;
        assert_eq!((refused.status, &refused.body["reason"]), (429, &json!("rate_limited")));
        let retry_after: u32 =
            refused.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
        assert!((1..=900).contains(&retry_after));
    }

    #[tokio::test]
    async fn bad_fields_are_named_and_a_password_is_never_shown_back() {
        let harness = Harness::new().await;
        let body = json!({"email": "ana", "password": ["secret words"], "remember": true});
        let refused = harness.send("", "POST", "/v1/sessions", body).await;
        assert_eq!(named(&refused.body), ["email", "password", "remember"]);
        assert!(!refused.body.to_string().contains("secret words"));
        let elsewhere = [("origin", "https://elsewhere.example"), ("host", "here.example")];
        let refused =
            harness.send_with("", "POST", "/v1/sessions", &elsewhere, b"{}".to_vec()).await;
        assert_eq!(refused.status, 403, "no other site signs a browser in");
    }

    #[tokio::test]
    async fn a_session_ends_without_use_and_after_a_week() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let hour_us = 3_600 * hub::clock::SECOND_US;
        for (column, hours, status) in [
            ("last_used_us", 11, 200),
            ("last_used_us", 13, 401),
            ("created_us", 167, 200),
            ("created_us", 169, 401),
        ] {
            let cookie = harness.sign_in("ana@example.com").await;
            let past_us = hub::clock::now_us() - hours * hour_us;
            harness.execute(&format!("UPDATE sessions SET {column} = {past_us}")).await;
            assert_eq!(harness.get_by(&cookie, "/v1/me").await.status, status, "{column} {hours}");
            harness.execute("DELETE FROM sessions").await;
        }
    }

    #[tokio::test]
    async fn a_change_by_cookie_alone_is_refused() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let cookie = harness.sign_in("ana@example.com").await;
        let header = [("cookie", cookie.header())];
        let path = "/v1/organization";
        let refused = harness.send_with("", "PATCH", path, &header, b"{}".to_vec()).await;
        assert_eq!((refused.status, &refused.body["reason"]), (403, &json!("forbidden")));
        assert_eq!(harness.send_by(&cookie, "PATCH", path, json!({})).await.status, 200);
        let by_key = harness.send(&harness.organization, "PATCH", path, json!({})).await;
        assert_eq!(by_key.status, 200, "a key needs no such header");
        let refused = harness.send_by(&cookie, "POST", "/v1/organizations", Value::Null).await;
        assert_eq!(refused.status, 403);
    }
}
