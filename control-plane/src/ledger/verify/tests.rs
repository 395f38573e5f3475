//! What each kind of tampering shows, and what shows nothing.

use hub::directory::Billing;
use sqlx::AssertSqlSafe;

use super::*;
use crate::ledger::seal;
use crate::testing::calls::{call, record};
use crate::testing::{Harness, settings};

/// Recharges, calls with and without debt, a correction and a refund, all sealed: eight transactions.
async fn sealed() -> Harness {
    let harness = Harness::new().await;
    let (id, _) = harness.isolated(9).await;
    let (gone, _) = harness.isolated(9).await;
    harness.recharge(&id, "5").await;
    harness.recharge(&gone, "7").await;
    let path = format!("/v1/sub-accounts/{gone}?balance=refund");
    let deleted = harness.send(&harness.organization, "DELETE", &path, serde_json::Value::Null);
    assert_eq!(deleted.await.status, 204);
    for (call_id, cost, debt) in [("1", "2", "0"), ("2", "4", "1"), ("3", "1", "1")] {
        let made = call(id.parse().expect("an id"), call_id, Some(Billing::Isolated));
        harness.finished(&made, cost, debt);
        if call_id == "1" {
            harness.end(record(&made, "1.5", "0", 1));
        }
    }
    harness.recharge(&id, "1").await;
    harness.plane.post_records(std::future::ready(())).await;
    while seal::some(&harness.plane.app.store).await.expect("sealed") {}
    harness
}

/// What a check finds after these statements, which are then undone.
async fn after(harness: &Harness, statements: &[&str]) -> Vec<String> {
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    for statement in statements {
        let done =
            sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(writing.connection());
        assert!(done.await.expect("a statement").rows_affected() > 0, "{statement}");
    }
    check(writing.connection(), &[]).await.expect("readable").faults
}

async fn report(harness: &Harness, earlier: &[Head]) -> Report {
    run(&settings(&harness.directory).database_url, earlier).await.expect("readable")
}

#[tokio::test]
async fn a_ledger_that_nobody_touched_fits_and_says_what_nobody_has_paid() {
    let harness = sealed().await;
    let found = report(&harness, &[]).await;
    assert_eq!((found.faults, found.unsealed), (Vec::new(), 0));
    let head = found.head.expect("it is sealed");
    assert_eq!(head.through, 8);
    assert_eq!(head.to_string().parse::<Head>(), Ok(head.clone()));
    assert_eq!(found.open.len(), 1, "{:?}", found.open);
    assert!(found.open[0].contains("debt: -2.00 INR, not zero since 20"), "{:?}", found.open);
    // What is posted later does not change what was sealed.
    let (id, _) = harness.isolated(1).await;
    harness.recharge(&id, "1").await;
    let later = report(&harness, std::slice::from_ref(&head)).await;
    assert_eq!((later.faults, later.unsealed), (Vec::new(), 1));
    assert_eq!(later.head, Some(head));
}

