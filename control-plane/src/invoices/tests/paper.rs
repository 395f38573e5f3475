//! Documents as PDF, read by `pdftotext`.

use std::process::Command;

use super::*;

/// The text of a PDF, as somebody else's program reads it.
fn read(harness: &Harness, bytes: &[u8]) -> String {
    let path = harness.directory.path().join("document.pdf");
    std::fs::write(&path, bytes).expect("written");
    let run = Command::new("pdftotext").arg("-layout").arg(&path).arg("-").output();
    let run = run.expect("pdftotext, of the Debian package poppler-utils");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("UTF-8")
}

async fn sheet(harness: &Harness, key: &str, path: &str) -> Vec<u8> {
    let accept = [("accept", "application/pdf")];
    let drawn = harness.send_with(key, "GET", path, &accept, Vec::new()).await;
    assert_eq!(
        (drawn.status, drawn.headers["content-type"].as_bytes()),
        (200, &b"application/pdf"[..])
    );
    assert!(drawn.bytes.starts_with(b"%PDF-"));
    drawn.bytes
}

#[tokio::test]
async fn an_invoice_in_rupees_has_its_totals_on_every_page_it_needs() {
    let harness = Harness::new().await;
    let body = json!({
        "issuer": {"legal_name": "Acme Voice Private Limited", "address": ["4th Floor, Prestige Towers", "12 MG Road", "Bengaluru 560001", "India"],
            "tax_id": "29ABCDE1234F1Z5", "email": "accounts@acme-voice.example"},
        "recipient": {"legal_name": "Acme Voice Private Limited, Internal Billing", "address": ["12 MG Road", "Bengaluru 560001"]},
        "taxes": [{"name": "CGST", "rate_bp": 900}, {"name": "SGST", "rate_bp": 900}],
        "time_zone": "Asia/Kolkata", "starts_at": "2025-01-01",
        "note": "Calls were charged to the prepaid balance as they ended. Questions: accounts@acme-voice.example."
    });
    assert_eq!(harness.configure(body).await.status, 200);
    let mut told = Vec::new();
    for number in 0..42_usize {
        let name = match number {
            7 => "Gesellschaft für grenzüberschreitende Sprachautomatisierung und Telefonbetrieb mit beschränkter Haftung, Berlin".to_owned(),
            8 => "W".repeat(120),
            _ => format!("Client {number:02}"),
        };
        let made = json!({"name": name, "concurrency_limit": 1});
        let made = harness.send(&harness.organization, "POST", "/v1/sub-accounts", made).await;
        let account = text(&made.body["sub_account_id"]).parse().expect("an id");
        let cost = 123_456_789 + i64::try_from(number).expect("small") * 1_117_003;
        told.push(Told {
            account,
            billing: Billing::Consolidated,
            admitted_us: MARCH_US + DAY_US,
            number,
            cost,
            revision: 0,
        });
    }
    harness.post(&told, MARCH_US + 2 * DAY_US).await;
    let issued = harness.invoice(None, "2025-03-01", "2025-03-31").await;
    assert_eq!(issued.status, 201, "{}", issued.body);
    let path = format!("/v1/invoices/{}", text(&issued.body["invoice_id"]));
    let bytes = sheet(&harness, &harness.organization, &path).await;
    let read = read(&harness, &bytes);
    // 42 × 123.456789 + 861 × 1.117003 = 6146.924721
    for expected in [
        "INV-000001",
        "2025-03-01 – 2025-03-31",
        "Acme Voice Private Limited",
        "29ABCDE1234F1Z5",
        "Client 41",
        "₹6,146.92",
        "CGST 9 %",
        "₹553.22",
        "Total INR",
        "₹7,253.36",
        "Page 1 of 2",
        "Page 2 of 2",
        "beschränkter",
        "prepaid balance",
    ] {
        assert!(read.contains(expected), "{expected}: {read}");
    }
    let heads = read.matches("Amount INR").count();
    assert_eq!(heads, 2, "the head is on both pages");
    for page in 0..42 {
        let name = format!("Client {page:02}");
        assert!([7, 8].contains(&page) || read.contains(&name), "{name}: {read}");
    }
}

#[tokio::test]
async fn an_invoice_in_euros_and_its_credit_note_have_the_sign() {
    let harness = Harness::with(|settings| {
        settings.first_organization.currency = "EUR".parse().expect("a currency");
    })
    .await;
    let body = json!({"issuer": {"legal_name": "Sprechwerk GmbH", "address": ["Hauptstraße 1", "10115 Berlin"], "tax_id": "DE123456789"},
        "taxes": [{"name": "USt.", "rate_bp": 1_900}], "time_zone": "Europe/Berlin", "starts_at": "2025-01-01"});
    assert_eq!(harness.configure(body).await.status, 200);
    let (id, key) = harness.isolated(1).await;
    let sql = format!(
        "INSERT INTO calls (account_id, admitted_us, call_id, ended_us, direction, caller, callee, agent_id, source, outcome, \
         cause, billable_s, cost, debt, currency, billing_mode, revision, organization_id, posted_us) VALUES ('{id}', {}, 'c', {}, \
         'outbound', '', '', '', '', 'completed', 'release', 91, 1234567890, 0, 'EUR', 'isolated', 0, '{}', 0)",
        MARCH_US + DAY_US,
        MARCH_US + DAY_US + 1,
        harness.organization_id
    );
    harness.execute(&sql).await;
    let issued = harness.invoice(Some(&id), "2025-03-01", "2025-03-31").await;
    assert_eq!(issued.status, 201, "{}", issued.body);
    let path = format!("/v1/invoices/{}", text(&issued.body["invoice_id"]));
    let text_of = read(&harness, &sheet(&harness, &key, &path).await);
    for expected in [
        "€1,234.57",
        "USt. 19 %",
        "€234.57",
        "Total EUR",
        "€1,469.14",
        "1.52",
        "Acme Corp",
        "Hauptstraße 1",
        "Page 1 of 1",
    ] {
        assert!(text_of.contains(expected), "{expected}: {text_of}");
    }
    let body = json!({"reason": "Störung am 12. März", "net": "34.57"});
    let credited =
        harness.send(&harness.organization, "POST", &format!("{path}/credit-notes"), body).await;
    let note = format!("/v1/credit-notes/{}", text(&credited.body["credit_note_id"]));
    let text_of = read(&harness, &sheet(&harness, &key, &note).await);
    for expected in
        ["Credit note", "CN-000001", "INV-000001", "Störung am 12. März", "€34.57", "€41.14"]
    {
        assert!(text_of.contains(expected), "{expected}: {text_of}");
    }
}
