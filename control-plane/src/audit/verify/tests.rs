//! Whatever is done to sealed entries shows, and where.

use serde_json::json;

use super::*;
use crate::audit::seal;
use crate::testing::{Harness, settings, text};

const OWN: &str = "organization_id = '{org}'";

/// Two organizations' chains, sealed: of six entries and of one.
async fn sealed() -> Harness {
    let harness = Harness::new().await;
    for _ in 0..3 {
        let (id, _) = harness.isolated(1).await;
        let (path, body) = (format!("/v1/sub-accounts/{id}"), json!({"name": "renamed"}));
        harness.send(&harness.organization, "PATCH", &path, body).await;
    }
    let body = json!({"name": "Other", "concurrency_total": 10, "currency": "USD"});
    let made = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
    assert!(text(&made.body["organization_id"]).starts_with("org_"));
    while seal::some(&harness.plane.app.store).await.expect("sealed") > 0 {}
    harness
}

/// What a check finds after these statements, which are then undone.
async fn after(harness: &Harness, statements: &[&str]) -> Vec<Fault> {
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    for statement in statements {
        let sql = statement.replace("{org}", &harness.organization_id);
        let done = sqlx::query(AssertSqlSafe(sql)).execute(writing.connection()).await;
        assert!(done.expect("a statement").rows_affected() > 0, "{statement}");
    }
    check(writing.connection(), &[]).await.expect("readable").faults
}

async fn heads(harness: &Harness) -> Vec<Head> {
    let report = run(&settings(&harness.directory).database_url, &[]).await.expect("readable");
    assert_eq!((report.faults, report.unsealed), (Vec::new(), 0));
    report.heads
}

#[tokio::test]
async fn any_column_of_any_entry_that_was_changed_names_that_entry() {
    let harness = sealed().await;
    for sequence in 1..=6 {
        for change in [
            "id = id + 1000",
            "organization_id = NULL",
            "organization_id = 'org_other'",
            "sequence = sequence + 1000",
            "at_us = at_us - 1",
            "actor = 'operator by key_x'",
            "action = 'sub_account.deleted'",
            "subject = 'sa_x'",
            "account_id = NULL",
            "account_id = 'sa_x'",
            "before_json = '{}'",
            "after_json = NULL",
            "after_json = after_json || ' '",
            "salt = NULL",
            "salt = '5a1t'",
            "salt = ''",
        ] {
            let statement = format!(
                "UPDATE audit SET {change} WHERE organization_id = '{{org}}' AND sequence = {sequence}"
            );
            let faults = after(&harness, &[&statement]).await;
            let first = faults.first().expect("a fault");
            assert_eq!(first.chain.as_deref(), Some(harness.organization_id.as_str()), "{change}");
            assert_eq!(first.sequence, Some(sequence), "{change}: {first}");
        }
    }
    heads(&harness).await;
}

#[tokio::test]
async fn contents_that_were_erased_though_their_account_is_there_show() {
    let harness = sealed().await;
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    let account: String =
        sqlx::query("SELECT subject FROM audit WHERE action = 'sub_account.updated' LIMIT 1")
            .fetch_one(writing.connection())
            .await
            .expect("an entry")
            .get(0);
    let account = account.parse().expect("an id");
    crate::audit::erase::some(writing.connection(), account).await.expect("erased");
    let faults = check(writing.connection(), &[]).await.expect("readable").faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].what.starts_with("2 entries have no contents"), "{faults:?}");
}

