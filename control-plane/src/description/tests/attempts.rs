//! Every operation of recharge attempts, carried out once for each kind of wallet.

use serde_json::{Value, json};

use super::all;
use crate::testing::{Harness, text};

pub(super) async fn carry_out_all(harness: &Harness) {
    let key = &harness.organization;
    let body = json!({"url": "https://example.com/", "events": ["recharge.wanted"]});
    let webhook = all(harness, key, &[("POST", "/v1/user-webhooks", body)]).await;
    let (account, _) = harness.isolated(0).await;
    for (key, base) in [
        (key, "/v1/organization".to_owned()),
        (key, format!("/v1/sub-accounts/{account}")),
        (&harness.operator, format!("/v1/organizations/{}", harness.organization_id)),
    ] {
        let wallet = format!("{base}/wallet");
        let attempts = format!("{wallet}/recharge-attempts");
        // Below its line if it ever had any money: it asks by itself, or is asked to.
        let asks = json!({"auto_recharge": {"below": 0, "amount": "500"}});
        all(harness, key, &[("PATCH", &wallet, asks)]).await;
        for (end, body) in [("cancel", json!({})), ("decline", json!({"reason": "card_expired"}))] {
            let opened = harness.get(key, &format!("{attempts}?status=open&limit=1")).await;
            let mut attempt = opened.body["data"][0]["attempt_id"].clone();
            if attempt.is_null() {
                let asked = all(harness, key, &[("POST", &attempts, Value::Null)]).await;
                attempt = asked["attempt_id"].clone();
            }
            let path = format!("{attempts}/{}/{end}", text(&attempt));
            all(harness, key, &[("POST", &path, body)]).await;
        }
        let removed = json!({"auto_recharge": null});
        let (none, list) = (("PATCH", &*wallet, removed), ("GET", &*attempts, Value::Null));
        all(harness, key, &[none, list]).await;
    }
    let recharge = format!("/v1/sub-accounts/{account}/wallet");
    let asks = json!({"auto_recharge": {"below": 0, "amount": "500"}});
    all(harness, key, &[("PATCH", &recharge, asks)]).await;
    let open = harness.get(key, &format!("{recharge}/recharge-attempts?status=open")).await;
    let attempt = &open.body["data"][0]["attempt_id"];
    let body = json!({"amount": "500", "currency": "INR", "attempt": attempt});
    let webhook = format!("/v1/user-webhooks/{}", text(&webhook["id"]));
    let recharge = format!("{recharge}/recharge");
    all(harness, key, &[("POST", &recharge, body), ("DELETE", &webhook, Value::Null)]).await;
}
