//! What is asked for and refused: settings, numbers, credit notes, and who sees what.

use super::*;

/// One account with a charge in March.
async fn charged(harness: &Harness, cost: i64) -> (String, String) {
    let (id, key) = harness.isolated(1).await;
    let account: AccountId = id.parse().expect("an id");
    let told = Told {
        account,
        billing: Billing::Isolated,
        admitted_us: MARCH_US + DAY_US,
        number: 0,
        cost,
        revision: 0,
    };
    harness.post(&[told], MARCH_US + 2 * DAY_US).await;
    (id, key)
}

const MARCH: [&str; 2] = ["2025-03-01", "2025-03-31"];

#[tokio::test]
async fn settings_are_merged_checked_and_tagged() {
    let harness = Harness::new().await;
    let path = "/v1/organization/invoicing";
    let before = harness.get(&harness.organization, path).await;
    assert_eq!((before.status, &before.body["starts_at"]), (200, &Value::Null));
    let tag = before.headers["etag"].to_str().expect("text").to_owned();
    let taxes = json!([{"name": "CGST", "rate_bp": 900}, {"name": "SGST", "rate_bp": 900}]);
    let changed = harness
        .configure(json!({"issuer": {"legal_name": "Acme", "address": ["1 Road"]}, "taxes": taxes,
            "time_zone": "Asia/Kolkata", "automatic": true}))
        .await;
    assert_eq!((changed.status, &changed.body["taxes"]), (200, &taxes), "{}", changed.body);
    assert!(
        changed.body["starts_at"].as_str().expect("a time").ends_with(":30:00Z"),
        "{}",
        changed.body
    );
    let stale = [("if-match", tag.as_str())];
    let body = json!({"automatic": false}).to_string().into_bytes();
    let refused = harness.send_with(&harness.organization, "PATCH", path, &stale, body).await;
    assert_eq!(refused.status, 412);
    let removed = harness.configure(json!({"taxes": [], "automatic": false, "issuer": null})).await;
    assert_eq!((&removed.body["taxes"], &removed.body["issuer"]), (&json!([]), &Value::Null));
    let many: Vec<Value> = (0..9).map(|_| json!({"name": "x", "rate_bp": 1})).collect();
    for (body, fields) in [
        (json!({"automatic": true}), vec!["automatic"]),
        (json!({"invoice_prefix": "INV1"}), vec!["invoice_prefix"]),
        (json!({"credit_note_prefix": "LONGER-THAN-"}), vec!["credit_note_prefix"]),
        (json!({"time_zone": "Mars/Olympus"}), vec!["time_zone"]),
        (json!({"issue_after_days": 29}), vec!["issue_after_days"]),
        (json!({"taxes": many}), vec!["taxes"]),
        (
            json!({"taxes": [{"name": "", "rate_bp": 10_001, "x": 1}]}),
            vec!["taxes.0.name", "taxes.0.rate_bp", "taxes.0.x"],
        ),
        (
            json!({"issuer": {"address": ["", "a"], "email": "nobody"}}),
            vec!["issuer.legal_name", "issuer.address", "issuer.email"],
        ),
        (
            json!({"issuer": {"legal_name": "x", "address": ["a", "b", "c", "d", "e", "f", "g"]}}),
            vec!["issuer.address"],
        ),
        (json!({"note": "x".repeat(501)}), vec!["note"]),
    ] {
        let refused = harness.configure(body.clone()).await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, fields.into_iter().map(str::to_owned).collect()),
            "{body}"
        );
    }
    // The operator's way to the same.
    let path = format!("/v1/organizations/{}/invoicing", harness.organization_id);
    let body = json!({"note": "Payable within 30 days"});
    assert_eq!(harness.send(&harness.operator, "PATCH", &path, body).await.status, 200);
    let read = harness.get(&harness.organization, "/v1/organization/invoicing").await;
    assert_eq!(read.body["note"], json!("Payable within 30 days"));
}