#[tokio::test]
async fn an_entry_that_was_removed_moved_or_added_shows() {
    let harness = sealed().await;
    let swap = [
        format!("UPDATE audit SET sequence = -2 WHERE {OWN} AND sequence = 2"),
        format!("UPDATE audit SET sequence = 2 WHERE {OWN} AND sequence = 3"),
        format!("UPDATE audit SET sequence = 3 WHERE {OWN} AND sequence = -2"),
    ];
    let swap: Vec<&str> = swap.iter().map(String::as_str).collect();
    let faults = after(&harness, &swap).await;
    assert_eq!(faults[0].sequence, Some(2), "{faults:?}");
    for sequence in 1..=6 {
        let gone = format!("DELETE FROM audit WHERE {OWN} AND sequence = {sequence}");
        let faults = after(&harness, &[&gone]).await;
        assert_eq!(faults[0].sequence, Some(sequence), "{faults:?}");
        assert!(faults[0].what.contains("missing"), "{faults:?}");
        // Those that follow moved into its place, its seal gone with it.
        let unseal = format!(
            "DELETE FROM audit_seals WHERE entry_id = (SELECT id FROM audit WHERE {OWN} AND sequence = {sequence})"
        );
        let moved = [
            &*unseal,
            &gone,
            &format!("UPDATE audit SET sequence = -sequence WHERE {OWN} AND sequence >= 0"),
            &format!(
                "UPDATE audit SET sequence = CASE WHEN -sequence > {sequence} THEN -sequence - 1 ELSE -sequence END WHERE {OWN}"
            ),
        ];
        let faults = after(&harness, &moved).await;
        assert_eq!(faults[0].sequence, Some(sequence), "{faults:?}");
    }
    for seal in [
        "UPDATE audit_seals SET seal = 'x' WHERE entry_id = 2",
        "DELETE FROM audit_seals WHERE entry_id = 2",
        "UPDATE audit_chains SET seal = 'x' WHERE chain = '{org}'",
        "UPDATE audit_chains SET sealed = sealed + 1 WHERE chain = '{org}'",
        "DELETE FROM audit_chains WHERE chain = '{org}'",
        "INSERT INTO audit_seals (entry_id, seal) VALUES (1000, 'x')",
        "INSERT INTO audit (id, organization_id, at_us, actor, action, subject, sequence) \
         VALUES (1000, '{org}', 1, 'x', 'x', 'x', 7)",
        "INSERT INTO audit (id, organization_id, at_us, actor, action, subject, sequence) \
         VALUES (0, '{org}', 1, 'x', 'x', 'x', 0)",
    ] {
        assert_eq!(after(&harness, &[seal]).await.len(), 1, "{seal}");
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_shows_as_long_as_one_count_of_it_is_left() {
    let harness = sealed().await;
    let cut = [
        "DELETE FROM audit_seals WHERE entry_id IN (SELECT id FROM audit WHERE organization_id = '{org}' AND sequence > 4)",
        "DELETE FROM audit WHERE organization_id = '{org}' AND sequence > 4",
    ];
    let faults = after(&harness, &cut).await;
    assert_eq!(faults[0].sequence, Some(5), "{faults:?}");
    // With the head of its chain set back too.
    let back = "UPDATE audit_chains SET sealed = 4, seal = (SELECT s.seal FROM audit_seals s JOIN audit a ON a.id = s.entry_id \
                WHERE a.organization_id = '{org}' AND a.sequence = 4) WHERE chain = '{org}'";
    let faults = after(&harness, &[cut[0], cut[1], back]).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].what.contains("written as number 5"), "{faults:?}");

    // An end that was not sealed yet.
    harness.isolated(1).await;
    harness.isolated(1).await;
    let faults = after(&harness, &["DELETE FROM audit WHERE sequence = 8"]).await;
    assert!(
        faults[0].what.starts_with("9 entries were written") && faults.len() == 1,
        "{faults:?}"
    );
    let faults = after(&harness, &["DELETE FROM audit WHERE sequence = 7"]).await;
    assert!(faults[0].what.contains("written as number 8"), "{faults:?}");
}

#[tokio::test]
async fn a_chain_written_anew_with_all_its_counts_shows_only_against_an_earlier_head() {
    let harness = sealed().await;
    let kept = heads(&harness).await;
    harness.isolated(1).await;
    while seal::some(&harness.plane.app.store).await.expect("sealed") > 0 {}
    let url = settings(&harness.directory).database_url;
    assert_eq!(run(&url, &kept).await.expect("readable").faults, [], "a chain only grows");

    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    for statement in [
        "UPDATE audit SET actor = 'somebody else' WHERE id = 3",
        "DELETE FROM audit_seals",
        "DELETE FROM audit_chains",
        "UPDATE counters SET value = 0 WHERE name = 'audit_sealed'",
    ] {
        sqlx::query(statement).execute(writing.connection()).await.expect("a statement");
    }
    drop(writing.commit().await.expect("committed"));
    while seal::some(&harness.plane.app.store).await.expect("sealed") > 0 {}
    assert_eq!(run(&url, &[]).await.expect("readable").faults, []);
    let faults = run(&url, &kept).await.expect("readable").faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].what.contains("another seal than it had"), "{faults:?}");

    let mut longer = kept[0].clone();
    longer.sealed = 1_000;
    let unknown = Head { chain: "org_gone".to_owned(), ..kept[0].clone() };
    let faults = run(&url, &[longer, unknown]).await.expect("readable").faults;
    assert!(faults[0].what.contains("had 1000 entries, and has"), "{faults:?}");
    assert!(faults[1].what.contains("not there any more"), "{faults:?}");
}

#[tokio::test]
async fn a_database_without_chains_or_none_at_all_is_no_clean_report() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}", directory.path().join("none.db").display());
    assert!(matches!(run(&url, &[]).await, Err(OpenError::Database(_))));
    let pool = sqlx::AnyPool::connect(&format!("{url}?mode=rwc")).await.expect("made");
    for statement in [
        "CREATE TABLE _sqlx_migrations (version BIGINT)",
        "INSERT INTO _sqlx_migrations VALUES (4)",
    ] {
        sqlx::query(statement).execute(&pool).await.expect("a statement");
    }
    pool.close().await;
    assert!(matches!(run(&url, &[]).await, Err(OpenError::Earlier)));
    let line = "org_x 3 be1fce5b940e05e856b63102699c78e8031dae7ae81c45fd95def1dfa41c5056";
    assert_eq!(line.parse::<Head>().map(|head| head.to_string()), Ok(line.to_owned()));
    for wrong in ["", "org_x", "org_x -1 00", "org_x 3 00", &format!("{line} more")] {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
    }
}
