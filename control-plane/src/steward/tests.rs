//! What a control plane promises on a hub that gateways share, against a real Redis server.

use std::time::Duration;

use hub::directory::{Billing, Change, Status};
use hub::id::{AccountId, HolderId};
use hub::shared::NoAnswer;
use hub::state::exchange::Begin;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::holders;
use crate::publication::{self, Publication};
use crate::testing::calls::call;
use crate::testing::gateway::Gateway;
use crate::testing::sharing::{Sharing, eventually, server};

fn id(text: &str) -> AccountId {
    text.parse().expect("an id")
}

/// A sharing control plane, one isolated account of two slots with 100 INR, and a gateway.
async fn with_gateway(redis: &str) -> (Sharing, AccountId, Gateway) {
    let sharing = Sharing::new(redis).await;
    let (account, _) = sharing.harness.isolated(2).await;
    assert_eq!(sharing.harness.recharge(&account, "100").await.status, 200);
    let gateway = Gateway::join(&sharing.hub, sharing.organization(), id(&account)).await;
    (sharing, id(&account), gateway)
}

async fn listed(sharing: &Sharing) -> Vec<HolderId> {
    let store = &sharing.harness.plane.app.store;
    let mut connection = store.read().await.expect("a connection");
    holders::list(&mut connection, sharing.organization().shard()).await.expect("a list")
}

async fn balance(sharing: &Sharing, account: AccountId) -> Value {
    let path = format!("/v1/sub-accounts/{account}/wallet");
    sharing.harness.get(&sharing.harness.organization, &path).await.body["balance"].clone()
}

async fn has_balance(sharing: &Sharing, account: AccountId, expected: &str) {
    eventually(expected, async || balance(sharing, account).await == expected).await;
}

#[tokio::test]
async fn a_gateway_that_joins_stands_in_the_database_before_it_is_granted_anything() {
    let redis = server();
    let (sharing, account, mut gateway) = with_gateway(&redis.url()).await;
    gateway.admit(&call(account, "1", None), "0").await;
    assert_eq!(listed(&sharing).await, [gateway.id]);
}

#[tokio::test]
async fn a_gateway_that_was_given_up_is_struck_out_and_what_it_had_is_free() {
    let redis = server();
    let (sharing, account, mut silent) = with_gateway(&redis.url()).await;
    let organization = sharing.organization();
    silent.admit(&call(account, "1", None), "0").await;
    let mut other = Gateway::join(&sharing.hub, organization, account).await;
    eventually("both are listed", async || listed(&sharing).await.len() == 2).await;
    other.gives_up(silent.id).await;
    eventually("one is listed", async || listed(&sharing).await == [other.id]).await;
    eventually("it is buried", async || {
        let standing = sharing.hub.standing(organization.shard()).await;
        standing.is_ok_and(|standing| standing.members.len() == 1)
    })
    .await;
    let mut connection = sharing.harness.plane.app.store.read().await.expect("a connection");
    let struck_out = holders::struck_out_us(&mut connection, organization.shard()).await;
    assert!(struck_out.expect("readable").is_some());
}

#[tokio::test]
async fn what_is_published_is_read_by_gateways_and_what_is_gone_is_not() {
    let redis = server();
    let sharing = Sharing::new(&redis.url()).await;
    let harness = &sharing.harness;
    let (account, _) = harness.isolated(3).await;
    let of = |change: &Change| match change {
        Change::Account(config) if config.id.to_string() == account => Some(config.status),
        _ => None,
    };
    assert!(sharing.directory().await.iter().any(|change| of(change) == Some(Status::Active)));
    let path = format!("/v1/sub-accounts/{account}");
    let suspended =
        harness.send(&harness.organization, "POST", &format!("{path}/suspend"), Value::Null).await;
    assert_eq!(suspended.status, 200, "{}", suspended.body);
    assert!(sharing.directory().await.iter().any(|change| of(change) == Some(Status::Suspended)));
    let keys = sharing.directory().await;
    let keys = keys.iter().filter(|change| matches!(change, Change::Key { .. })).count();
    assert_eq!(harness.send(&harness.organization, "DELETE", &path, Value::Null).await.status, 204);
    let left = sharing.directory().await;
    assert!(!left.iter().any(|change| of(change).is_some()));
    assert_eq!(left.iter().filter(|change| matches!(change, Change::Key { .. })).count(), keys - 1);
}

