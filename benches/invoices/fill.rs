//! A month of finished calls, written into the database of a control plane as posting would have, and what each
//! account was charged by them: counted while they are written, by nobody's queries.

use std::collections::BTreeMap;
use std::io;

use indicatif::ProgressBar;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

/// 2025-06-01 in UTC, and the length of the month.
const BEGAN_US: i64 = 1_748_736_000_000_000;
const MONTH_US: i64 = 30 * 86_400_000_000;
/// Rows of a statement, and statements of a transaction.
const ROWS: u64 = 500;
const STATEMENTS: u64 = 40;
const BILLABLE_MAX_S: i64 = 600;
const COST_MAX_MICROS: i64 = 20_000_000;

/// An account, and whether it has its own wallet.
pub struct Account {
    pub id: String,
    pub is_isolated: bool,
}

/// Writes the calls; what each account was charged, in micro-units.
pub async fn fill(
    url: &str,
    organization: &str,
    accounts: &[Account],
    calls: u64,
    bar: &ProgressBar,
) -> io::Result<BTreeMap<String, i64>> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.map_err(io::Error::other)?;
    if url.starts_with("sqlite:") {
        let patient = "PRAGMA busy_timeout = 10000; PRAGMA synchronous = NORMAL;";
        connection.execute(patient).await.map_err(io::Error::other)?;
    }
    let mut random = StdRng::seed_from_u64(20_250_601);
    let mut charged = BTreeMap::new();
    let mut written = 0;
    while written < calls {
        let mut transaction = connection.begin().await.map_err(io::Error::other)?;
        for _ in 0..STATEMENTS {
            let rows = ROWS.min(calls - written);
            if rows == 0 {
                break;
            }
            let sql = statement(
                organization,
                accounts,
                (written, calls, rows),
                &mut random,
                &mut charged,
            );
            transaction.execute(AssertSqlSafe(sql)).await.map_err(io::Error::other)?;
            written += rows;
        }
        transaction.commit().await.map_err(io::Error::other)?;
        bar.set_position(written);
    }
    let posted =
        format!("UPDATE counters SET value = {} WHERE name = 'posting'", BEGAN_US + 2 * MONTH_US);
    connection.execute(AssertSqlSafe(posted)).await.map_err(io::Error::other)?;
    if !url.starts_with("sqlite:") {
        // What autovacuum does in an installation that fills up over a month.
        connection.execute("VACUUM ANALYZE calls").await.map_err(io::Error::other)?;
    }
    connection.close().await.map_err(io::Error::other)?;
    Ok(charged)
}

/// Calls in the order of their admissions, over accounts at random.
fn statement(
    organization: &str,
    accounts: &[Account],
    (first, calls, rows): (u64, u64, u64),
    random: &mut StdRng,
    charged: &mut BTreeMap<String, i64>,
) -> String {
    let mut values = Vec::new();
    for number in first..first + rows {
        let account = &accounts[random.random_range(0..accounts.len())];
        let place = i128::from(MONTH_US) * i128::from(number) / i128::from(calls);
        let admitted_us = BEGAN_US + i64::try_from(place).unwrap_or(0);
        let billable_s = random.random_range(1..=BILLABLE_MAX_S);
        let cost = random.random_range(1..=COST_MAX_MICROS);
        let ended_us = admitted_us + billable_s * 1_000_000;
        *charged.entry(account.id.clone()).or_default() += cost;
        values.push(format!(
            "('{}',{admitted_us},'call-{number:08}',{admitted_us},{ended_us},'outbound','+911140001234','+919812345678',\
             'agent-7','kamailio-1','completed','release',{billable_s},{cost},0,'INR','{}',0,'{organization}',{})",
            account.id,
            if account.is_isolated { "isolated" } else { "consolidated" },
            ended_us + 1_000_000,
        ));
    }
    format!(
        "INSERT INTO calls (account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, agent_id, \
         source, outcome, cause, billable_s, cost, debt, currency, billing_mode, revision, organization_id, posted_us) \
         VALUES {}",
        values.join(",")
    )
}
