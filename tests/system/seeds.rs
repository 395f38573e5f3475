//! The curl commands of the product description, as published but for host, key and the id that
//! stands for another.

use serde_json::Value;
use support::command::shell;
use support::process::ORGANIZATION_KEY;

use crate::installation;

const CREATE: &str = r#"curl -X POST https://api.dialnexa.com/v1/sub-accounts \
  -H "Authorization: Bearer dnx_live_xxxx" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Acme Corp",
    "billing_mode": "isolated",
    "region": "india",
    "concurrency_limit": 10
  }'"#;

const RECHARGE: &str = r#"curl -X POST https://api.dialnexa.com/v1/sub-accounts/sa_01h9xyz.../wallet/recharge \
  -H "Authorization: Bearer dnx_live_xxxx" \
  -H "Content-Type: application/json" \
  -d '{
    "amount": 5000,
    "currency": "INR"
  }'"#;

const KEY: &str = r#"curl -X POST https://api.dialnexa.com/v1/sub-accounts/sa_01h9xyz.../api-keys \
  -H "Authorization: Bearer dnx_live_xxxx" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Acme Corp Production Key",
    "type": "live"
  }'"#;

#[test]
fn the_three_published_curl_commands_work_with_another_host_and_key() {
    let running = installation().start();
    let host = format!("http://{}", running.control_plane);
    let run = |command: &str, id: &str| -> Value {
        let command = command
            .replace("https://api.dialnexa.com", &host)
            .replace("dnx_live_xxxx", ORGANIZATION_KEY)
            .replace("sa_01h9xyz...", id);
        serde_json::from_str(&shell(&command, &[])).expect("JSON")
    };

    let created = run(CREATE, "");
    let id = created["sub_account_id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("sa_") && id.len() == 29, "{id}");
    for (name, value) in [
        ("name", "Acme Corp"),
        ("status", "active"),
        ("billing_mode", "isolated"),
        ("region", "india"),
    ] {
        assert_eq!(created[name], value, "{created}");
    }
    assert_eq!(created["concurrency_limit"], 10);
    assert!(created["created_at"].as_str().expect("a time").ends_with('Z'), "{created}");

    run(RECHARGE, &id);
    let mut control_plane = running.control_plane(ORGANIZATION_KEY);
    let wallet = control_plane.get(&format!("/v1/sub-accounts/{id}/wallet")).expect(200);
    assert_eq!((&wallet["balance"], &wallet["currency"]), (&"5000.00".into(), &"INR".into()));

    let key = run(KEY, &id);
    assert_eq!(key["name"], "Acme Corp Production Key");
    assert_eq!(key["type"], "live");
    let secret = key["secret"].as_str().expect("the secret, once");
    assert!(secret.ends_with(key["last4"].as_str().expect("the last four")), "{key}");
    let admitted = running
        .gateway(secret)
        .post("/v1/calls/admit", &serde_json::json!({"call_id": "with-the-new-key"}))
        .expect(200);
    assert_eq!(admitted["account"], id.as_str());
    running.stop();
}
