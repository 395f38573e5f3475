//! Invoices from posted records to answers, with real databases.

use std::collections::{BTreeMap, HashSet};

use hub::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use hub::clock::{Moment, SECOND_US, now_us, second_of};
use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::{Amount, Currency, Rate};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::Row as _;

use super::issue::{self, Asked};
use super::monthly::issue_due;
use crate::answer::Answer;
use crate::problem::Kind;
use crate::records::post::{self, Care};
use crate::testing::{Answered, Harness, named, text};

mod answers;
mod exactly_once;
mod paper;

const DAY_US: i64 = 86_400 * SECOND_US;
/// 2025-03-01 in UTC.
const MARCH_US: i64 = 1_740_787_200 * SECOND_US;

/// A call of an account, with what its record says.
#[derive(Clone, Copy)]
struct Told {
    account: AccountId,
    billing: Billing,
    admitted_us: i64,
    number: usize,
    cost: i64,
    revision: u32,
}

impl Told {
    fn record(&self) -> Record {
        let rate = Rate::new(Amount::ZERO, 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate");
        let pins = Pins { billing: self.billing, currency: Currency::INR, rate, deck: None };
        let facts = Facts {
            admitted_us: self.admitted_us,
            admission: 1,
            pins: Some(triomphe::Arc::new(pins)),
            account: self.account,
            direction: Direction::Outbound,
            lease_s: 0,
        };
        let call_id = format!("c-{}", self.number);
        let texts =
            Texts { call_id: &call_id, from: "+9111", to: "+9122", agent_id: "", source: "" };
        let ended_us = self.admitted_us + 60 * SECOND_US;
        Record {
            call: Call::new(facts, texts).expect("short texts"),
            answered: Some(Moment::at(self.admitted_us)),
            ended_us,
            outcome: Outcome::Completed,
            cause: Cause::Release,
            billable_s: 60 + self.revision,
            cost: Amount::from_micros(self.cost),
            debt: Amount::ZERO,
            revision: self.revision,
            granted_s: 300,
            forget_at: second_of(ended_us) + 600,
            costs: None,
        }
    }
}

impl Harness {
    fn organization(&self) -> AccountId {
        self.organization_id.parse().expect("an id")
    }

    /// Posts records as a batch that comes at a time.
    async fn post(&self, told: &[Told], now_us: i64) {
        let records: Vec<Record> = told.iter().map(Told::record).collect();
        let known: Vec<(AccountId, &Record)> =
            records.iter().map(|record| (self.organization(), record)).collect();
        let is_first = told.iter().all(|told| told.revision == 0);
        let care = if is_first { Care::Quick } else { Care::Each };
        let mut writing = self.plane.app.store.write().await.expect("a turn");
        post::write(writing.connection(), &known, &HashSet::new(), care, now_us)
            .await
            .expect("posted");
        writing.commit().await.expect("committed");
    }

    async fn configure(&self, body: Value) -> Answered {
        self.send(&self.organization, "PATCH", "/v1/organization/invoicing", body).await
    }

    /// With an issuer, and calls since 2025.
    async fn invoicing(&self) {
        let body = json!({"issuer": {"legal_name": "Acme Voice Private Limited"}, "starts_at": "2025-01-01"});
        let configured = self.configure(body).await;
        assert_eq!(configured.status, 200, "{}", configured.body);
    }

    async fn invoice(&self, account: Option<&str>, from: &str, to: &str) -> Answered {
        let mut body = json!({"from": from, "to": to});
        if let Some(account) = account {
            body["account"] = json!(account);
        }
        self.send(&self.organization, "POST", "/v1/invoices", body).await
    }

    /// Issues one, at no time in particular. `None`: nothing to invoice.
    async fn issue(&self, account: AccountId, from_us: i64, to_us: i64) -> Option<Value> {
        let asked = Asked { organization: self.organization(), account, from_us, to_us };
        let app = &self.plane.app;
        let prepared = {
            let mut connection = app.store.read().await.expect("a connection");
            issue::prepare(&mut connection, asked).await
        };
        let prepared = match prepared {
            Err(problem) if problem.is(Kind::NothingToInvoice) => return None,
            prepared => prepared.expect("prepared"),
        };
        let mut change = app.begin_own().await.expect("a turn");
        let issued = issue::issue(&mut change, prepared).await.expect("issued");
        change.commit(Answer::no_content()).await.expect("committed");
        Some(json!(issued.expect("nobody else issues")))
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.plane.app.store.read().await.expect("a connection");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&mut *connection).await;
        row.expect("a row").try_get(0).expect("a number")
    }