#[tokio::test]
async fn a_key_is_published_with_its_expiry_and_taken_back_when_it_is_retired() {
    let redis = server();
    let sharing = Sharing::new(&redis.url()).await;
    let harness = &sharing.harness;
    let (account, _) = harness.isolated(3).await;
    let path = format!("/v1/sub-accounts/{account}/api-keys");
    let listed = harness.get(&harness.organization, &path).await;
    let rotate = format!("{path}/{}/rotate", listed.body["data"][0]["id"].as_str().expect("an id"));
    let body = json!({"old_key_ends": "in_24_hours"});
    assert_eq!(harness.send(&harness.organization, "POST", &rotate, body).await.status, 201);
    let expiring = |change: &Change| matches!(change, Change::Key { expires_us: Some(_), .. });
    assert_eq!(sharing.directory().await.iter().filter(|change| expiring(change)).count(), 1);
    harness.execute("UPDATE keys SET expires_us = 1 WHERE expires_us IS NOT NULL").await;
    crate::keys::retire::some(&harness.plane.app).await.expect("retired");
    assert!(!sharing.directory().await.iter().any(expiring));
}

#[tokio::test]
async fn the_first_shard_has_the_operators_key_and_the_token_key() {
    let redis = server();
    let sharing = Sharing::new(&redis.url()).await;
    eventually("the first shard is told", async || {
        use hub::shared::SharedHub as _;
        let told = sharing.hub.directory(0, 0).await.map(|told| told.changes).unwrap_or_default();
        told.iter().any(|change| matches!(change, Change::TokenKey(_)))
            && told.iter().any(|change| matches!(change, Change::Key { .. }))
    })
    .await;
}

