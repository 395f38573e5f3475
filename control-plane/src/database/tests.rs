//! Backups and what is restored from them, on the kind of database that the tests run on; a backup is a
//! SQLite file either way.

use std::fs;
use std::path::Path;

use hub::directory::Billing;
use hub::id::AccountId;
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;

use super::*;
use crate::store::schema::{self, Holds, TABLES};
use crate::store::writer;
use crate::testing::calls::call;
use crate::testing::{Harness, settings};

/// Every row of every table.
async fn rows(database_url: &str) -> Vec<String> {
    let mut connection = AnyConnection::connect(database_url).await.expect("connected");
    let mut all = Vec::new();
    for table in TABLES {
        let columns = schema::columns(&mut connection, table).await.expect("columns");
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let select = AssertSqlSafe(format!("SELECT {} FROM {table}", names.join(", ")));
        for row in sqlx::query(select).fetch_all(&mut connection).await.expect("rows") {
            let cells = columns.iter().enumerate().map(|(index, (name, holds))| match holds {
                Holds::Number => format!("{name}={:?}", row.get::<Option<i64>, _>(index)),
                Holds::Text => format!("{name}={:?}", row.get::<Option<String>, _>(index)),
            });
            all.push(format!("{table}: {}", cells.collect::<Vec<_>>().join(" ")));
        }
    }
    all.sort();
    all
}

fn empty() -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let url = settings(&directory).database_url;
    (directory, url)
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("readable");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// An installation with an account, money, a posted call and a stored answer.
async fn lived_in() -> Harness {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(5).await;
    harness.recharge(&account, "100").await;
    let id: AccountId = account.parse().expect("an id");
    harness.finished(&call(id, "a/b@c", Some(Billing::Isolated)), "2.4", "0");
    harness.plane.post_records(std::future::ready(())).await;
    let headers = [("idempotency-key", "once"), ("content-type", "application/json")];
    let body = json!({"amount": "1", "currency": "INR"}).to_string().into_bytes();
    let path = format!("/v1/sub-accounts/{account}/wallet/recharge");
    let recharged = harness.send_with(&harness.organization, "POST", &path, &headers, body).await;
    assert!(recharged.status < 300, "{}", recharged.body);
    harness
}

#[tokio::test]
async fn what_is_restored_is_what_stood_there_while_it_was_being_used() {
    let harness = lived_in().await;
    let source = settings(&harness.directory).database_url;
    let kept = tempfile::tempdir().expect("a directory");
    let file = kept.path().join("backup.db");
    let backed_up = back_up(&source, &file).await.expect("a backup");
    let before = rows(&source).await;
    assert_eq!(files(kept.path()), ["backup.db"]);
    assert_eq!(backed_up.rows(), before.len() as u64);
    // What comes after the backup is not in it.
    harness.isolated(7).await;
    let (_directory, target) = empty();
    let restored = restore(&file, &target).await.expect("restored");
    assert_eq!(restored.version, schema::LATEST);
    assert_eq!(rows(&target).await, before);
    assert!(before.iter().any(|row| row.starts_with("calls: ")), "{before:#?}");
    assert!(before.iter().any(|row| row.starts_with("idempotency: ")), "{before:#?}");
}

#[tokio::test]
async fn a_backup_replaces_no_file_and_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let harness = Harness::new().await;
    let source = settings(&harness.directory).database_url;
    let kept = tempfile::tempdir().expect("a directory");
    let file = kept.path().join("backup.db");
    back_up(&source, &file).await.expect("a backup");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = back_up(&source, &file).await.expect_err("it is there");
    assert!(matches!(refused, CopyError::Exists(_)), "{refused}");
    let nowhere = back_up(&source, &kept.path().join("no/backup.db")).await;
    assert!(matches!(nowhere, Err(CopyError::File { .. })));
    assert_eq!(files(kept.path()), ["backup.db"]);
}

#[tokio::test]
async fn a_database_without_a_schema_has_no_backup_and_leaves_nothing_behind() {
    let (_directory, source) = empty();
    writer(&source).await.expect("made").close().await;
    let kept = tempfile::tempdir().expect("a directory");
    let refused = back_up(&source, &kept.path().join("backup.db")).await.expect_err("no schema");
    assert!(refused.to_string().contains("no schema"), "{refused}");
    assert_eq!(files(kept.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_database_that_is_used_and_a_file_that_is_no_backup_are_refused() {
    let harness = lived_in().await;
    let used = settings(&harness.directory).database_url;
    let kept = tempfile::tempdir().expect("a directory");
    let file = kept.path().join("backup.db");
    back_up(&used, &file).await.expect("a backup");
    let before = rows(&used).await;
    let refused = restore(&file, &used).await.expect_err("it is used");
    assert!(matches!(refused, CopyError::NotEmpty), "{refused}");
    assert_eq!(rows(&used).await, before);

    let (_directory, target) = empty();
    let other = kept.path().join("notes.txt");
    fs::write(&other, "no database at all, however long this text may be").expect("written");
    for file in [&other, &kept.path().join("missing.db")] {
        let refused = restore(file, &target).await.expect_err("no backup");
        assert!(matches!(refused, CopyError::NoBackup(_)), "{refused}");
    }
    restore(&file, &target).await.expect("the target is as empty as before");
}

#[tokio::test]
async fn a_backup_of_an_older_version_is_brought_up_to_date() {
    let (_directory, source) = empty();
    let old = writer(&source).await.expect("made");
    schema::migrate(&old, 2).await.expect("an older schema");
    let insert = "INSERT INTO organizations \
         (id, concurrency_total, currency, recharge_policy, members_may_allocate, version) \
         VALUES ('org_01arz3ndektsv4rrffq69g5fav', 100, 'INR', 'external', 1, 1)";
    sqlx::query(insert).execute(&old).await.expect("written");
    old.close().await;
    let kept = tempfile::tempdir().expect("a directory");
    let file = kept.path().join("backup.db");
    assert_eq!(back_up(&source, &file).await.expect("a backup").version, 2);

    let (_directory, target) = empty();
    assert_eq!(restore(&file, &target).await.expect("restored").version, 2);
    let mut connection = AnyConnection::connect(&target).await.expect("connected");
    assert_eq!(schema::version(&mut connection).await.expect("a version"), schema::LATEST);
    assert!(rows(&target).await.iter().any(|row| row.starts_with("organizations: ")));

    let (_directory, newer) = empty();
    migrate(&newer).await.expect("migrated");
    let refused = restore(&file, &newer).await.expect_err("a newer schema");
    assert!(matches!(refused, CopyError::NewerSchema { backup: 2, .. }), "{refused}");
}