#[tokio::test]
async fn whatever_is_changed_removed_or_added_in_what_was_sealed_names_its_run() {
    let harness = sealed().await;
    for (run, statement) in [
        ("1 to 4", "UPDATE ledger_transactions SET cause = 'transfer' WHERE id = 2"),
        ("5 to 8", "UPDATE ledger_transactions SET reference = 'other' WHERE id = 5"),
        ("1 to 4", "UPDATE ledger_transactions SET currency = 'USD' WHERE id = 1"),
        ("5 to 8", "UPDATE ledger_transactions SET posted_us = posted_us - 1 WHERE id = 8"),
        ("1 to 4", "UPDATE ledger_entries SET amount = amount + 1 WHERE transaction_id = 1"),
        ("5 to 8", "UPDATE ledger_entries SET balance_after = 7 WHERE transaction_id = 6"),
        ("5 to 8", "UPDATE ledger_entries SET sequence = sequence + 90 WHERE transaction_id = 7"),
        ("5 to 8", "DELETE FROM ledger_entries WHERE transaction_id = 7"),
        ("1 to 4", "UPDATE ledger_accounts SET kind = 'closed' WHERE kind = 'external'"),
        ("1 to 4", "UPDATE ledger_seals SET seal = 'x' WHERE through = 4"),
        ("1 to 8", "DELETE FROM ledger_seals WHERE through = 4"),
        ("9 to 12", "INSERT INTO ledger_seals (through, seal, sealed_us) VALUES (12, 'x', 1)"),
    ] {
        let faults = after(&harness, &[statement]).await;
        let first = faults.first().expect(statement);
        assert!(first.starts_with(&format!("transactions {run}: ")), "{statement}: {faults:?}");
    }
    let gone = [
        "DELETE FROM ledger_entries WHERE transaction_id = 3",
        "DELETE FROM ledger_transactions WHERE id = 3",
    ];
    let faults = after(&harness, &gone).await;
    assert!(faults[0].contains("1 to 4: 4 were sealed, and 3 are there"), "{faults:?}");
    // Two changes that balance each other: the sums hold, the seal does not.
    let balanced = [
        "UPDATE ledger_entries SET amount = -amount, balance_after = -balance_after WHERE transaction_id = 1",
    ];
    assert!(after(&harness, &balanced).await[0].starts_with("transactions 1 to 4: "));
}

#[tokio::test]
async fn what_stands_beside_the_ledger_must_say_what_it_says() {
    let harness = sealed().await;
    for (what, statement) in [
        (
            "balances that",
            "UPDATE ledger_accounts SET balance = balance + 1 WHERE kind = 'revenue'",
        ),
        ("wallets that do not", "UPDATE wallets SET escrow = escrow + 1"),
        ("wallets that say", "UPDATE wallets SET escrow = escrow + 1, posted = posted + 1"),
        ("charges that", "UPDATE calls SET cost = cost + 1 WHERE call_id = '2'"),
        ("charges that", "DELETE FROM calls WHERE call_id = '3'"),
        (
            "charges that are not what the call has cost, or the calls of that name: 2",
            "UPDATE calls SET cost = cost + CASE call_id WHEN '1' THEN 1 ELSE -1 END WHERE call_id IN ('1', '2')",
        ),
        (
            "transactions that are missing",
            "UPDATE counters SET value = 20 WHERE name = 'ledger_transaction'",
        ),
    ] {
        let faults = after(&harness, &[statement]).await;
        assert!(faults.iter().any(|fault| fault.starts_with(what)), "{statement}: {faults:?}");
    }
}

#[tokio::test]
async fn a_ledger_that_was_written_anew_shows_only_against_an_earlier_check() {
    let harness = sealed().await;
    let kept = report(&harness, &[]).await.head.expect("sealed");
    let forged = [
        "UPDATE ledger_transactions SET reference = 'forged' WHERE id = 1",
        "DELETE FROM ledger_seals",
    ];
    for statement in forged {
        harness.execute(statement).await;
    }
    while seal::some(&harness.plane.app.store).await.expect("sealed") {}
    assert_eq!(report(&harness, &[]).await.faults, [""; 0], "by itself it fits");
    let faults = report(&harness, &[kept]).await.faults;
    assert_eq!(faults, ["transaction 8 has another seal than it had"]);
}

#[tokio::test]
async fn control_planes_that_seal_at_once_seal_everything_once() {
    let harness = sealed().await;
    let (id, _) = harness.isolated(1).await;
    for _ in 0..9 {
        harness.recharge(&id, "1").await;
    }
    let mut sealing = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let plane = harness.plane.clone();
        sealing.spawn(async move { while seal::some(&plane.app.store).await.expect("sealed") {} });
    }
    sealing.join_all().await;
    while seal::some(&harness.plane.app.store).await.expect("sealed") {}
    let found = report(&harness, &[]).await;
    assert_eq!((found.faults, found.unsealed), (Vec::new(), 0));
    assert_eq!(found.head.map(|head| head.through), Some(17));
}
