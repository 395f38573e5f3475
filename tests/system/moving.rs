//! Backup and restore by their commands, and a move from SQLite to PostgreSQL and back as README
//! describes it: with gateways that go on meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use support::account::{admit, release};
use support::postgres::Postgres;
use support::process::ORGANIZATION_KEY;
use support::redis::Redis;
use support::{Account, Installation, Running, wait_until};

use crate::{BINARY, installation};

const SOON: Duration = Duration::from_secs(30);

/// Runs a command that has to succeed; what it said.
#[track_caller]
fn succeed(installation: &Installation, arguments: &[&str]) -> String {
    let (status, said) = installation.run(arguments);
    assert!(status.success(), "{arguments:?}: {said}");
    said
}

fn usage(plane: &Running) -> Value {
    plane.control_plane(ORGANIZATION_KEY).get("/v1/usage").expect(200)
}

#[test]
fn an_installation_moves_from_sqlite_to_postgresql_and_back_while_its_gateways_go_on() {
    let (redis, postgres) = (Redis::start(&[]), Postgres::start());
    let on_sqlite = Installation::control_plane(BINARY, &redis.url());
    let on_postgres = Installation::control_plane(BINARY, &redis.url())
        .set("RINGFENCE_DATABASE_URL", &postgres.database("ringfence"));
    let on_sqlite_again = Installation::control_plane(BINARY, &redis.url());
    let backups = tempfile::tempdir().expect("a directory");
    let backup = |name: &str| backups.path().join(name).display().to_string();

    let plane = on_sqlite.start();
    let account = Account::billed(&plane, "prepaid", 10, ("1.20", 60, 60));
    account.recharge(&plane, "120.00").success();
    let gateway = Installation::gateway(BINARY, &redis.url()).start();
    wait_until("the gateway knows the account", SOON, || {
        gateway.gateway(&account.key).get("/v1/concurrency").status == 200
    });
    let mut stack = gateway.gateway(&account.key);
    let mut call = |call_id: &str| {
        wait_until("it is admitted", SOON, || {
            stack.post("/v1/calls/admit", &admit(call_id)).status == 200
        });
        stack.post("/v1/calls/release", &json!({"call_id": call_id, "billable_s": 60})).expect(200);
    };
    call("on-sqlite");
    wait_until("it is posted", SOON, || usage(&plane)["calls"] == 1);
    plane.stop();

    call("without-a-control-plane");
    succeed(&on_sqlite, &["backup", &backup("from-sqlite.db")]);
    let said = succeed(&on_postgres, &["restore", &backup("from-sqlite.db")]);
    assert!(said.contains("its ledger agrees with itself"), "{said}");
    let plane = on_postgres.start();
    wait_until("what came meanwhile is posted", SOON, || usage(&plane)["calls"] == 2);
    call("on-postgresql");
    wait_until("it is posted", SOON, || usage(&plane)["calls"] == 3);
    assert_eq!(account.wallet(&plane).balance, 116_400_000);

    // A backup of a server is made while it is used, too.
    succeed(&on_postgres, &["backup", &backup("while-used.db")]);
    plane.stop();
    succeed(&on_postgres, &["backup", &backup("from-postgresql.db")]);
    succeed(&on_sqlite_again, &["restore", &backup("from-postgresql.db")]);
    let plane = on_sqlite_again.start();
    call("on-sqlite-again");
    wait_until("it is posted", SOON, || usage(&plane)["calls"] == 4);
    assert_eq!(account.wallet(&plane).balance, 115_200_000);
    account.recharge(&plane, "1.00").success();
    gateway.stop();
    plane.stop();
}

#[test]
fn a_backup_is_made_while_calls_are_admitted_and_brings_accounts_keys_and_money_back() {
    let first = installation();
    let running = first.start();
    let account = Account::billed(&running, "prepaid", 10, ("1.20", 60, 60));
    account.recharge(&running, "12.00").success();
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &admit("ended")).expect(200);
    stack.post("/v1/calls/release", &release("ended")).expect(200);
    stack.post("/v1/calls/admit", &admit("live")).expect(200);
    wait_until("it is posted", SOON, || usage(&running)["calls"] == 1);
    let file = first.directory().with_extension("backup").display().to_string();
    let said = succeed(&first, &["backup", &file]);
    assert!(said.contains("1 calls"), "{said}");
    let (status, said) = first.run(&["backup", &file]);
    assert!(!status.success() && said.contains("never replaces a file"), "{said}");
    let (status, said) = first.run(&["restore", &file]);
    assert!(!status.success() && said.contains("in use by another control plane"), "{said}");
    let balance = account.wallet(&running).balance;
    running.kill();

    let second = installation();
    succeed(&second, &["restore", &file]);
    let running = second.start();
    assert_eq!(account.wallet(&running).balance, balance);
    let mut stack = running.gateway(&account.key);
    assert_eq!(stack.post("/v1/calls/renew", &admit("live")).reason(404), "unknown_call");
    stack.post("/v1/calls/admit", &admit("after")).expect(200);
    running.stop();
}

#[test]
fn migrate_says_what_it_did_and_is_done_once() {
    let installation = installation();
    let first = succeed(&installation, &["migrate"]);
    assert!(first.contains("from version 0"), "{first}");
    let again = succeed(&installation, &["migrate"]);
    assert!(again.contains("up to date"), "{again}");
    installation.start().stop();
}
