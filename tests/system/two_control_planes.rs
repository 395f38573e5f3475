//! Two control planes over one PostgreSQL database and one hub.

use std::time::Duration;

use serde_json::{Value, json};
use support::postgres::Postgres;
use support::process::ORGANIZATION_KEY;
use support::redis::Redis;
use support::{Account, Client, Installation, Running, wait_until};

use crate::BINARY;

const SOON: Duration = Duration::from_secs(30);

struct Pair {
    redis: Redis,
    postgres: Postgres,
}

impl Pair {
    fn new() -> Self {
        Self { redis: Redis::start(&[]), postgres: Postgres::start() }
    }

    fn plane(&self) -> Installation {
        Installation::control_plane(BINARY, &self.redis.url())
            .set("RINGFENCE_DATABASE_URL", &self.postgres.database("ringfence"))
    }

    fn gateway(&self) -> Running {
        Installation::gateway(BINARY, &self.redis.url()).start()
    }
}

fn know(gateway: &Running, account: &Account) -> Client {
    wait_until("the gateway knows the account", SOON, || {
        gateway.gateway(&account.key).get("/v1/concurrency").status == 200
    });
    gateway.gateway(&account.key)
}

/// One call of a minute, begun and ended.
fn call(stack: &mut Client, call_id: &str) {
    let (begin, end) = (json!({"call_id": call_id}), json!({"call_id": call_id, "billable_s": 60}));
    wait_until("it is admitted", SOON, || stack.post("/v1/calls/admit", &begin).status == 200);
    stack.post("/v1/calls/release", &end).expect(200);
}

fn usage(plane: &Running) -> Value {
    plane.control_plane(ORGANIZATION_KEY).get("/v1/usage").expect(200)["calls"].clone()
}

#[test]
fn two_control_planes_that_start_at_once_make_one_organization_and_serve_the_same() {
    let pair = Pair::new();
    let (one, two) = (pair.plane().spawn(), pair.plane().spawn());
    let planes = [one.listening(), two.listening()];
    let ids = planes.each_ref().map(|plane| {
        plane.control_plane(ORGANIZATION_KEY).get("/v1/organization").expect(200)["id"].clone()
    });
    assert_eq!(ids[0], ids[1]);
    let account = Account::billed(&planes[0], "prepaid", 10, ("1.20", 60, 60));
    account.recharge(&planes[1], "12.00").success();
    assert_eq!(account.wallet(&planes[0]).balance, 12_000_000);
    let gateway = pair.gateway();
    let mut stack = know(&gateway, &account);
    let path = format!("/v1/sub-accounts/{}", account.id);
    for (limit, plane) in [(3, &planes[0]), (4, &planes[1]), (5, &planes[0])] {
        let change = json!({"concurrency_limit": limit});
        plane.control_plane(ORGANIZATION_KEY).patch(&path, &change).expect(200);
        wait_until("the change is in force", SOON, || {
            stack.get("/v1/concurrency").expect(200)["limit"] == limit
        });
    }
    gateway.stop();
    planes.into_iter().for_each(Running::stop);
}

#[test]
fn what_one_control_plane_leaves_the_other_does_and_each_call_is_charged_once() {
    let pair = Pair::new();
    let (first, second) = (pair.plane().start(), pair.plane());
    let account = Account::billed(&first, "prepaid", 10, ("1.20", 60, 60));
    account.recharge(&first, "120.00").success();
    let other = second.start();
    let gateway = pair.gateway();
    let mut stack = know(&gateway, &account);
    (0..20).for_each(|number| call(&mut stack, &format!("both-{number}")));
    first.kill();
    (0..20).for_each(|number| call(&mut stack, &format!("one-{number}")));
    let again = pair.plane().start();
    (0..20).for_each(|number| call(&mut stack, &format!("again-{number}")));
    for plane in [&other, &again] {
        wait_until("each call is posted", SOON, || usage(plane) == 60);
        assert_eq!(account.wallet(plane).balance, 48_000_000);
    }
    gateway.stop();
    again.stop();
    other.stop();
}

#[test]
fn without_its_database_calls_go_on_and_are_charged_when_it_is_back() {
    let mut pair = Pair::new();
    let plane = pair.plane().start();
    let account = Account::billed(&plane, "prepaid", 10, ("1.20", 60, 60));
    account.recharge(&plane, "120.00").success();
    let gateway = pair.gateway();
    let mut stack = know(&gateway, &account);
    call(&mut stack, "before");
    pair.postgres.crash();
    (0..10).for_each(|number| call(&mut stack, &format!("without-{number}")));
    let mut administrator = plane.control_plane(ORGANIZATION_KEY);
    let refused = administrator.get("/v1/usage");
    let problem: Value = refused.json();
    assert_eq!((refused.status, &problem["reason"]), (503, &json!("busy")), "{problem}");
    pair.postgres.start_again();
    wait_until("each call is posted", SOON, || {
        administrator.get("/v1/usage").json()["calls"] == 11
    });
    assert_eq!(account.wallet(&plane).balance, 106_800_000);
    call(&mut stack, "after");
    wait_until("later calls are posted", SOON, || usage(&plane) == 12);
    gateway.stop();
    plane.stop();
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let redis = Redis::start(&[]);
    let (status, said) = Installation::control_plane(BINARY, &redis.url())
        .set("RINGFENCE_DATABASE_URL", "postgres://someone:secret-word@127.0.0.1:1/ringfence")
        .start_refused();
    assert!(!status.success());
    assert!(said.contains("the database cannot be used"), "{said}");
    assert!(!said.contains("secret-word"), "{said}");
}