    /// All that holds of what is issued, whatever was.
    async fn assert_invoices_agree(&self) {
        for (what, sql) in [
            (
                "numbers with a gap",
                "SELECT CAST(COUNT(*) AS BIGINT) FROM invoicing g WHERE g.invoices <> \
              (SELECT COUNT(*) FROM invoices i WHERE i.organization_id = g.organization_id) OR g.invoices <> \
              (SELECT COALESCE(MAX(sequence), 0) FROM invoices i WHERE i.organization_id = g.organization_id)",
            ),
            (
                "lines that are not what the invoice charges",
                "SELECT CAST(COUNT(*) AS BIGINT) FROM invoices i WHERE i.charged <> \
              (SELECT SUM(l.charged) FROM invoice_lines l WHERE l.invoice_id = i.id)",
            ),
            (
                "totals that are not net and tax",
                "SELECT CAST(COUNT(*) AS BIGINT) FROM invoices WHERE net + tax <> total",
            ),
        ] {
            assert_eq!(self.number(sql).await, 0, "{what}");
        }
        self.assert_ledger_balances().await;
    }
}

#[tokio::test]
async fn what_comes_late_or_is_corrected_is_on_the_next_invoice_as_what_it_is() {
    let harness = Harness::new().await;
    harness.invoicing().await;
    let (id, _) = harness.isolated(1).await;
    let account: AccountId = id.parse().expect("an id");
    let told = |number, day: i64, cost| Told {
        account,
        billing: Billing::Isolated,
        admitted_us: MARCH_US + day * DAY_US,
        number,
        cost,
        revision: 0,
    };
    harness.post(&[told(0, 3, 2_000_000), told(1, 4, 1_000_000)], MARCH_US + 5 * DAY_US).await;
    let first = harness.invoice(Some(&id), "2025-03-01", "2025-03-31").await;
    assert_eq!((first.status, &first.body["net"]), (201, &json!("3.00")), "{}", first.body);
    // A record that was posted after the invoice, of a call before its end; a correction; a call of April.
    let late = told(2, 30, 500_000);
    let corrected = Told { cost: 400_000, revision: 1, ..told(1, 4, 0) };
    let posted_us = now_us() + DAY_US;
    harness.post(&[late, told(3, 40, 7_000_000)], posted_us).await;
    harness.post(&[corrected], posted_us + 1).await;
    let second = harness.invoice(Some(&id), "2025-04-01", "2025-04-30").await;
    assert_eq!((second.status, &second.body["net"]), (201, &json!("6.90")), "{}", second.body);
    let path = format!("/v1/invoices/{}", text(&second.body["invoice_id"]));
    let read = harness.get(&harness.organization, &path).await;
    let lines = read.body["lines"]["data"].as_array().expect("lines");
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            (text(&line["kind"]), text(&line["amount"]), line["billable_s"].as_i64().expect("s"))
        })
        .collect();
    let expected = [("calls", "7.00", 60), ("late", "0.50", 60), ("correction", "-0.60", 1)];
    assert_eq!(shown, expected.map(|(kind, amount, s)| (kind.to_owned(), amount.to_owned(), s)));
    harness.assert_invoices_agree().await;
}

#[tokio::test]
async fn an_organizations_invoice_has_a_line_for_each_account_that_it_pays_for() {
    let harness = Harness::new().await;
    harness.invoicing().await;
    let (isolated, _) = harness.isolated(1).await;
    let mut told = Vec::new();
    let mut push = |account: &str, billing, cost| {
        told.push(Told {
            account: account.parse().expect("an id"),
            billing,
            admitted_us: MARCH_US,
            number: told.len(),
            cost,
            revision: 0,
        });
    };
    push(&isolated, Billing::Isolated, 1_000_000);
    // Before the account was billed by itself.
    push(&isolated, Billing::Consolidated, 20_004_000);
    push(&harness.organization_id, Billing::Isolated, 300_004_000);
    for name in ["Staging", "Production"] {
        let body = json!({"name": name, "concurrency_limit": 1});
        let made = harness.send(&harness.organization, "POST", "/v1/workspaces", body).await;
        push(&text(&made.body["workspace_id"]), Billing::Consolidated, 4_004_000);
    }
    harness.post(&told, MARCH_US + 1).await;
    let issued = harness.invoice(None, "2025-03-01", "2025-03-31").await;
    // Four lines of .004 each are .02 together.
    for (member, value) in
        [("charged", "328.016"), ("net", "328.02"), ("rounding", "0.02"), ("total", "328.02")]
    {
        assert_eq!(issued.body[member], json!(value), "{member}: {}", issued.body);
    }
    assert_eq!(issued.body["line_count"], json!(4));
    let path = format!("/v1/invoices/{}?limit=3", text(&issued.body["invoice_id"]));
    let read = harness.get(&harness.organization, &path).await;
    let names = |read: &Answered| -> Vec<String> {
        let lines = read.body["lines"]["data"].as_array().expect("lines");
        lines.iter().map(|line| text(&line["name"])).collect()
    };
    let mut all = names(&read);
    let next = format!("{path}&cursor={}", text(&read.body["lines"]["next_cursor"]));
    all.extend(names(&harness.get(&harness.organization, &next).await));
    all.sort();
    assert_eq!(
        all,
        ["Acme Corp", "First organization", "Production", "Staging"].map(str::to_owned)
    );
    harness.assert_invoices_agree().await;
}