#[tokio::test]
async fn numbers_have_no_gap_and_a_period_is_invoiced_once() {
    let harness = Harness::new().await;
    let (id, _) = charged(&harness, 1_000_000).await;
    let [from, to] = MARCH;
    let refused = harness.invoice(Some(&id), from, to).await;
    assert_eq!(
        (refused.status, &refused.body["reason"]),
        (409, &json!("invoicing_not_configured"))
    );
    harness.invoicing().await;
    let body = json!({"account": id, "from": from, "to": to}).to_string().into_bytes();
    let key = [("idempotency-key", "march")];
    let send = async || {
        harness.send_with(&harness.organization, "POST", "/v1/invoices", &key, body.clone()).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!(
        (first.status, &first.body["number"]),
        (201, &json!("INV-000001")),
        "{}",
        first.body
    );
    assert_eq!(first.body, again.body, "the stored answer, though the period is invoiced by now");
    for (from, to, status, reason) in [
        ("2025-03-31", "2025-04-30", 409, "period_invoiced"),
        ("2025-02-01", "2025-02-28", 409, "period_invoiced"),
        ("2025-04-01", "2025-04-30", 409, "nothing_to_invoice"),
        ("2024-12-31", "2025-04-30", 400, "invalid_request"),
        ("2025-04-02", "2025-04-01", 400, "invalid_request"),
        ("2025-04-01", "2999-01-01", 400, "invalid_request"),
    ] {
        let refused = harness.invoice(Some(&id), from, to).await;
        assert_eq!(
            (refused.status, &refused.body["reason"]),
            (status, &json!(reason)),
            "{from} {to}: {}",
            refused.body
        );
    }
    let (other, _) = charged(&harness, 4_999).await;
    let refused = harness.invoice(Some(&other), from, to).await;
    assert_eq!(
        (refused.status, &refused.body["charged"]),
        (409, &json!("0.004999")),
        "not half a paisa"
    );
    let (third, _) = charged(&harness, 5_000).await;
    harness.configure(json!({"invoice_prefix": "25-26/"})).await;
    let issued = harness.invoice(Some(&third), from, to).await;
    assert_eq!(
        (&issued.body["number"], &issued.body["total"]),
        (&json!("25-26/000002"), &json!("0.01"))
    );
    let refused = harness.configure(json!({"starts_at": "2025-02-01"})).await;
    assert_eq!((refused.status, named(&refused.body)), (400, vec!["starts_at".to_owned()]));
    harness.assert_invoices_agree().await;
}

#[tokio::test]
async fn what_was_issued_stays_and_credit_notes_take_off_no_more_than_it_was() {
    let harness = Harness::new().await;
    harness.invoicing().await;
    harness
        .configure(
            json!({"taxes": [{"name": "CGST", "rate_bp": 900}, {"name": "SGST", "rate_bp": 900}]}),
        )
        .await;
    let (id, _) = charged(&harness, 100_500_000).await;
    let details = format!("/v1/sub-accounts/{id}/billing-details");
    let recipient = json!({"recipient": {"legal_name": "Client GmbH", "tax_id": "DE1"}});
    assert_eq!(harness.send(&harness.organization, "PATCH", &details, recipient).await.status, 200);
    let webhook =
        json!({"url": "https://example.com/", "events": ["invoice.issued", "credit_note.issued"]});
    let made = harness.send(&harness.organization, "POST", "/v1/user-webhooks", webhook).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let issued = harness.invoice(Some(&id), MARCH[0], MARCH[1]).await;
    // 9 % of 100.50 is 9.045: half a paisa up.
    for (member, value) in
        [("net", "100.50"), ("tax", "18.10"), ("total", "118.60"), ("credited", "0.00")]
    {
        assert_eq!(issued.body[member], json!(value), "{member}");
    }
    assert_eq!(issued.body["recipient"]["legal_name"], json!("Client GmbH"));
    let path = format!("/v1/invoices/{}", text(&issued.body["invoice_id"]));
    let before = harness.get(&harness.organization, &path).await.body;
    harness
        .configure(json!({"issuer": {"legal_name": "New"}, "taxes": [], "time_zone": "Asia/Tokyo"}))
        .await;
    harness.send(&harness.organization, "PATCH", &details, json!({"recipient": null})).await;
    assert_eq!(harness.get(&harness.organization, &path).await.body, before);
    let notes = format!("{path}/credit-notes");
    let credit =
        async |body: Value| harness.send(&harness.organization, "POST", &notes, body).await;
    for (body, status, reason) in [
        (json!({"reason": "x", "net": "100.51"}), 409, "exceeds_invoice"),
        (json!({"reason": "x", "net": "1.005"}), 400, "invalid_request"),
        (json!({"reason": "x", "net": 0}), 400, "invalid_request"),
        (json!({"reason": " ", "net": 1}), 400, "invalid_request"),
    ] {
        let refused = credit(body.clone()).await;
        assert_eq!((refused.status, &refused.body["reason"]), (status, &json!(reason)), "{body}");
    }
    let part = credit(json!({"reason": "Outage", "net": "33.35"})).await;
    assert_eq!(
        (part.status, &part.body["number"], &part.body["total"]),
        (201, &json!("CN-000001"), &json!("39.35")),
        "{}",
        part.body
    );
    let rest = credit(json!({"reason": "All"})).await;
    for (member, value) in
        [("number", "CN-000002"), ("net", "67.15"), ("tax", "12.10"), ("total", "79.25")]
    {
        assert_eq!(rest.body[member], json!(value), "{member}");
    }
    let refused = credit(json!({"reason": "More"})).await;
    assert_eq!((refused.status, &refused.body["left"]), (409, &json!("0.00")));
    let after = harness.get(&harness.organization, &path).await.body;
    assert_eq!(after["credited"], after["total"]);
    let listed = format!("/v1/credit-notes?invoice_id={}", text(&issued.body["invoice_id"]));
    let listed = harness.get(&harness.organization, &listed).await;
    assert_eq!(listed.body["data"], json!([rest.body, part.body]));
    let told = "SELECT CAST(COUNT(*) AS BIGINT) FROM webhook_deliveries WHERE event IN ('invoice.issued', 'credit_note.issued')";
    assert_eq!(harness.number(told).await, 3, "webhooks are told of each document");
    assert_eq!(harness.audit("invoice").await.len(), 1);
    assert_eq!(harness.audit("credit_note").await.len(), 2);
    harness.assert_invoices_agree().await;
}

#[tokio::test]
async fn an_account_sees_what_is_made_out_to_it_and_nothing_else() {
    let harness = Harness::new().await;
    harness.invoicing().await;
    let (id, key) = charged(&harness, 1_000_000).await;
    let (_, other_key) = charged(&harness, 1_000_000).await;
    let issued = harness.invoice(Some(&id), MARCH[0], MARCH[1]).await;
    let path = format!("/v1/invoices/{}", text(&issued.body["invoice_id"]));
    let body = json!({"reason": "Outage", "net": "0.50"});
    let credited = harness
        .send(&harness.organization, "POST", &format!("{path}/credit-notes"), body.clone())
        .await;
    let note = format!("/v1/credit-notes/{}", text(&credited.body["credit_note_id"]));
    let made = json!({"name": "Other", "concurrency_total": 10, "currency": "INR"});
    let foreign = harness.send(&harness.operator, "POST", "/v1/organizations", made).await;
    let foreign_key = text(&foreign.body["api_key"]);
    let workspace = json!({"name": "Staging", "concurrency_limit": 1});
    let workspace = harness.send(&harness.organization, "POST", "/v1/workspaces", workspace).await;
    let workspace_key = text(&workspace.body["api_key"]);
    for (who, sees) in [
        (&key, true),
        (&other_key, false),
        (&workspace_key, false),
        (&foreign_key, false),
        (&harness.operator, true),
    ] {
        for (path, reason) in [(&path, "unknown_invoice"), (&note, "unknown_credit_note")] {
            let read = harness.get(who, path).await;
            assert_eq!(read.status, if sees { 200 } else { 404 }, "{path}: {}", read.body);
            assert!(sees || read.body["reason"] == reason, "{}", read.body);
        }
        if *who != harness.operator {
            for list in ["/v1/invoices", "/v1/credit-notes"] {
                let listed = harness.get(who, list).await;
                assert_eq!(
                    listed.body["data"].as_array().expect("a list").len(),
                    usize::from(sees),
                    "{list}"
                );
            }
        }
    }
    let foreign_note =
        harness.send(&foreign_key, "POST", &format!("{path}/credit-notes"), body.clone()).await;
    assert_eq!(foreign_note.status, 404, "{}", foreign_note.body);
    let own = harness.send(&key, "POST", &format!("{path}/credit-notes"), body).await;
    assert_eq!(own.status, 403);
    let theirs = harness
        .send(
            &foreign_key,
            "POST",
            "/v1/invoices",
            json!({"account": id, "from": "2025-04-01", "to": "2025-04-30"}),
        )
        .await;
    assert!([404, 409].contains(&theirs.status), "{}", theirs.body);
    let missing =
        harness.get(&harness.organization, "/v1/invoices/inv_01arz3ndektsv4rrffq69g5fav").await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn as_a_table_an_invoice_is_its_lines_and_what_they_come_to() {
    let harness = Harness::new().await;
    harness.invoicing().await;
    harness.configure(json!({"taxes": [{"name": "VAT, full", "rate_bp": 1_900}]})).await;
    let (id, _) = charged(&harness, 10_004_000).await;
    let issued = harness.invoice(Some(&id), MARCH[0], MARCH[1]).await;
    let path = format!("/v1/invoices/{}", text(&issued.body["invoice_id"]));
    let accept = [("accept", "text/csv")];
    let table = harness.send_with(&harness.organization, "GET", &path, &accept, Vec::new()).await;
    let table = String::from_utf8(table.bytes).expect("text");
    let expected = format!(
        "number,kind,account,name,calls,billable_s,minutes,charged,amount,currency\r\n\
         INV-000001,calls,{id},Acme Corp,1,60,1.00,10.004,10.00,INR\r\n\
         INV-000001,rounding,{id},,,,,,0.00,INR\r\n\
         INV-000001,net,{id},,,,,,10.00,INR\r\n\
         INV-000001,tax,{id},\"VAT, full\",,,,,1.90,INR\r\n\
         INV-000001,total,{id},,,,,,11.90,INR\r\n"
    );
    assert_eq!(table, expected);
    let body = json!({"reason": "Outage", "net": "10"});
    let credited =
        harness.send(&harness.organization, "POST", &format!("{path}/credit-notes"), body).await;
    let note = format!("/v1/credit-notes/{}", text(&credited.body["credit_note_id"]));
    let table = harness.send_with(&harness.organization, "GET", &note, &accept, Vec::new()).await;
    let table = String::from_utf8(table.bytes).expect("text");
    assert!(table.contains("CN-000001,credit") && table.contains("total,"), "{table}");
}
