//! What operators see: metrics, probes, logs without secrets.

use std::time::Duration;

use serde_json::json;
use support::command::run;
use support::process::{OPERATOR_KEY, ORGANIZATION_KEY};
use support::{Account, Running, wait_until};

use crate::installation;

/// Traffic of every kind: admits, denials, releases, wrong keys, changes of configuration.
fn traffic(running: &Running) -> Account {
    let account = Account::billed(running, "observed", 2, ("1.20", 60, 60));
    account.recharge(running, "100").success();
    let mut stack = running.gateway(&account.key);
    for call in ["a", "b", "c"] {
        stack.post("/v1/calls/admit", &json!({"call_id": call, "source": "kam-1"}));
    }
    stack.post("/v1/calls/renew", &json!({"call_id": "a"}));
    stack.post("/v1/calls/answer", &json!({"call_id": "a"}));
    stack.post("/v1/calls/release", &json!({"call_id": "a", "billable_s": 61}));
    stack.post("/v1/calls/admit", &json!({"call_id": ""}));
    running.gateway(WRONG_KEY).post("/v1/calls/admit", &json!({"call_id": "x"}));
    account
}

const WRONG_KEY: &str = "wrong-key-that-nobody-may-log-0123456789";

#[test]
fn the_metrics_pass_promtool_and_have_the_names_of_the_contract() {
    let running = installation().start();
    let account = traffic(&running);
    let scrape = running.ops().get("/metrics");
    assert!(scrape.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let text = scrape.text();
    let checked = run("promtool", &["check", "metrics"], &[], &text);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned()
        + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.trim().is_empty(), "{said}\n{text}");
    for name in [
        "ringfence_admissions_total",
        "ringfence_admission_duration_seconds",
        "ringfence_calls_live",
        "ringfence_calls_released_total",
        "ringfence_slots",
        "ringfence_hub_sync_duration_seconds",
        "ringfence_hub_up",
        "ringfence_hub_regime",
        "ringfence_overshoot",
        "ringfence_unflushed_calls",
        "ringfence_wallet_holds",
        "ringfence_build_info",
    ] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} in\n{text}");
    }
    let (id, key) = (&account.id, "account");
    for line in [
        format!("ringfence_account_calls_live{{{key}=\"{id}\"}} 1"),
        format!("ringfence_account_limit{{{key}=\"{id}\"}} 2"),
        format!("ringfence_account_denials_total{{{key}=\"{id}\",reason=\"no_slot\"}} 1"),
    ] {
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    assert!(text.contains("ringfence_admissions_total{outcome=\"admitted\""), "{text}");
    running.stop();
}

#[test]
fn an_accounts_key_scrapes_only_itself_on_the_gateway_and_nobody_scrapes_all_there() {
    let running = installation().start();
    let account = traffic(&running);
    let other = Account::limited(&running, "other", 5);
    let own = running.gateway(&account.key).get("/v1/metrics");
    assert_eq!(own.status, 200);
    assert!(own.text().contains(&account.id) && !own.text().contains(&other.id), "{}", own.text());
    assert_eq!(running.gateway(&account.key).get("/metrics").status, 404);
    assert_eq!(running.control_plane(OPERATOR_KEY).get("/metrics").status, 404);
    running.stop();
}

#[test]
fn a_serving_process_is_alive_and_ready() {
    let running = installation().start();
    wait_until("it is ready", Duration::from_secs(2), || {
        running.ops().get("/readyz").status == 200
    });
    assert_eq!(running.ops().get("/livez").status, 200);
    running.stop();
}

#[test]
fn no_secret_stands_in_any_log_at_any_level() {
    for format in ["text", "json"] {
        let running = installation()
            .set("RINGFENCE_LOG_LEVEL", "trace")
            .set("RINGFENCE_LOG_FORMAT", format)
            .start();
        let account = traffic(&running);
        let path = format!("/v1/sub-accounts/{}/api-keys", account.id);
        let mut control_plane = running.control_plane(ORGANIZATION_KEY);
        let made =
            control_plane.post(&path, &json!({"name": "second", "type": "test"})).expect(201);
        let second = made["secret"].as_str().expect("a secret").to_owned();
        let basic = "d3JvbmcxOnNlY3JldDIz";
        let header = format!("Basic {basic}");
        let mut anonymous = running.gateway("");
        for headers in [[("Authorization", header.as_str())], [("X-API-Key", second.as_str())]] {
            let _any_answer = anonymous.request("GET", "/v1/concurrency", &headers, b"");
        }
        running.control_plane(WRONG_KEY).get("/v1/sub-accounts");
        let revoke = format!("{path}/{}", made["id"].as_str().expect("an id"));
        control_plane.delete(&revoke).success();

        running.ask_to_stop();
        let stdout = running.stdout();
        let (status, stderr) = running.ended();
        assert!(status.success(), "{stderr}");
        assert!(!stderr.is_empty());
        let secrets = [OPERATOR_KEY, ORGANIZATION_KEY, WRONG_KEY, basic, &account.key, &second];
        for secret in secrets {
            assert!(!stderr.contains(secret) && !stdout.contains(secret), "{secret} was logged");
        }
        if format == "json" {
            let odd = stderr
                .lines()
                .find(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
            assert_eq!(odd, None, "every line is JSON");
        }
    }
}