/// Everything is there again after `lose` has taken the server's memory away.
async fn is_rebuilt(mut redis: support::redis::Redis, lose: impl Fn(&mut support::redis::Redis)) {
    let (sharing, account, mut gateway) = with_gateway(&redis.url()).await;
    let shard = sharing.organization().shard();
    gateway.admit(&call(account, "live", None), "0").await;
    let before = sharing.hub.standing(shard).await.expect("it stands").incarnation;
    lose(&mut redis);
    let is_this =
        |change: &Change| matches!(change, Change::Account(config) if config.id == account);
    sharing.reads("the directory is there again", is_this).await;
    let standing = sharing.hub.standing(shard).await.expect("it stands");
    assert!(standing.incarnation > before);
    assert!(standing.is_learning, "the gateway has not reported yet");
    assert!(standing.members.iter().any(|member| member.id == gateway.id && member.confirmed));

    gateway.is_member().await;
    let standing = sharing.hub.standing(shard).await.expect("it stands");
    assert!(!standing.is_learning, "everyone has reported");
    let calls = sharing.hub.account_use(sharing.organization(), account).await;
    assert_eq!(calls.map(|calls| calls.live), Ok(1));
    gateway.admit(&call(account, "next", None), "0").await;
    let refused = gateway.want().await;
    assert!(
        matches!(refused, hub::state::request::Wanted::Refused { limit: 2, .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn after_a_flush_of_its_memory_the_hub_is_rebuilt_and_learns_until_gateways_have_reported() {
    is_rebuilt(server(), |redis| {
        redis.command(&["FLUSHALL"]);
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_of_its_server_the_hub_is_rebuilt_and_learns_until_gateways_have_reported()
{
    is_rebuilt(server(), |redis| {
        redis.kill();
        redis.start_again();
    })
    .await;
}

#[tokio::test]
async fn each_record_is_posted_once_also_when_it_is_sent_again_to_a_hub_without_memory() {
    let redis = server();
    let (mut sharing, account, mut gateway) = with_gateway(&redis.url()).await;
    let billed = |name| call(account, name, Some(Billing::Isolated));
    let (first, second) = (billed("1"), billed("2"));
    gateway.admit(&first, "5").await;
    gateway.admit(&second, "5").await;
    gateway.end(&first, "5").await;
    has_balance(&sharing, account, "95.00").await;
    // Posted, and the gateway has not heard so: it sends the record again.
    redis.command(&["FLUSHALL"]);
    gateway.is_member().await;
    gateway.end(&second, "7").await;
    has_balance(&sharing, account, "88.00").await;
    gateway.all_in_the_ledger().await;
    assert_eq!(balance(&sharing, account).await, "88.00");
    sharing.rest().await;
    sharing.harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn two_control_planes_post_each_record_once() {
    const CALLS: usize = 50;
    let redis = server();
    let (mut sharing, account, mut gateway) = with_gateway(&redis.url()).await;
    let other = sharing.another(&redis.url()).await;
    for number in 0..CALLS {
        let call = call(account, &number.to_string(), Some(Billing::Isolated));
        gateway.admit(&call, "1").await;
        gateway.end(&call, "1").await;
        if number == CALLS / 2 {
            redis.command(&["FLUSHALL"]);
            gateway.is_member().await;
        }
    }
    gateway.all_in_the_ledger().await;
    has_balance(&sharing, account, "50.00").await;
    sharing.rest().await;
    assert_eq!(other.verify_ledger().await.expect("readable"), []);
}

#[tokio::test]
async fn without_a_hub_the_api_answers_what_the_ledger_knows_and_changes_wait_for_the_hub() {
    let mut redis = server();
    redis.kill();
    let sharing = Sharing::new(&redis.url()).await;
    let harness = &sharing.harness;
    let body = json!({"name": "Acme", "billing_mode": "isolated", "region": "india", "concurrency_limit": 3});
    let created = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
    assert_eq!((created.status, &created.body["reason"]), (503, &json!("hub_unavailable")));
    let listed = harness.get(&harness.organization, "/v1/sub-accounts").await;
    assert_eq!((listed.status, &listed.body["data"][0]["in_use"]), (200, &Value::Null));
    let wallet = harness.get(&harness.organization, "/v1/organization/wallet").await;
    assert_eq!(
        wallet.body,
        json!({"balance": "0.00", "held": null, "available": null, "currency": "INR"})
    );
    redis.start_again();
    sharing
        .reads(
            "the change is in force",
            |change| matches!(change, Change::Account(config) if config.floor == 3),
        )
        .await;
    eventually("use is known again", async || {
        let wallet = harness.get(&harness.organization, "/v1/organization/wallet").await;
        wallet.body["held"] == json!("0.00")
    })
    .await;
}

#[tokio::test]
async fn a_change_whose_control_plane_ended_before_it_told_it_comes_into_force() {
    let redis = server();
    let (sharing, account, _gateway) = with_gateway(&redis.url()).await;
    let app = &sharing.harness.plane.app;
    let mut writing = app.store.write().await.expect("a turn");
    let mut row =
        crate::account::Account::load(writing.connection(), account).await.expect("there");
    row.cap = Some(9);
    let now_us = hub::clock::now_us();
    row.update(writing.connection(), now_us).await.expect("written");
    let changes = vec![Change::Account(row.config())];
    Publication::of_changes(&mut writing, changes).await.expect("numbered");
    writing.commit().await.expect("committed");
    sharing
        .reads("the change is in force", |change| {
            matches!(change, Change::Account(config) if config.id == account && config.cap == Some(9))
        })
        .await;
}

#[tokio::test]
async fn publications_go_on_above_the_hubs_number_after_the_database_was_restored() {
    let redis = server();
    let (sharing, account, _gateway) = with_gateway(&redis.url()).await;
    let app = &sharing.harness.plane.app;
    let shard = sharing.organization().shard();
    sharing.hub.publish(shard, 1_000_000, &[]).await.expect("published");
    eventually("numbers go on", async || {
        let mut connection = app.store.read().await.expect("a connection");
        publication::last(&mut connection, shard).await.expect("readable") > 1_000_000
    })
    .await;
    let path = format!("/v1/sub-accounts/{account}/suspend");
    let harness = &sharing.harness;
    assert_eq!(harness.send(&harness.organization, "POST", &path, Value::Null).await.status, 200);
    sharing
        .reads("the change is in force", |change| {
            matches!(change, Change::Account(config) if config.status == Status::Suspended)
        })
        .await;
}

#[tokio::test]
async fn an_account_that_is_deleted_by_force_is_closed_after_its_last_charge() {
    let redis = server();
    let (sharing, account, mut gateway) = with_gateway(&redis.url()).await;
    let last = call(account, "last", Some(Billing::Isolated));
    gateway.admit(&last, "10").await;
    let harness = &sharing.harness;
    let path = format!("/v1/sub-accounts/{account}?balance=refund");
    let refused = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
    assert_eq!((refused.status, &refused.body["live_calls"]), (409, &json!(1)));
    let path = format!("{path}&force=true");
    let deleted = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    gateway.end(&last, "10").await;
    let app = &harness.plane.app;
    eventually("the account is closed", async || {
        let mut connection = app.store.read().await.expect("a connection");
        let wallet = crate::ledger::Wallet::load(&mut connection, account).await.expect("there");
        let status = sqlx::query_scalar::<_, String>("SELECT status FROM accounts WHERE id = $1")
            .bind(account.to_string())
            .fetch_one(&mut *connection)
            .await;
        status.is_ok_and(|status| status == "deleted") && wallet.balance().micros() == 0
    })
    .await;
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn a_beginning_that_another_control_plane_has_overtaken_changes_nothing() {
    let redis = server();
    let (sharing, account, mut gateway) = with_gateway(&redis.url()).await;
    gateway.admit(&call(account, "1", None), "0").await;
    let shard = sharing.organization().shard();
    let incarnation = sharing.hub.standing(shard).await.expect("it stands").incarnation;
    let begin = Begin {
        incarnation,
        holders: Vec::new(),
        learn_min_ms: 0,
        learn_max_ms: 0,
        call_lease_s: 90,
        clock_ms: 1,
        clock_seen_ms: 0,
    };
    let beginning = hub::redis::encode::Beginning { begin, configuration: Vec::new() };
    assert_eq!(sharing.hub.begin(shard, &beginning).await, Ok::<_, NoAnswer>(false));
    gateway.is_member().await;
    assert_eq!(listed(&sharing).await, [gateway.id]);
}

#[tokio::test]
async fn a_hub_that_is_silent_keeps_no_request_waiting() {
    const ANSWER_MAX: Duration = Duration::from_secs(5);
    let redis = server();
    let (sharing, account, _gateway) = with_gateway(&redis.url()).await;
    let harness = &sharing.harness;
    redis.stop_answering();
    let path = format!("/v1/sub-accounts/{account}");
    let read = timeout(ANSWER_MAX, harness.get(&harness.organization, &path)).await;
    let read = read.expect("an answer");
    assert_eq!((read.status, &read.body["in_use"]), (200, &Value::Null));
    assert_eq!(
        (&read.body["wallet"]["balance"], &read.body["wallet"]["held"]),
        (&json!("100.00"), &Value::Null)
    );
    let suspend = format!("{path}/suspend");
    let suspended = harness.send(&harness.organization, "POST", &suspend, Value::Null);
    let suspended = timeout(ANSWER_MAX, suspended).await.expect("an answer");
    assert_eq!(suspended.status, 503);
    redis.go_on();
    sharing
        .reads("the change is in force", |change| {
            matches!(change, Change::Account(config) if config.status == Status::Suspended)
        })
        .await;
}
