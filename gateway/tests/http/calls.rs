//! Calls from admit to receipt, in every form that stacks speak.

use std::time::Duration;

use hub::cap::CapId;
use hub::directory::{Change, ResourceConfig, ResourceKind};
use hub::id::Ulid;
use hub::key::{KeyHash, KeyScope};

use crate::client::Client;
use crate::world::{
    ELASTIC, OPERATOR, ORGANIZATION, TEN, Watch, World, elastic, key, organization, ten,
};

#[test]
fn a_call_is_admitted_answered_renewed_released_and_looked_up() {
    let world = World::new();
    let mut client = world.client(TEN);
    let body = r#"{"call_id":"a/b@c","to":"+9122","from":"x","requested_s":60,"source":"k1"}"#;
    let admitted = client.post("/v1/calls/admit", body);
    assert_eq!((admitted.status, admitted.header("content-type")), (200, Some("application/json")));
    let grant = admitted.json();
    assert_eq!(grant["admitted"], true);
    assert_eq!(grant["account"], ten().to_string());
    assert_eq!((&grant["in_use"], &grant["limit"]), (&1.into(), &10.into()));
    assert_eq!((&grant["duplicate"], &grant["final"]), (&false.into(), &false.into()));
    let again = client.post("/v1/calls/admit", body).json();
    assert_eq!((&again["duplicate"], &again["in_use"]), (&true.into(), &1.into()));
    assert_eq!(world.recorded(ten()), 1);

    let live = client.post("/v1/calls/answer", r#"{"call_id":"a/b@c"}"#).json();
    assert_eq!(live["state"], "live");
    assert!(live["answered_at"].is_string(), "{live}");
    let token = grant["token"].as_str().expect("a token");
    let renew = format!(r#"{{"call_id":"a/b@c","token":"{token}"}}"#);
    assert_eq!(client.post("/v1/calls/renew", &renew).status, 200);
    let seen = client.get("/v1/calls/a%2Fb%40c").json();
    assert_eq!((&seen["to"], &seen["agent_id"]), (&"+9122".into(), &serde_json::Value::Null));
    let listed = client.get("/v1/calls?state=live&source=k1&limit=10").json();
    assert_eq!(listed["calls"][0]["call_id"], "a/b@c");
    assert!(listed["next_cursor"].is_null() && listed["calls"][0]["renewal_age_s"].is_u64());

    let release = r#"{"call_id":"a/b@c","outcome":"completed","costs":{"llm":0.1}}"#;
    let receipt = client.post("/v1/calls/release", release);
    assert_eq!(receipt.status, 200);
    assert_eq!(receipt.json()["state"], "ended");
    assert_eq!(receipt.json()["cause"], "release");
    assert_eq!(client.post("/v1/calls/release", release).body, receipt.body);
    assert_eq!(client.get("/v1/calls/a%2Fb%40c").body, receipt.body);
    let gone = client.post("/v1/calls/admit", body);
    assert_eq!((gone.status, &gone.json()["reason"]), (410, &"call_ended".into()));
    assert_eq!(gone.json()["receipt"], receipt.json());
    assert_eq!(client.post("/v1/calls/release", r#"{"call_id":"never"}"#).status, 404);
    assert_eq!(client.get("/v1/concurrency").json()["in_use"], 0);
}

#[test]
fn the_eleventh_call_is_refused_with_the_numbers_in_the_form_that_was_asked_for() {
    let world = World::new();
    let mut client = world.client(TEN);
    for number in 0..10 {
        let body = format!(r#"{{"call_id":"c{number}"}}"#);
        assert_eq!(client.post("/v1/calls/admit", &body).status, 200);
    }
    let refused = client.post("/v1/calls/admit", r#"{"call_id":"c10"}"#);
    assert_eq!(refused.status, 409);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.json();
    assert_eq!((&problem["sip_code"], &problem["reason"]), (&486.into(), &"no_slot".into()));
    assert_eq!((&problem["limit"], &problem["in_use"]), (&10.into(), &10.into()));
    assert_eq!((&problem["statusCode"], &problem["error"]), (&409.into(), &"Conflict".into()));

    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let text = format!("{form}Accept: text/plain\r\n");
    let line = client.post_with("/v1/calls/admit", &text, b"call_id=c10");
    assert_eq!(line.status, 409);
    assert!(line.body.starts_with("denied reason=no_slot sip_code=486 "), "{}", line.body);
    let urlencoded = format!("{form}Accept: application/x-www-form-urlencoded\r\n");
    let reply = client.post_with("/v1/calls/admit?status=200", &urlencoded, b"call_id=c10");
    assert_eq!(reply.status, 200);
    assert!(reply.body.starts_with("result=denied&reason=no_slot&"), "{}", reply.body);
    let reply = client.post_with("/v1/calls/admit?call_id=c9", &text, b"");
    assert!(reply.body.starts_with("allowed granted_s= call_id=c9 "), "{}", reply.body);
}

#[test]
fn a_number_and_a_provider_count_and_only_their_organization_sees_how_many() {
    let world = World::new();
    let resource = |kind, name: &str, owner, cap, id| {
        Change::Resource(ResourceConfig {
            organization: organization(),
            kind,
            name: name.into(),
            version: 1,
            account: owner,
            id: CapId::of(Ulid(id)),
            cap,
        })
    };
    let shared = [
        resource(ResourceKind::Number, "919812345678", None, Some(1), 1_001),
        resource(ResourceKind::Provider, "carrier", None, None, 1_002),
        resource(ResourceKind::Agent, "ag", Some(elastic()), None, 1_003),
    ];
    world.hub.publish(&shared).expect("published");
    let mut client = world.client(TEN);
    let admit = |client: &mut Client, call: &str| {
        client.post("/v1/calls/admit", &format!(r#"{{"from":"+919812345678",{call}}}"#))
    };
    assert_eq!(admit(&mut client, r#""call_id":"a","provider":"carrier""#).status, 200);
    let refused = admit(&mut client, r#""call_id":"b""#);
    assert_eq!(refused.status, 409);
    let problem = refused.json();
    assert_eq!((&problem["scope"], &problem["sip_code"]), (&"phone_number".into(), &486.into()));
    assert!(problem.get("limit").is_none(), "how many others may call is not its business");
    let mut parent = world.client(ORGANIZATION);
    let problem = admit(&mut parent, r#""call_id":"b""#).json();
    assert_eq!((&problem["limit"], &problem["in_use"]), (&1.into(), &1.into()));
    let message = "concurrency limit reached: 1 of 1 calls of the phone number are live";
    assert_eq!(problem["message"], message);

    let refused = client.post("/v1/calls/admit", r#"{"call_id":"c","provider":"nobody"}"#);
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (400, &"provider".into()));
    let refused = client.post("/v1/calls/admit", r#"{"call_id":"c","agent_id":"ag"}"#);
    assert_eq!((refused.status, &refused.json()["reason"]), (403, &"forbidden".into()));
    client.post("/v1/calls/release", r#"{"call_id":"a"}"#);
    assert_eq!(admit(&mut parent, r#""call_id":"b""#).status, 200);
}

#[test]
fn every_form_of_a_key_opens_and_others_are_as_if_nothing_existed() {
    let world = World::new();
    let mut client = world.client("");
    let mut status = |headers: &str| {
        let request = format!("GET /v1/concurrency HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        client.send(request).expect("sent");
        client.reply()
    };
    assert_eq!(status(&format!("X-API-Key: {TEN}\r\n")).status, 200);
    assert_eq!(status(&format!("authorization: bearer {TEN}\r\n")).status, 200);
    let basic = |pair: &str| {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Authorization: Basic {encoded}\r\n")
    };
    assert_eq!(status(&basic(&format!("{TEN}:"))).status, 200);
    assert_eq!(status(&basic(&format!("any:{TEN}"))).status, 200);
    let nothing =
        ["", "Authorization: Bearer nobody\r\n", "Authorization: Digest x\r\n", "X-API-Key:\r\n"];
    for headers in nothing {
        let reply = status(headers);
        assert_eq!((reply.status, reply.json()["reason"].as_str()), (401, Some("unauthenticated")));
        assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
        assert!(!reply.body.contains("nobody"));
    }
}

#[test]
fn a_connection_that_carries_many_keys_never_mixes_them_up() {
    let world = World::new();
    let mut client = world.client("");
    let mut account_of = |secret: &str| {
        let request =
            format!("GET /v1/concurrency HTTP/1.1\r\nHost: x\r\nX-API-Key: {secret}\r\n\r\n");
        client.send(request).expect("sent");
        let reply = client.reply();
        (reply.status == 200).then(|| reply.json()["account"].as_str().expect("an id").to_owned())
    };
    for _ in 0..3 {
        assert_eq!(account_of(TEN), Some(ten().to_string()));
        assert_eq!(account_of(ELASTIC), Some(elastic().to_string()));
    }
    let gone = Change::KeyGone { hash: KeyHash::of(ELASTIC.as_bytes()), organization: None };
    world.hub.publish(&[gone]).expect("published");
    assert_eq!(account_of(ELASTIC), None);
    world.hub.publish(&[key(ELASTIC, KeyScope::Account(ten()))]).expect("published");
    assert_eq!(account_of(ELASTIC), Some(ten().to_string()));
}

#[test]
fn a_key_opens_until_its_expiry_and_then_nothing_on_the_same_connection() {
    let world = World::new();
    let expiring = |life_us: i64| {
        let expires_us = Some(hub::clock::now_us() + life_us);
        let hash = KeyHash::of(b"a key that expires");
        let scope = KeyScope::Account(ten());
        Change::Key { hash, scope, organization: Some(organization()), expires_us }
    };
    world.hub.publish(&[expiring(3_600_000_000)]).expect("published");
    let mut client = world.client("a key that expires");
    assert_eq!(client.get("/v1/concurrency").status, 200);
    world.hub.publish(&[expiring(500_000)]).expect("published");
    let watch = Watch::start();
    while client.get("/v1/concurrency").status == 200 {
        assert!(watch.elapsed() < Duration::from_secs(20), "it expired long ago");
    }
    assert!(watch.elapsed() >= Duration::from_millis(400), "not before its time");
    assert_eq!(client.get("/v1/concurrency").status, 401);
}

#[test]
fn only_keys_above_an_account_may_name_it_and_see_its_organization() {
    let world = World::new();
    let target = format!("/v1/concurrency?account={}", ten());
    for key in [ORGANIZATION, OPERATOR] {
        let seen = world.client(key).get(&target);
        assert_eq!(seen.status, 200);
        assert_eq!(seen.json()["organization_total"], 100_000);
    }
    let own = world.client(TEN).get(&target);
    assert_eq!(own.status, 200);
    assert!(own.json().get("organization_total").is_none());
    let foreign = world.client(ELASTIC).get(&target);
    assert_eq!((foreign.status, &foreign.json()["reason"]), (404, &"unknown_account".into()));
}

#[test]
fn get_admits_only_where_the_operator_allows_it() {
    let closed = World::new();
    let reply = closed.client(TEN).get("/v1/calls/admit?call_id=a");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    let open = World::with(|settings| settings.get_allowed = true);
    assert_eq!(open.client(TEN).get("/v1/calls/admit?call_id=a&to=%2B91").status, 200);
    assert_eq!(open.client(TEN).get("/v1/nothing").status, 404);
}

#[test]
fn reconcile_renews_what_is_listed_and_an_empty_list_frees_nothing() {
    let world = World::new();
    let mut client = world.client(TEN);
    for id in ["a", "b"] {
        client.post("/v1/calls/admit", &format!(r#"{{"call_id":"{id}","source":"s"}}"#));
    }
    let listed = r#"{"source":"s","live":["a","zzz"],"complete":true}"#;
    let done = client.post("/v1/calls/reconcile", listed).json();
    assert_eq!((&done["renewed"], &done["unknown"]), (&1.into(), &1.into()));
    for _ in 0..3 {
        let done =
            client.post("/v1/calls/reconcile", r#"{"source":"s","live":[],"complete":true}"#);
        assert_eq!((done.status, &done.json()["freed"]), (200, &0.into()));
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let done = client.post_with("/v1/calls/reconcile", form, b"source=s&live=a,b&complete=false");
    assert_eq!(done.json()["renewed"], 2);
    let bad =
        client.post("/v1/calls/reconcile", r#"{"source":"s","live":["a",7,""],"complete":1}"#);
    assert_eq!(
        (bad.status, bad.bad_fields()),
        (400, vec!["complete".into(), "live[1]".into(), "live[2]".into()])
    );
    assert_eq!(world.recorded(ten()), 2);
}

#[test]
fn draining_refuses_new_calls_releases_live_ones_and_leaves_nothing_open() {
    let mut world = World::new();
    let mut client = world.client(TEN);
    client.post("/v1/calls/admit", r#"{"call_id":"a"}"#);
    world.engine.drain();
    let refused = client.post("/v1/calls/admit", r#"{"call_id":"b"}"#);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.json()["reason"], "draining");
    assert_eq!(client.post("/v1/calls/release", r#"{"call_id":"a"}"#).status, 200);
    let address = world.address();
    world.drain(Duration::from_secs(5));
    assert!(client.is_ended());
    assert!(std::net::TcpStream::connect(address).is_err());
}
