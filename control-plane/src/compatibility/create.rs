//! `POST /sub-accounts/create`: a sub-account with its key, `sa-` and 32 hexadecimal digits, which is
//! in this answer only.

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountKind;
use serde::Serialize;
use serde_json::json;

use super::refusal::Refusal;
use super::{Slots, concurrency, uuid};
use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::problem::Kind;
use crate::request::Request;
use crate::sub_accounts::create::{Created, carry_out, draft};
use crate::timestamp;

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    user_id: String,
    organization_id: String,
    api_key: String,
    #[serde(flatten)]
    database: NoDatabase,
    #[serde(flatten)]
    slots: Slots,
    created_at: String,
    updated_at: String,
}

/// Clients may name a database of their own, and its password. Ringfence keeps nothing there, so what
/// they name is neither stored nor shown.
#[derive(Default, Serialize)]
struct NoDatabase {
    multi_tenant: bool,
    db_host: (),
    db_name: (),
    db_port: (),
    db_user: (),
    db_password: (),
}

pub(crate) fn describe() -> Operation {
    let members = [("name", schema::name().required())];
    let shown = schema::answered([
        ("id", schema::uuid()),
        ("name", schema::text()),
        ("user_id", schema::uuid().about("the organization's")),
        ("organization_id", schema::uuid()),
        ("api_key", schema::pattern("^sa-[0-9a-f]{32}$").about("in this answer only")),
        ("multi_tenant", schema::flag()),
        ("db_host", schema::null()),
        ("db_name", schema::null()),
        ("db_port", schema::null()),
        ("db_user", schema::null()),
        ("db_password", schema::null()),
        ("created_at", schema::time()),
        ("updated_at", schema::time()),
    ])
    .with(Slots::members());
    Operation::new("Create a sub-account", "With `allow_concurrent_calls`, or with `min_concurrency` and/or `max_concurrency`. `multi_tenant` and `db_…` are accepted and not used.")
        .body(
            schema::asked_leniently(members.into_iter().chain(concurrency::members())),
            json!({"name": "alpha-007", "min_concurrency": 5, "max_concurrency": 20}),
        )
        .answers(StatusCode::OK, "The sub-account with its key.", shown.named("CompatibilityNewSubAccount"))
        .refuses([Kind::OverAllocation])
        .makes("id", "/sub-accounts/{uuid}")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let mut account = read(&request)?;
    account.organization = request.access.organization()?;
    let show = |created: Created| Answer::ok(&Shown::of(created));
    Ok(carry_out(&app, &request, account, secret(), show).await?)
}

fn secret() -> String {
    format!("sa-{:032x}", rand::random::<u128>())
}

fn read(request: &Request) -> Result<Account, Refusal> {
    let mut fields = request.lenient_body()?;
    if !concurrency::is_given(&fields) {
        return Err(Refusal::NoConcurrency);
    }
    let name = fields.required("name", values::name);
    let asked = concurrency::read(&mut fields);
    fields.finish()?;
    if asked.is_absent() {
        return Err(Refusal::NoConcurrency);
    }
    let mut account = draft(AccountKind::SubAccount, name.unwrap_or_default());
    asked.merge_into(&mut account);
    Ok(account)
}