#[tokio::test]
async fn months_are_invoiced_by_themselves_once_and_missed_ones_are_caught_up() {
    let harness = Harness::new().await;
    let body = json!({"issuer": {"legal_name": "Acme"}, "starts_at": "2025-01-15T00:00:00+05:30",
        "time_zone": "Asia/Kolkata", "automatic": true, "issue_after_days": 3});
    assert_eq!(harness.configure(body).await.status, 200);
    let mut told: Vec<Told> = Vec::new();
    for number in 0..40 {
        let (id, _) =
            if number < 4 { harness.isolated(1).await } else { (String::new(), String::new()) };
        let account: AccountId =
            if number < 4 { id.parse().expect("an id") } else { told[number % 4_usize].account };
        let admitted_us =
            MARCH_US - 45 * DAY_US + i64::try_from(number).expect("small") * 2 * DAY_US;
        told.push(Told {
            account,
            billing: Billing::Isolated,
            admitted_us,
            number,
            cost: 1_230_000,
            revision: 0,
        });
    }
    harness.post(&told, MARCH_US).await;
    let app = &harness.plane.app;
    let midnight_us = 330 * 60 * SECOND_US;
    // January and February are over in India, but only by less than three days.
    let early_us = MARCH_US - midnight_us + 3 * DAY_US - 1;
    let issued = issue_due(app, early_us).await.expect("issued");
    assert_eq!(issued, 4, "January, for four accounts");
    let (one, other) = tokio::join!(issue_due(app, early_us + 1), issue_due(app, early_us + 1));
    assert_eq!(one.expect("issued") + other.expect("issued"), 4, "February, by one of two");
    assert_eq!(issue_due(app, early_us + 1).await.expect("issued"), 0);
    issue_due(app, MARCH_US + 400 * DAY_US).await.expect("issued");
    let all = harness.number("SELECT CAST(SUM(charged) AS BIGINT) FROM invoices").await;
    assert_eq!(all, 40 * 1_230_000);
    let listed = harness.get(&harness.organization, "/v1/invoices").await;
    let last = listed.body["data"].as_array().expect("invoices").last().expect("one").clone();
    assert_eq!(last["number"], json!("INV-000001"));
    assert_eq!(last["from"], json!("2025-01-15T00:00:00+05:30"));
    assert_eq!(last["to"], json!("2025-02-01T00:00:00+05:30"));
    harness.assert_invoices_agree().await;
}

/// The size of the benchmark, small: what `make bench-invoices` shows for a million calls.
#[tokio::test]
async fn a_month_of_calls_is_invoiced_as_their_receipts_add_up() {
    const ACCOUNTS: usize = 24;
    const CALLS: usize = 4_800;
    let harness = Harness::new().await;
    harness.invoicing().await;
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(harness.isolated(1).await.0);
    }
    let mut random = StdRng::seed_from_u64(1);
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut told = Vec::new();
    for number in 0..CALLS {
        let index = random.random_range(0..ACCOUNTS);
        let billing =
            if index.is_multiple_of(4) { Billing::Consolidated } else { Billing::Isolated };
        let subject =
            if index.is_multiple_of(4) { &harness.organization_id } else { &accounts[index] };
        let cost = random.random_range(0..5_000_000);
        *sums.entry(subject.clone()).or_default() += cost;
        let admitted_us = MARCH_US + random.random_range(0..31 * DAY_US);
        told.push(Told {
            account: accounts[index].parse().expect("an id"),
            billing,
            admitted_us,
            number,
            cost,
            revision: 0,
        });
    }
    for batch in told.chunks(500) {
        harness.post(batch, MARCH_US + 31 * DAY_US).await;
    }
    let terms = json!({"automatic": true});
    assert_eq!(harness.configure(terms).await.status, 200);
    issue_due(&harness.plane.app, MARCH_US + 40 * DAY_US).await.expect("issued");
    for (subject, sum) in &sums {
        let path = format!("/v1/invoices?account={subject}");
        let listed = harness.get(&harness.organization, &path).await;
        let invoices = listed.body["data"].as_array().expect("invoices");
        assert_eq!(invoices.len(), 1, "{subject}");
        let charged = Amount::from_micros(*sum).in_currency(Currency::INR).to_string();
        assert_eq!(invoices[0]["charged"], json!(charged), "{subject}");
    }
    assert_eq!(
        harness.number("SELECT CAST(COUNT(*) AS BIGINT) FROM invoices").await,
        i64::try_from(sums.len()).expect("few")
    );
    let usage = harness.get(&harness.organization, "/v1/usage?from=2025-03-01&to=2025-03-31").await;
    let all: i64 = sums.values().sum();
    let all = Amount::from_micros(all).in_currency(Currency::INR).to_string();
    assert_eq!(usage.body["cost"], json!(all), "{}", usage.body);
    harness.assert_invoices_agree().await;
}
