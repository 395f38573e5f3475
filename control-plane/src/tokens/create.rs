//! `POST /v1/me/tokens`: a token of the user who has signed in; its secret is in this answer only.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;
use hub::key::KeyHash;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{COLUMNS, LIFE_DAYS_MAX, LIFE_US, PER_USER_MAX, PREFIX, Shown};
use crate::Shared;
use crate::access::Reach;
use crate::account::word;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::id::new_id;
use crate::keys;
use crate::problem::{Kind, Problem};
use crate::request::Request;

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    token: Shown,
    secret: String,
}

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("name", schema::name().required()),
        (
            "access",
            schema::word(Reach::WORDS).by_default("write").about("read: it changes nothing"),
        ),
        ("expires_at", schema::moment().about("at most 366 days from now; 90 unless given")),
    ]);
    let shown = Shown::members()
        .with([("secret", schema::text().about("in this answer only").example("rf_user_…"))]);
    Operation::new(
        "Create an API token",
        "It acts with the roles of its user. At most 100 per user.",
    )
    .body(body, json!({"name": "Nightly report", "access": "read"}))
    .answers(StatusCode::CREATED, "The token with its secret.", shown.named("NewToken"))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let name = fields.required("name", values::name);
    let access = fields.optional("access", values::word(Reach::WORDS)).unwrap_or(Reach::Write);
    let expires_us = fields.optional("expires_at", values::expiry(now_us(), LIFE_DAYS_MAX));
    fields.finish()?;
    let user = request.access.user()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    check_room(change.connection(), &user.id, now_us).await?;
    let secret = format!("{PREFIX}{}", keys::random());
    let row = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO user_tokens (id, hash, user_id, name, access, last4, created_us, expires_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {COLUMNS}"
    )))
    .bind(new_id("token", now_us))
    .bind(keys::hex(KeyHash::of(secret.as_bytes())))
    .bind(user.id.as_str())
    .bind(name.unwrap_or_default())
    .bind(word(Reach::WORDS, &access))
    .bind(keys::last4(&secret))
    .bind(now_us)
    .bind(expires_us.unwrap_or_else(|| now_us.saturating_add(LIFE_US)))
    .fetch_one(change.connection())
    .await?;
    let token = Shown::of_row(&row)?;
    change.audit(None, "token.created", &user.id, None::<&Shown>, Some(&token)).await?;
    change.commit(Answer::created(&Created { token, secret })?).await
}

