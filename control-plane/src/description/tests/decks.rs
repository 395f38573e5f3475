//! Every operation of rate decks, carried out once.

use serde_json::{Value, json};

use super::all;
use crate::testing::{Harness, text};

/// A rate deck, from its first version to its end, and what calls cost by it.
pub(super) async fn carry_out_all(harness: &Harness) {
    let key = &harness.organization;
    let path = "/v1/rate-decks";
    let made = all(harness, key, &[("POST", path, json!({"name": "Retail"}))]).await;
    let own = format!("{path}/{}", text(&made["id"]));
    let versions = format!("{own}/versions");
    for query in ["?dry_run=true", "", "?effective_from=2099-01-01&billed_costs=llm,telephony"] {
        let target = format!("{versions}{query}");
        let sheet = b"prefix,per_minute\n91,1.20\n".to_vec();
        let imported = harness.send_with(key, "POST", &target, &[], sheet).await;
        assert!(imported.status < 300, "{query}: {}", imported.body);
    }
    let (account, _) = harness.isolated(0).await;
    let made = harness
        .send(key, "POST", "/v1/workspaces", json!({"name": "W", "concurrency_limit": 0}))
        .await;
    let workspace = text(&made.body["workspace_id"]);
    let [first, second] = [1, 2].map(|number| format!("{versions}/{number}"));
    let rows = format!("{first}/rows");
    let prices = [
        "/v1/price?number=91".to_owned(),
        format!("/v1/sub-accounts/{account}/price?number=91&seconds=61"),
        format!("/v1/workspaces/{workspace}/price?number=91&direction=inbound&at=2030-01-01"),
    ];
    let requests = [
        ("GET", path, Value::Null),
        ("GET", &own, Value::Null),
        ("PATCH", &own, json!({"name": "Wholesale"})),
        ("GET", &versions, Value::Null),
        ("GET", &first, Value::Null),
        ("GET", &rows, Value::Null),
        ("PATCH", "/v1/organization", json!({"default_rate_deck": made_id(&own)})),
        ("GET", &prices[0], Value::Null),
        ("GET", &prices[1], Value::Null),
        ("GET", &prices[2], Value::Null),
        ("PATCH", "/v1/organization", json!({"default_rate_deck": null})),
        ("DELETE", &second, Value::Null),
        ("DELETE", &own, Value::Null),
    ];
    all(harness, key, &requests).await;
}

/// The last segment of a path.
fn made_id(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
