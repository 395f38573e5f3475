//! Rate decks by the API: sheets and dry runs, who is priced by one, prices, what gateways are told.

use hub::directory::Change;
use serde_json::{Value, json};

use super::*;
use crate::publish::Reading;
use crate::testing::calls::{amount, call, record};
use crate::testing::{Answered, Harness, named, text};

const SHEET: &str = "prefix,per_minute,initial_s,increment_s,direction,blocked\n\
                     91,1.20,60,1,,\n9199,1.50,60,60,,\n919977,,,,,true\n*,0.30,1,1,inbound,\n";

async fn deck(harness: &Harness) -> String {
    let made = harness
        .send(&harness.organization, "POST", "/v1/rate-decks", json!({"name": "Retail"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    text(&made.body["id"])
}

async fn import(harness: &Harness, deck: &str, query: &str, sheet: &str) -> Answered {
    let path = format!("/v1/rate-decks/{deck}/versions{query}");
    let headers = [("content-type", "text/csv")];
    harness
        .send_with(&harness.organization, "POST", &path, &headers, sheet.as_bytes().to_vec())
        .await
}

/// What the hub has heard of decks.
fn heard(harness: &Harness) -> Vec<String> {
    let told = |change: &Change| match change {
        Change::Deck(config) => {
            let versions: Vec<u32> = config.versions.iter().map(|version| version.number).collect();
            Some(format!("deck {versions:?}"))
        }
        Change::DeckPart(part) => {
            let is_there = if part.rows.is_some() { "" } else { " gone" };
            Some(format!("part {}.{}{is_there}", part.version.number, part.part))
        }
        Change::DeckGone { .. } => Some("gone".to_owned()),
        _ => None,
    };
    harness.heard.lock().drain(..).filter_map(|change| told(&change)).collect()
}

async fn price(harness: &Harness, key: &str, query: &str) -> Value {
    let answered = harness.get(key, &format!("/v1/price?{query}")).await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    answered.body
}

#[tokio::test]
async fn a_sheet_becomes_a_version_whole_or_not_at_all() {
    let harness = Harness::new().await;
    let deck = deck(&harness).await;
    let bad = "prefix,per_minute\n91,free\n9x,1\n92,1\n";
    let tried = import(&harness, &deck, "?dry_run=true", bad).await;
    assert_eq!((tried.status, &tried.body["rows"]), (200, &json!(1)), "{}", tried.body);
    assert_eq!(named(&tried.body), ["line 2: per_minute", "line 3: prefix"]);
    assert_eq!(tried.body["bad_lines"], 2);
    let refused = import(&harness, &deck, "", bad).await;
    assert_eq!(refused.status, 400);
    assert_eq!(named(&refused.body), ["line 2: per_minute", "line 3: prefix"]);
    let tried = import(&harness, &deck, "?dry_run=true", SHEET).await;
    assert_eq!(tried.body["changes"]["added"], 4);
    assert!(heard(&harness).is_empty(), "nothing was changed");
    let made = import(&harness, &deck, "?decimals=4&rounding=up&billed_costs=llm", SHEET).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let expected = [("version", json!(1)), ("state", json!("in_force")), ("rows", json!(4))];
    for (member, expected) in expected {
        assert_eq!(made.body[member], expected, "{member}");
    }
    assert_eq!(made.body["billed_costs"], json!(["llm"]));
    assert_eq!(heard(&harness), ["part 1.0", "part 1.1", "deck [1]"]);
    let path = format!("/v1/rate-decks/{deck}/versions/1/rows");
    let rows = harness.get(&harness.organization, &path).await;
    let rows = String::from_utf8(rows.bytes).expect("text");
    let again = import(&harness, &deck, "?dry_run=true&decimals=4&rounding=up", &rows).await;
    assert_eq!(again.body["changes"]["unchanged"], 4, "{}", again.body);
    let dearer = SHEET.replace("1.20", "1.30").replace("9199,1.50", "9198,1.50");
    let tried = import(&harness, &deck, "?dry_run=true&decimals=4&rounding=up", &dearer).await;
    let expected =
        json!({"added": 1, "removed": 1, "dearer": 1, "cheaper": 0, "changed": 0, "unchanged": 2});
    assert_eq!(tried.body["changes"], expected);
    let audit = harness.audit("rate_deck").await;
    assert_eq!(audit, ["created", "imported"]);
}

#[tokio::test]
async fn what_a_query_says_wrong_is_named() {
    let harness = Harness::new().await;
    let deck = deck(&harness).await;
    for (query, field) in [
        ("?effective_from=2020-01-01", "effective_from"),
        ("?effective_from=9999-01-01", "effective_from"),
        ("?decimals=7", "decimals"),
        ("?rounding=down", "rounding"),
        ("?billed_costs=llm,all", "billed_costs"),
        ("?speed=1", "speed"),
    ] {
        let refused = import(&harness, &deck, query, SHEET).await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, vec![field.to_owned()]),
            "{query}"
        );
    }
    let large = vec![b' '; 70 * 1024];
    let path = format!("/v1/rate-decks/{deck}");
    let refused = harness.send_with(&harness.organization, "PATCH", &path, &[], large).await;
    assert_eq!(refused.status, 413, "only a sheet may be large");
}

#[tokio::test]
async fn accounts_are_priced_by_a_deck_in_force_in_place_of_a_rate_and_it_stays_while_they_are() {
    let harness = Harness::new().await;
    let key = harness.organization.clone();
    let deck = deck(&harness).await;
    let (id, account_key) = harness.isolated(5).await;
    let path = format!("/v1/sub-accounts/{id}");
    let set = async |body: Value| harness.send(&key, "PATCH", &path, body).await;
    let refused = set(json!({"rate_deck": deck})).await;
    assert_eq!((refused.status, named(&refused.body)), (400, vec!["rate_deck".to_owned()]));
    import(&harness, &deck, "", SHEET).await;
    assert_eq!(price(&harness, &account_key, "number=9180").await["billed"], json!(false));
    let rate = json!({"per_minute": "2"});
    let both = set(json!({"rate_deck": deck, "rate": rate})).await;
    assert_eq!((both.status, named(&both.body)), (400, vec!["rate_deck".to_owned()]));
    let patched = set(json!({"rate": rate})).await;
    assert_eq!(patched.body["rate_deck"], Value::Null);
    assert_eq!(price(&harness, &account_key, "number=44&seconds=61").await["price"], "4.00");
    let patched = set(json!({"rate_deck": deck})).await;
    assert_eq!((&patched.body["rate"], &patched.body["rate_deck"]), (&Value::Null, &json!(deck)));
    let is_told = |change: &Change| matches!(change, Change::Account(account) if matches!(account.pricing, Some(Pricing::Deck(told)) if told.to_string() == deck));
    assert!(harness.heard.lock().iter().any(is_told));
    let patched = set(json!({"rate": null})).await;
    assert_eq!(patched.body["rate_deck"], json!(deck), "there was no rate to remove");
    let path = format!("/v1/rate-decks/{deck}");
    let refused = harness.send(&key, "DELETE", &path, Value::Null).await;
    assert_eq!((refused.status, &refused.body["accounts"]), (409, &json!(1)));
    set(json!({"rate_deck": null})).await;
    let own = json!({"default_rate_deck": deck});
    let patched = harness.send(&key, "PATCH", "/v1/organization", own).await;
    assert_eq!(patched.body["default_rate_deck"], json!(deck));
    let sought = price(&harness, &account_key, "number=9180").await;
    assert_eq!(sought["rate_deck"], json!(deck), "the organization's");
    assert_eq!(harness.send(&key, "DELETE", &path, Value::Null).await.status, 409);
    harness.send(&key, "PATCH", "/v1/organization", json!({"default_rate_deck": null})).await;
    heard(&harness);
    assert_eq!(harness.send(&key, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(heard(&harness), ["part 1.0 gone", "part 1.1 gone", "gone"]);
    assert_eq!(harness.get(&key, &path).await.status, 404);
    harness.execute("UPDATE rate_decks SET deleted_us = 1").await;
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    sweep(writing.connection(), DELETED_KEPT_US + 2).await.expect("swept");
    writing.commit().await.expect("committed");
    let mut connection = harness.plane.app.store.read().await.expect("a connection");
    for table in ["rate_decks", "rate_deck_versions", "rate_deck_parts"] {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM {table}")));
        assert!(rows.fetch_all(&mut *connection).await.expect("readable").is_empty(), "{table}");
    }
}

#[tokio::test]
async fn a_price_is_asked_for_by_the_longest_prefix_of_the_version_of_its_time() {
    let harness = Harness::new().await;
    let deck = deck(&harness).await;
    import(&harness, &deck, "", SHEET).await;
    let (id, account_key) = harness.isolated(5).await;
    let path = format!("/v1/sub-accounts/{id}");
    harness.send(&harness.organization, "PATCH", &path, json!({"rate_deck": deck})).await;
    let ask = async |query: &str| price(&harness, &account_key, query).await;
    for (query, prefix, sum) in [
        ("number=%2B91%2098123-45678&seconds=61", json!("91"), json!("1.22")),
        ("number=00919912345678&seconds=61", json!("9199"), json!("3.00")),
        ("number=919977&seconds=1", json!("919977"), Value::Null),
        ("number=44&seconds=1", Value::Null, Value::Null),
        ("number=sip%3Aana&direction=inbound&seconds=7", json!("*"), json!("0.035")),
    ] {
        let found = ask(query).await;
        assert_eq!((&found["prefix"], &found["price"]), (&prefix, &sum), "{query}");
        assert_eq!(found["blocked"], json!(sum.is_null()), "{query}");
    }
    let later = SHEET.replace("1.20", "9");
    let made = import(&harness, &deck, "?effective_from=2099-01-01T00:00:00Z", &later).await;
    assert_eq!(made.body["state"], "to_come", "{}", made.body);
    assert_eq!(ask("number=91&seconds=60").await["price"], "1.20");
    let then = ask("number=91&seconds=60&at=2099-01-01T00:00:00Z").await;
    assert_eq!((&then["price"], &then["rate_deck_version"]), (&json!("9.00"), &json!(2)));
    assert_eq!(ask("number=91&at=2001-01-01").await["blocked"], json!(true), "before any version");
    let own = harness.get(&harness.organization, &format!("{path}/price?number=91")).await;
    assert_eq!(own.body["price"], "1.20");
}

#[tokio::test]
async fn gateways_are_told_versions_in_force_and_to_come_and_a_new_one_ends_what_it_follows() {
    let harness = Harness::new().await;
    let deck = deck(&harness).await;
    import(&harness, &deck, "", SHEET).await;
    import(&harness, &deck, "?effective_from=2099-01-01", SHEET).await;
    heard(&harness);
    import(&harness, &deck, "", "prefix,per_minute\n91,2\n").await;
    let expected = ["part 3.0", "deck [3, 2]", "part 1.0 gone", "part 1.1 gone"];
    assert_eq!(heard(&harness), expected);
    let path = format!("/v1/rate-decks/{deck}/versions");
    let listed = harness.get(&harness.organization, &format!("{path}?limit=2")).await;
    let states = |body: &Value| -> Vec<(Value, Value)> {
        let versions = body["data"].as_array().expect("a page").iter();
        versions.map(|version| (version["version"].clone(), version["state"].clone())).collect()
    };
    assert_eq!(states(&listed.body), [(json!(2), json!("to_come")), (json!(3), json!("in_force"))]);
    let cursor = text(&listed.body["next_cursor"]);
    let rest = harness.get(&harness.organization, &format!("{path}?limit=2&cursor={cursor}")).await;
    assert_eq!(states(&rest.body), [(json!(1), json!("superseded"))]);
    let withdraw = async |number: u32| {
        harness
            .send(&harness.organization, "DELETE", &format!("{path}/{number}"), Value::Null)
            .await
    };
    assert_eq!(withdraw(3).await.status, 409);
    assert_eq!(withdraw(1).await.status, 409);
    assert_eq!(withdraw(9).await.status, 404);
    assert_eq!(withdraw(2).await.status, 204);
    assert_eq!(heard(&harness), ["part 2.0 gone", "part 2.1 gone", "deck [3]"]);
    let made = import(&harness, &deck, "", SHEET).await;
    assert_eq!(made.body["version"], 4, "a number is not used again");
    heard(&harness);
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    let organization: AccountId = harness.organization_id.parse().expect("an id");
    for shard in [None, Some(organization.shard())] {
        let told = |wallet: &crate::ledger::Wallet| Change::Wallet(wallet.config());
        let all = Reading::new(shard).rest(writing.connection(), told).await.expect("readable");
        harness.heard.lock().extend(all);
        assert_eq!(heard(&harness), ["part 4.0", "part 4.1", "deck [4]"], "{shard:?}");
    }
}

#[tokio::test]
async fn decks_of_others_do_not_exist() {
    let harness = Harness::new().await;
    let deck = deck(&harness).await;
    import(&harness, &deck, "", SHEET).await;
    let body = json!({"name": "Other", "concurrency_total": 10, "currency": "INR"});
    let other = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
    let (other_key, other_id) =
        (text(&other.body["api_key"]), text(&other.body["organization_id"]));
    let path = format!("/v1/rate-decks/{deck}");
    for rest in ["", "/versions", "/versions/1", "/versions/1/rows"] {
        assert_eq!(harness.get(&other_key, &format!("{path}{rest}")).await.status, 404, "{rest}");
        assert_eq!(harness.get(&harness.operator, &format!("{path}{rest}")).await.status, 200);
    }
    for method in ["PATCH", "DELETE"] {
        assert_eq!(harness.send(&other_key, method, &path, json!({})).await.status, 404);
    }
    let versions = format!("{path}/versions");
    let sheet = SHEET.as_bytes().to_vec();
    for query in ["", "?dry_run=true"] {
        let target = format!("{versions}{query}");
        let refused = harness.send_with(&other_key, "POST", &target, &[], sheet.clone()).await;
        assert_eq!(refused.status, 404, "{query}");
    }
    let own = json!({"default_rate_deck": deck});
    let refused = harness.send(&other_key, "PATCH", "/v1/organization", own).await;
    assert_eq!(refused.status, 400);
    let listed = harness.get(&other_key, "/v1/rate-decks").await;
    assert_eq!(listed.body["data"], json!([]));
    let of_other = format!("/v1/rate-decks?organization_id={other_id}");
    assert_eq!(harness.get(&harness.operator, &of_other).await.body["data"], json!([]));
}

#[tokio::test]
async fn a_record_keeps_what_its_call_was_charged_by() {
    let harness = Harness::new().await;
    let (id, _) = harness.isolated(5).await;
    harness.recharge(&id, "100").await;
    let account: AccountId = id.parse().expect("an id");
    let of_rate = call(account, "flat", Some(hub::directory::Billing::Isolated));
    let rate = Rounding::new(2, RoundingMode::Up).map(|rounding| {
        let [minute, none] = ["0.5", "0"].map(amount);
        hub::money::Rate::new(minute, 1, 1, none, none).expect("a rate").rounded(rounding)
    });
    let pins = hub::call::Pins {
        billing: hub::directory::Billing::Isolated,
        currency: hub::money::Currency::INR,
        rate: rate.expect("few decimals"),
        deck: Some(hub::call::PinnedDeck {
            version: DeckVersion { deck: DeckId::new(hub::id::Ulid(7)), number: 3 },
            billed: CostKinds::NONE,
        }),
    };
    let facts = hub::call::Facts {
        pins: Some(triomphe::Arc::new(pins)),
        admission: of_rate.facts().admission + 1,
        ..of_rate.facts().clone()
    };
    let texts = hub::call::Texts { call_id: "deck", ..of_rate.texts() };
    let of_deck = hub::call::Call::new(facts, texts).expect("short");
    for call in [&of_rate, &of_deck] {
        harness.admit(call, "6");
        harness.end(record(call, "1.20", "0", 0));
    }
    harness.plane.post_records(std::future::ready(())).await;
    let listed = harness.get(&harness.organization, &format!("/v1/sub-accounts/{id}/calls")).await;
    let of = |call_id: &str| {
        let calls = listed.body["data"].as_array().expect("a page").iter();
        calls.into_iter().find(|call| call["call_id"] == call_id).expect("listed").clone()
    };
    assert_eq!(of("flat")["rate"]["per_minute"], "1.20");
    assert_eq!(of("flat")["rate_deck"], Value::Null);
    assert_eq!(of("deck")["rate"]["per_minute"], "0.50");
    assert_eq!(of("deck")["rate_deck"], json!(DeckId::new(hub::id::Ulid(7)).to_string()));
    assert_eq!(of("deck")["rate_deck_version"], 3);
}