impl Shown {
    fn of(created: Created) -> Self {
        let Created { account, organization, secret, .. } = created;
        let owner = uuid::text(organization.id);
        Self {
            id: uuid::text(account.id),
            user_id: owner.clone(),
            organization_id: owner,
            api_key: secret,
            database: NoDatabase::default(),
            slots: Slots::of(&account, &organization),
            created_at: timestamp::text(account.created_us),
            updated_at: timestamp::text(account.updated_us),
            name: account.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Harness, text};

    const PATH: &str = "/sub-accounts/create";

    #[tokio::test]
    async fn the_documented_request_is_answered_as_documented() {
        let harness = Harness::new().await;
        let body = br#"{"name":"alpha-007","min_concurrency":5,"max_concurrency":20}"#.to_vec();
        let json = [("content-type", "application/json")];
        let made = harness.send_with(&harness.organization, "POST", PATH, &json, body).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let names: Vec<&str> =
            made.body.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut documented = [
            "id",
            "name",
            "user_id",
            "organization_id",
            "api_key",
            "multi_tenant",
            "db_host",
            "db_name",
            "db_port",
            "db_user",
            "db_password",
            "allow_concurrent_calls",
            "min_concurrency",
            "max_concurrency",
            "created_at",
            "updated_at",
        ];
        documented.sort_unstable();
        assert_eq!(names, documented);
        for (member, value) in [
            ("name", json!("alpha-007")),
            ("multi_tenant", json!(false)),
            ("db_host", Value::Null),
            ("db_password", Value::Null),
            ("allow_concurrent_calls", json!(20)),
            ("min_concurrency", json!(5)),
            ("max_concurrency", json!(20)),
        ] {
            assert_eq!(made.body[member], value, "{member}");
        }
        let key = text(&made.body["api_key"]);
        let digits = key.strip_prefix("sa-").expect("the form of a key");
        assert!(
            digits.len() == 32 && digits.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
        );
        assert_eq!(text(&made.body["id"]).len(), 36);
        assert_eq!(made.body["user_id"], made.body["organization_id"]);
        assert_eq!(text(&made.body["created_at"]).len(), "2025-01-23T01:14:37Z".len());
    }

    #[tokio::test]
    async fn the_account_and_its_key_are_those_of_the_native_api() {
        let harness = Harness::new().await;
        let made = harness
            .send(
                &harness.organization,
                "POST",
                PATH,
                json!({"name": "x", "allow_concurrent_calls": 7}),
            )
            .await;
        let id = crate::compatibility::uuid::sub_account(&text(&made.body["id"]));
        let path = format!("/v1/sub-accounts/{id}");
        for key in [&text(&made.body["api_key"]), &harness.organization] {
            let read = harness.get(key, &path).await;
            assert_eq!((read.status, &read.body["concurrency_limit"]), (200, &json!(7)));
            assert_eq!(read.body["min_concurrency"], json!(7));
            assert_eq!(read.body["billing_mode"], json!("consolidated"));
        }
        let keys = harness.get(&harness.organization, &format!("{path}/api-keys")).await;
        let last4 = text(&keys.body["data"][0]["last4"]);
        assert!(text(&made.body["api_key"]).ends_with(&last4));
    }

    #[tokio::test]
    async fn older_and_newer_clients_say_their_limits_in_their_own_ways() {
        let harness = Harness::new().await;
        for (body, limits) in [
            (r#"{"name":"x","allow_concurrent_calls":3}"#, json!([3, 3, 3])),
            (r#"{"name":"x","max_concurrency":4}"#, json!([4, 0, 4])),
            (r#"{"name":"x","min_concurrency":2}"#, json!([100, 2, null])),
            (r#"{"name":"x","min_concurrency":2,"max_concurrency":null}"#, json!([100, 2, null])),
            (r#"{"name":"x","max_concurrency":0}"#, json!([0, 0, 0])),
            (
                r#"{"name":"x","allow_concurrent_calls":9,"min_concurrency":1,"max_concurrency":2}"#,
                json!([2, 1, 2]),
            ),
            (
                r#"{"name":"x","allow_concurrent_calls":null,"min_concurrency":1}"#,
                json!([100, 1, null]),
            ),
            (
                r#"{"name":"y","name":"x","metadata":{"a":[1]},"multi_tenant":true,"db_host":"h","db_name":"n",
                "db_port":"5432","db_user":"u","db_password":"p","allow_concurrent_calls":1}"#,
                json!([1, 1, 1]),
            ),
        ] {
            let made = harness
                .send_with(&harness.organization, "POST", PATH, &[], body.as_bytes().to_vec())
                .await;
            assert_eq!(made.status, 200, "{body}: {}", made.body);
            let names = ["allow_concurrent_calls", "min_concurrency", "max_concurrency"];
            assert_eq!(json!(names.map(|name| made.body[name].clone())), limits, "{body}");
            assert_eq!(made.body["name"], json!("x"));
        }
    }

    #[tokio::test]
    async fn refusals_have_the_documented_bodies() {
        let harness = Harness::new().await;
        let key = &harness.organization;
        let missing = json!({"message": "Bad request. Please provide min_concurrency and/or max_concurrency."});
        for body in [
            json!({"name": "x"}),
            json!({}),
            Value::Null,
            json!({"name": "x", "allow_concurrent_calls": null}),
        ] {
            let refused = harness.send(key, "POST", PATH, body).await;
            assert_eq!((refused.status, refused.body), (400, missing.clone()));
        }
        harness.send(key, "POST", PATH, json!({"name": "x", "min_concurrency": 70})).await;
        let over =
            harness.send(key, "POST", PATH, json!({"name": "x", "min_concurrency": 40})).await;
        let message = "Sum of account minimums (110) exceeds the org minimum (100) by 10; lower an account minimum first.";
        assert_eq!((over.status, over.body), (400, json!({"message": message})));
        assert_eq!(over.headers["content-type"], "application/json");

        let made =
            harness.send(key, "POST", PATH, json!({"name": "x", "max_concurrency": 1})).await;
        let forbidden = harness
            .send(
                &text(&made.body["api_key"]),
                "POST",
                PATH,
                json!({"name": "x", "max_concurrency": 1}),
            )
            .await;
        let message = "Forbidden: only organization admins can manage sub-account concurrency";
        assert_eq!((forbidden.status, forbidden.body), (403, json!({"message": message})));
        for (body, named) in [
            (r#"{"max_concurrency":1}"#, "name: required"),
            (r#"{"name":"x","max_concurrency":"many"}"#, "max_concurrency: expected"),
            (
                r#"{"name":"x","min_concurrency":3,"max_concurrency":2}"#,
                "the floor (3) is above the cap (2)",
            ),
            ("[]", "body: expected a JSON object"),
        ] {
            let refused = harness.send_with(key, "POST", PATH, &[], body.as_bytes().to_vec()).await;
            assert_eq!((refused.status, &refused.body["error"]), (400, &json!(400)), "{body}");
            assert!(text(&refused.body["message"]).contains(named), "{}", refused.body);
            assert_eq!(refused.body.as_object().map(serde_json::Map::len), Some(2));
        }
    }

    #[tokio::test]
    async fn a_repeated_create_shows_the_same_key() {
        let harness = Harness::new().await;
        let once = [("idempotency-key", "1")];
        let body = br#"{"name":"x","allow_concurrent_calls":1}"#.to_vec();
        let first =
            harness.send_with(&harness.organization, "POST", PATH, &once, body.clone()).await;
        let second = harness.send_with(&harness.organization, "POST", PATH, &once, body).await;
        assert_eq!((first.status, &first.bytes), (200, &second.bytes));
        let other = br#"{"name":"y","allow_concurrent_calls":1}"#.to_vec();
        let refused = harness.send_with(&harness.organization, "POST", PATH, &once, other).await;
        assert_eq!((refused.status, &refused.body["error"]), (422, &json!(422)));
    }
}
