//! Each report counts once, whoever reads it how often, in whichever form the hub is.

use std::sync::Arc;

use hub::denial::Reason;
use hub::id::{AccountId, AccountKind, HolderId, Ulid};
use hub::key::KeyHash;
use hub::report::minute_of;
use hub::shared::SharedHub as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::testing::Harness;
use crate::testing::reports::{refused, report};
use crate::testing::sharing::{Sharing, eventually, server};

const AT: &str = "2025-06-25T10:04:31Z";

/// As [`AT`], in the minute before: what is older than is kept is swept by whoever takes reports.
fn lately() -> String {
    let minute_us = hub::clock::now_us() / 60_000_000 * 60_000_000 - 60_000_000;
    crate::timestamp::text(minute_us + 31_000_000)
}

/// Denials of all accounts, and refused calls of all organizations.
async fn counted(app: &App) -> (i64, i64) {
    let mut connection = app.store.read().await.expect("a connection");
    let mut sum = async |sql: &'static str| -> i64 {
        sqlx::query(sql)
            .fetch_one(&mut *connection)
            .await
            .expect("a row")
            .try_get(0)
            .expect("a sum")
    };
    let denials = sum(
        "SELECT CAST(COALESCE(SUM(denials), 0) AS BIGINT) FROM denials WHERE subject LIKE 'sa%'",
    )
    .await;
    let calls = sum("SELECT CAST(COALESCE(SUM(slice_6), 0) AS BIGINT) FROM refused_calls WHERE subject LIKE '*%'").await;
    (denials, calls)
}

#[tokio::test]
async fn a_report_counts_once_and_parts_of_a_minute_add_up() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    let first = report(1, vec![refused(&account, AT, &[(Reason::NoSlot, 4)], 3)]);
    harness.reported(&first).await;
    assert_eq!(counted(&harness.plane.app).await, (4, 3));
    harness.reported(&first).await;
    assert_eq!(counted(&harness.plane.app).await, (4, 3), "read again");
    let more = vec![refused(&account, AT, &[(Reason::NoSlot, 1), (Reason::Suspended, 2)], 1)];
    harness.reported(&report(2, more.clone())).await;
    assert_eq!(counted(&harness.plane.app).await, (7, 4));
    let another = Report { reporter: HolderId(2), ..report(1, more) };
    harness.reported(&another).await;
    assert_eq!(counted(&harness.plane.app).await, (10, 5), "another gateway's");
}

#[tokio::test]
async fn a_key_that_was_used_at_a_gateway_shows_it() {
    let harness = Harness::new().await;
    let (account, key) = harness.isolated(1).await;
    let minute = minute_of(hub::clock::now_us());
    let keys = vec![KeyUse { hash: KeyHash::of(key.as_bytes()), minute }];
    harness.reported(&Report { keys, ..report(1, Vec::new()) }).await;
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    harness.plane.app.uses.write(writing.connection()).await.expect("written");
    writing.commit().await.expect("committed");
    let path = format!("/v1/sub-accounts/{account}/api-keys");
    let listed = harness.get(&harness.organization, &path).await;
    let shown = crate::timestamp::text(minute_us(minute));
    assert_eq!(listed.body["data"][0]["last_used_at"], serde_json::json!(shown));
}

#[tokio::test]
async fn what_is_of_nobody_is_in_no_account() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    let unknown = AccountId::new(AccountKind::SubAccount, Ulid::from(9_u128)).to_string();
    let mut of_test_key = refused(&account, AT, &[(Reason::NoSlot, 1)], 1);
    of_test_key.account = of_test_key.account.shadow();
    let of_nobody = refused(&unknown, AT, &[(Reason::NoSlot, 1)], 1);
    harness.reported(&report(1, vec![of_test_key, of_nobody])).await;
    assert_eq!(counted(&harness.plane.app).await, (0, 0));
}

#[tokio::test]
async fn what_waits_is_taken_when_the_control_plane_stops() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    let last = report(1, vec![refused(&account, &lately(), &[(Reason::NoSlot, 1)], 1)]);
    assert!(harness.plane.app.hub.embedded().report(&last));
    harness.plane.take_reports(std::future::ready(())).await;
    assert_eq!(counted(&harness.plane.app).await, (1, 1));
    assert_eq!(harness.plane.app.hub.embedded().waiting_report(), None);
}

#[tokio::test]
async fn two_control_planes_share_the_reports_of_many_gateways() {
    const GATEWAYS: u64 = 20;
    const REPORTS: u64 = 5;
    let redis = server();
    let mut sharing = Sharing::new(&redis.url()).await;
    let (account, _) = sharing.harness.isolated(1).await;
    let another = sharing.another(&redis.url()).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (stop_other, stopped_other) = oneshot::channel::<()>();
    let mut taking = JoinSet::new();
    let plane = sharing.harness.plane.clone();
    taking.spawn(async move { plane.take_reports(stopped).await });
    taking.spawn(async move { another.take_reports(stopped_other).await });
    for sequence in 1..=REPORTS {
        for gateway in 0..GATEWAYS {
            let refused = refused(&account, &lately(), &[(Reason::NoSlot, 2)], 1);
            let reporter = HolderId(gateway.into());
            let report = Report { reporter, ..report(sequence, vec![refused]) };
            eventually("there is room", async || {
                matches!(sharing.hub.report(&report).await, Ok(true))
            })
            .await;
        }
    }
    let all = i64::try_from(GATEWAYS * REPORTS).expect("few");
    let app = Arc::clone(&sharing.harness.plane.app);
    eventually("all are written", async || counted(&app).await == (2 * all, all)).await;
    eventually("none waits", async || {
        sharing.hub.waiting_reports().await.is_ok_and(|waiting| waiting.is_empty())
    })
    .await;
    assert_eq!(counted(&app).await, (2 * all, all));
    drop((stop, stop_other));
    taking.join_all().await;
    sharing.rest().await;
}