/// Expired ones that are not yet swept do not count.
async fn check_room(
    connection: &mut AnyConnection,
    user_id: &str,
    now_us: i64,
) -> Result<(), Problem> {
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM user_tokens WHERE user_id = $1 AND expires_us > $2",
    )
    .bind(user_id)
    .bind(now_us)
    .fetch_one(connection)
    .await?;
    if count.try_get::<i64, _>(0)? < PER_USER_MAX {
        return Ok(());
    }
    let detail =
        format!("the user has {PER_USER_MAX} API tokens, the most it may have; revoke one first");
    Err(Problem::new(Kind::Forbidden, detail).with("limit", PER_USER_MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::permission::Role;
    use crate::testing::{Harness, named, text};

    const PATH: &str = "/v1/me/tokens";

    #[tokio::test]
    async fn a_token_acts_with_its_users_roles_without_a_cookie_and_is_listed_masked() {
        let harness = Harness::new().await;
        let ana = harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let cookie = harness.sign_in("ana@example.com").await;
        let made = harness.send_by(&cookie, "POST", PATH, json!({"name": "ci"})).await;
        assert_eq!((made.status, &made.body["access"]), (201, &json!("write")), "{}", made.body);
        let secret = text(&made.body["secret"]);
        assert!(secret.starts_with("rf_user_") && secret.ends_with(&text(&made.body["last4"])));
        let body = json!({"name": "x", "concurrency_limit": 1});
        let created = harness.send(&secret, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(created.status, 201, "{}", created.body);
        assert_eq!(harness.get(&secret, "/v1/me").await.body["user_id"], json!(ana));
        let shown = harness.get(&secret, "/v1/audit?limit=1").await;
        let actor = text(&shown.body["data"][0]["actor"]);
        let token = text(&made.body["token_id"]);
        assert_eq!(actor, format!("{} by {ana} with {token}", harness.organization_id));
        for named in [&ana, &token] {
            let found = harness.get(&secret, &format!("/v1/audit?actor={named}")).await;
            assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{named}");
        }
        crate::upkeep::write_uses(&harness.plane.app).await;
        let listed = harness.get_by(&cookie, PATH).await;
        assert!(listed.body["data"][0]["last_used_at"].is_string(), "{}", listed.body);
        assert!(!listed.body.to_string().contains(&secret));
        harness.send_by(&cookie, "DELETE", "/v1/sessions", Value::Null).await;
        assert_eq!(harness.get(&secret, "/v1/me").await.status, 200, "it is no session");
        let path = format!("/v1/members/{ana}");
        harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!(harness.get(&secret, "/v1/organization").await.status, 403);
    }

    #[tokio::test]
    async fn a_token_for_reading_changes_nothing_and_none_makes_or_revokes_tokens() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Owner).await;
        let cookie = harness.sign_in("ana@example.com").await;
        let mut secrets = Vec::new();
        for access in ["read", "write"] {
            let body = json!({"name": "ci", "access": access});
            let made = harness.send_by(&cookie, "POST", PATH, body).await;
            secrets.push(text(&made.body["secret"]));
        }
        assert_eq!(harness.get(&secrets[0], "/v1/organization").await.status, 200);
        let refused = harness.send(&secrets[0], "PATCH", "/v1/organization", json!({})).await;
        assert_eq!((refused.status, &refused.body["reason"]), (403, &json!("forbidden")));
        let changed = harness.send(&secrets[1], "PATCH", "/v1/organization", json!({})).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        for secret in &secrets {
            let refused = harness.send(secret, "POST", PATH, json!({"name": "more"})).await;
            assert_eq!(refused.status, 403, "{}", refused.body);
            assert_eq!(harness.get(secret, PATH).await.status, 403);
        }
    }

    #[tokio::test]
    async fn a_token_ends_when_it_is_revoked_or_expires_and_bad_fields_are_named() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Viewer).await;
        harness.user("bob@example.com", &harness.organization_id, Role::Viewer).await;
        let cookie = harness.sign_in("ana@example.com").await;
        let other = harness.sign_in("bob@example.com").await;
        let body = json!({"access": "all", "expires_at": "2020-01-01", "scope": 1});
        let refused = harness.send_by(&cookie, "POST", PATH, body).await;
        assert_eq!(named(&refused.body), ["name", "access", "expires_at", "scope"]);
        let made = harness.send_by(&cookie, "POST", PATH, json!({"name": "a"})).await;
        let secret = text(&made.body["secret"]);
        let path = format!("{PATH}/{}", text(&made.body["token_id"]));
        let refused = harness.send_by(&other, "DELETE", &path, Value::Null).await;
        assert_eq!((refused.status, &refused.body["reason"]), (404, &json!("unknown_token")));
        let gone = harness.send_by(&cookie, "DELETE", &path, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
        assert_eq!(harness.get(&secret, "/v1/me").await.status, 401);
        let made = harness.send_by(&cookie, "POST", PATH, json!({"name": "b"})).await;
        harness.execute("UPDATE user_tokens SET expires_us = 1").await;
        assert_eq!(harness.get(&text(&made.body["secret"]), "/v1/me").await.status, 401);
        assert_eq!(harness.get_by(&cookie, PATH).await.body["data"], json!([]));
        assert_eq!(harness.audit("token").await, ["created", "revoked", "created"]);
    }
}
