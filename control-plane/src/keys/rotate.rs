//! `POST /v1/sub-accounts/{id}/api-keys/{key_id}/rotate`: another key in the place of one, of the same
//! type. The old one ends at once, or in a day, so that clients can be given the new one meanwhile.

use axum::extract::{Path, State};
use http::StatusCode;
use hub::clock::SECOND_US;
use hub::directory::Change as Published;
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{COLUMNS, Issued, KeyType, LIFE_DAYS_MAX, Named, NewKey, Origin, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::{Begun, Change};
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::webhooks::EventKind;

const DAY_US: i64 = 86_400 * SECOND_US;

/// When the old key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OldEnds {
    Now,
    InADay,
}

impl OldEnds {
    const WORDS: &'static [(&'static str, Self)] =
        &[("now", Self::Now), ("in_24_hours", Self::InADay)];
}

#[derive(Serialize)]
struct Rotated {
    #[serde(flatten)]
    key: Shown,
    secret: String,
    /// The old key, with its end.
    replaces: Shown,
}

/// What the audit says of the old key.
#[derive(Serialize)]
struct Audited<'a> {
    #[serde(flatten)]
    key: &'a Shown,
    replaced_by: &'a str,
}

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        (
            "old_key_ends",
            schema::word(OldEnds::WORDS)
                .required()
                .about("in_24_hours: clients can be given the new key meanwhile"),
        ),
        ("name", schema::name().about("that of the old key unless given")),
        ("expires_at", schema::moment().or_null().about("null: it does not end by itself")),
    ]);
    let shown = Shown::members().with([
        ("secret", schema::text().about("in this answer only").example("rf_live_…")),
        ("replaces", Shown::schema().about("the old key, with its end")),
    ]);
    Operation::new("Rotate an API key", "Makes another key of the same type in its place.")
        .body(body, json!({"old_key_ends": "in_24_hours"}))
        .answers(StatusCode::CREATED, "The new key with its secret.", shown.named("RotatedApiKey"))
        .tagged()
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { key_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let ends = fields.required("old_key_ends", values::word(OldEnds::WORDS));
    let name = fields.optional("name", values::name);
    let expiry = values::expiry(hub::clock::now_us(), LIFE_DAYS_MAX);
    let expires_us = fields.given("expires_at", expiry).value();
    fields.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT hash, {COLUMNS} FROM keys WHERE id = $1 AND account_id = $2 \
         AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $3)"
    )))
    .bind(key_id.as_str())
    .bind(account.to_string())
    .bind(now_us)
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(|| Problem::new(Kind::UnknownKey, "the account has no such API key"))?;
    let before = Shown::of_row(&row)?;
    request.preconditions.check(&before.tag()?)?;
    super::check_room(change.connection(), account).await?;
    let type_word = before.key_type.as_str();
    let known = KeyType::WORDS.iter().find(|(word, _)| *word == type_word);
    let new = NewKey {
        scope: super::scope_of(account),
        organization: Some(organization),
        name: &name.unwrap_or_else(|| before.name.clone()),
        key_type: known.ok_or_else(|| Problem::internal("a key of an unknown type"))?.1,
        origin: Origin::Issued,
        expires_us,
    };
    let replaces = end(&mut change, &row, ends.unwrap_or(OldEnds::Now), &new).await?;
    let Issued { shown, secret, change: published } =
        super::issue(change.connection(), &new, now_us).await?;
    change.publish(published);
    let after = Audited { key: &replaces, replaced_by: &shown.id };
    change
        .audit(Some(organization), "api_key.rotated", &key_id, Some(&before), Some(&after))
        .await?;
    change
        .audit(Some(organization), "api_key.created", &shown.id, None::<&Shown>, Some(&shown))
        .await?;
    let told = json!({"key": shown, "replaces": replaces});
    change.tell(EventKind::KeyRotated, account, organization, &told)?;
    let tag = shown.tag()?;
    let answer = Answer::created(&Rotated { key: shown, secret, replaces })?.tagged(&tag)?;
    change.commit(answer).await
}

/// Ends the old key, never later than it would have ended; as it is shown then.
async fn end(
    change: &mut Change<'_>,
    row: &sqlx::any::AnyRow,
    ends: OldEnds,
    new: &NewKey<'_>,
) -> Result<Shown, Problem> {
    let now_us = change.now_us;
    let hash = super::of_hex(&row.try_get::<String, _>("hash")?)?;
    let (end_us, revoked_us) = match (ends, row.try_get::<Option<i64>, _>("expires_us")?) {
        (OldEnds::Now, _) => (now_us, Some(now_us)),
        (OldEnds::InADay, Some(sooner_us)) => (sooner_us.min(now_us + DAY_US), None),
        (OldEnds::InADay, None) => (now_us + DAY_US, None),
    };
    let ended = sqlx::query(AssertSqlSafe(format!(
        "UPDATE keys SET expires_us = $1, revoked_us = $2 WHERE id = $3 RETURNING {COLUMNS}"
    )))
    .bind(end_us)
    .bind(revoked_us)
    .bind(row.try_get::<String, _>("id")?)
    .fetch_one(change.connection())
    .await?;
    let organization = new.organization;
    change.publish(match ends {
        OldEnds::Now => Published::KeyGone { hash, organization },
        OldEnds::InADay => {
            let is_test = new.key_type == KeyType::Test;
            let scope = if is_test { new.scope.shadow() } else { new.scope };
            Published::Key { hash, scope, organization, expires_us: Some(end_us) }
        }
    });
    Shown::of_row(&ended)
}

