//! `POST /v1/sub-accounts/{id}/api-keys`: a key of a sub-account; its secret is in this answer only.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;
use hub::id::AccountKind;
use serde::Serialize;
use serde_json::json;

use super::{Issued, KeyType, LIFE_DAYS_MAX, NewKey, Origin, Shown};
use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::problem::Problem;
use crate::request::Request;
use crate::webhooks::EventKind;

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    key: Shown,
    secret: String,
}

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("name", schema::name().required()),
        (
            "type",
            schema::word(KeyType::WORDS).by_default("live").about(
                "test: acts on the account's shadow, and is never billed; not of an organization",
            ),
        ),
        ("expires_at", schema::moment().or_null().about("null: it does not end by itself")),
    ]);
    let shown = Shown::members()
        .with([("secret", schema::text().about("in this answer only").example("rf_live_…"))]);
    Operation::new("Create an API key", "An account has at most 1,000.")
        .body(body, json!({"name": "Acme Corp Production Key", "type": "live"}))
        .answers(StatusCode::CREATED, "The key with its secret.", shown.named("NewApiKey"))
        .makes("id", "/v1/sub-accounts/{id}/api-keys/{key_id}")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let name = fields.required("name", values::name);
    let key_type = fields.optional("type", values::word(KeyType::WORDS)).unwrap_or(KeyType::Live);
    let expires_us = fields.given("expires_at", values::expiry(now_us(), LIFE_DAYS_MAX)).value();
    fields.finish()?;
    let name = name.unwrap_or_default();

    let id = request.access.account()?;
    if id.kind() == AccountKind::Organization && key_type == KeyType::Test {
        let problem = "expected live: an organization's keys administer it";
        return Err(Problem::field("type", problem.to_owned()));
    }
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    super::check_room(change.connection(), id).await?;
    let new = NewKey {
        scope: super::scope_of(id),
        organization: Some(account.organization),
        name: &name,
        key_type,
        origin: Origin::Issued,
        expires_us,
    };
    let Issued { shown, secret, change: published } =
        super::issue(change.connection(), &new, now_us).await?;
    change.publish(published);
    change
        .audit(
            Some(account.organization),
            "api_key.created",
            &shown.id,
            None::<&Shown>,
            Some(&shown),
        )
        .await?;
    change.tell(EventKind::KeyCreated, id, account.organization, &shown)?;
    change.commit(Answer::created(&Created { key: shown, secret })?).await
}

#[cfg(test)]
mod tests {
    use hub::directory::Change;
    use serde_json::{Value, json};

    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn a_key_is_shown_once_listed_masked_and_opens_nothing_once_revoked() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        let body = json!({"name": "Acme Corp Production Key", "type": "live"});
        let made = harness.send(&harness.organization, "POST", &path, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let (secret, key_id) = (text(&made.body["secret"]), text(&made.body["id"]));
        assert!(secret.starts_with("rf_live_") && secret.ends_with(&text(&made.body["last4"])));
        let account = format!("/v1/sub-accounts/{id}");
        assert_eq!(harness.get(&secret, &account).await.status, 200);

        let listed = harness.get(&harness.organization, &path).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2));
        assert!(!String::from_utf8_lossy(&listed.bytes).contains(&secret));
        let key_path = format!("{path}/{key_id}");
        let gone = harness.send(&harness.organization, "DELETE", &key_path, Value::Null).await;
        assert_eq!(gone.status, 204);
        assert_eq!(harness.get(&secret, &account).await.status, 401);
        let again = harness.send(&harness.organization, "DELETE", &key_path, Value::Null).await;
        assert_eq!((again.status, &again.body["reason"]), (404, &json!("unknown_key")));
        let heard = harness.heard.lock();
        assert!(heard.iter().any(|change| matches!(change, Change::KeyGone { .. })));
    }

    #[tokio::test]
    async fn a_test_key_sees_its_account_and_no_money() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        let made = harness
            .send(&harness.organization, "POST", &path, json!({"name": "t", "type": "test"}))
            .await;
        let secret = text(&made.body["secret"]);
        assert!(secret.starts_with("rf_test_"));
        let shown = harness.get(&secret, &format!("/v1/sub-accounts/{id}")).await;
        assert_eq!((shown.status, &shown.body["wallet"]), (200, &Value::Null));
        assert_eq!(
            harness.get(&secret, &format!("/v1/sub-accounts/{id}/wallet")).await.status,
            403
        );
        let bad = json!({"name": 1, "type": "prod", "secret": "x"});
        let refused = harness.send(&harness.organization, "POST", &path, bad).await;
        assert_eq!(named(&refused.body), ["name", "type", "secret"]);
    }

    #[tokio::test]
    async fn a_repeated_create_shows_the_same_secret_and_the_database_holds_none() {
        let harness = Harness::new().await;
        let (id, account_key) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        let (key, once) = (&harness.organization, [("idempotency-key", "make-1")]);
        let body = br#"{"name":"k"}"#.to_vec();
        let first = harness.send_with(key, "POST", &path, &once, body.clone()).await;
        let second = harness.send_with(key, "POST", &path, &once, body.clone()).await;
        assert_eq!((first.status, &first.bytes), (second.status, &second.bytes));
        assert_eq!(second.headers["idempotency-replayed"], "true");
        let by_operator = harness.send_with(&harness.operator, "POST", &path, &once, body).await;
        assert_ne!(by_operator.bytes, first.bytes, "another principal's key is another request");
        let secrets =
            [text(&first.body["secret"]), account_key, harness.operator.clone(), key.clone()];
        for file in std::fs::read_dir(harness.directory.path()).expect("a directory") {
            let path = file.expect("an entry").path();
            if path.is_file() {
                let bytes = std::fs::read(&path).expect("readable");
                for secret in &secrets {
                    let found =
                        bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                    assert!(!found, "a secret stands in {}", path.display());
                }
            }
        }
    }
}