#[cfg(test)]
mod tests {
    use hub::directory::Change;
    use hub::key::{KeyHash, KeyScope};
    use serde_json::{Value, json};

    use super::DAY_US;
    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn a_rotated_key_ends_at_once_or_in_a_day_and_the_new_one_opens() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        let account = format!("/v1/sub-accounts/{id}");
        let listed = harness.get(&harness.organization, &path).await;
        let rotate = format!("{path}/{}/rotate", text(&listed.body["data"][0]["id"]));
        let body = json!({"old_key_ends": "in_24_hours"});
        let made = harness.send(&harness.organization, "POST", &rotate, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let second = text(&made.body["secret"]);
        assert_eq!(made.body["name"], made.body["replaces"]["name"]);
        assert_eq!(made.body["expires_at"], Value::Null);
        assert!(made.body["replaces"]["expires_at"].is_string(), "{}", made.body);
        for key in [&key, &second] {
            assert_eq!(harness.get(key, &account).await.status, 200);
        }
        let told = harness.heard.lock().iter().find_map(|change| match change {
            Change::Key { hash, expires_us: Some(at_us), .. } => Some((*hash, *at_us)),
            _ => None,
        });
        let (hash, end_us) = told.expect("gateways are told its end");
        assert_eq!(hash, KeyHash::of(key.as_bytes()));
        let left_us = end_us - hub::clock::now_us();
        assert!((DAY_US - 60_000_000..=DAY_US).contains(&left_us), "{left_us}");

        let rotate = format!("{path}/{}/rotate", text(&made.body["id"]));
        let body = json!({"old_key_ends": "now", "name": "Third"});
        let made = harness.send(&harness.organization, "POST", &rotate, body.clone()).await;
        assert_eq!((made.status, &made.body["name"]), (201, &json!("Third")));
        assert_eq!(harness.get(&second, &account).await.status, 401);
        assert_eq!(harness.get(&text(&made.body["secret"]), &account).await.status, 200);
        let again = harness.send(&harness.organization, "POST", &rotate, body).await;
        assert_eq!((again.status, &again.body["reason"]), (404, &json!("unknown_key")));
        let listed = harness.get(&harness.organization, &path).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2));
        let audited = harness.audit("api_key").await;
        assert_eq!(audited, ["rotated", "created", "rotated", "created"]);
    }

    #[tokio::test]
    async fn a_rotation_never_prolongs_a_key_and_keeps_its_type() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        let soon = crate::timestamp::text(hub::clock::now_us() + 3_600_000_000);
        let body = json!({"name": "t", "type": "test", "expires_at": soon});
        let made = harness.send(&harness.organization, "POST", &path, body).await;
        assert_eq!((made.status, &made.body["expires_at"]), (201, &json!(soon)));
        let rotate = format!("{path}/{}/rotate", text(&made.body["id"]));
        let refused = harness.send(&harness.organization, "POST", &rotate, json!({})).await;
        assert_eq!(named(&refused.body), ["old_key_ends"]);
        let body = json!({"old_key_ends": "in_24_hours"});
        let rotated = harness.send(&harness.organization, "POST", &rotate, body).await;
        assert_eq!(rotated.body["replaces"]["expires_at"], json!(soon), "{}", rotated.body);
        assert_eq!(rotated.body["type"], json!("test"));
        assert!(text(&rotated.body["secret"]).starts_with("rf_test_"));
    }

    #[tokio::test]
    async fn a_key_of_an_organization_is_rotated_by_itself_and_a_lost_one_by_the_operator() {
        let harness = Harness::new().await;
        let (account, _) = harness.isolated(1).await;
        let keys = "/v1/organization/api-keys";
        let listed = harness.get(&harness.organization, keys).await;
        let id = text(&listed.body["data"][0]["id"]);
        let body = json!({"old_key_ends": "now"});
        let path = format!("{keys}/{id}/rotate");
        let rotated = harness.send(&harness.organization, "POST", &path, body.clone()).await;
        assert_eq!(rotated.status, 201, "{}", rotated.body);
        let fresh = text(&rotated.body["secret"]);
        assert_eq!(harness.get(&harness.organization, "/v1/organization").await.status, 401);
        assert_eq!(harness.get(&fresh, "/v1/organization").await.status, 200);
        let heard = harness.heard.lock().clone();
        let opens = heard.iter().rev().find_map(|change| match change {
            Change::Key { scope, .. } => Some(*scope),
            _ => None,
        });
        let organization = harness.organization_id.parse().expect("an id");
        assert_eq!(opens, Some(KeyScope::Organization(organization)), "all of it");

        let of_it = format!("/v1/organizations/{}/api-keys", harness.organization_id);
        let path = format!("{of_it}/{}/rotate", text(&rotated.body["id"]));
        let again = harness.send(&harness.operator, "POST", &path, body).await;
        assert_eq!((again.status, harness.get(&fresh, keys).await.status), (201, 401));
        let test = json!({"name": "x", "type": "test"});
        let refused = harness.send(&harness.operator, "POST", &of_it, test).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["type".to_owned()]));
        // A key of one account is not one of another.
        let path = format!("/v1/sub-accounts/{account}/api-keys/{}", text(&again.body["id"]));
        let hidden = harness.send(&harness.operator, "DELETE", &path, Value::Null).await;
        assert_eq!((hidden.status, &hidden.body["reason"]), (404, &json!("unknown_key")));
    }
}
