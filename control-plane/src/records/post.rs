//! Writes call records and their charges within one SQL transaction.

use hub::call::{Direction, Record};
use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::Amount;
use sqlx::{AnyConnection, Row as _};

use crate::account::{BILLING, word};
use crate::counters;
use crate::ledger::{self, Cause, Moved, Transaction};
use crate::problem::Problem;
use crate::store::rows::{self, Value};

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// First records are new: they are inserted many at a time; a repeated one fails the batch.
    Quick,
    /// Each record is looked up first, and a repeated one passed over.
    Each,
}

const INSERT: &str = "INSERT INTO calls (account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, \
     agent_id, source, outcome, cause, billable_s, cost, debt, currency, billing_mode, revision, costs, organization_id, \
     posted_us)";
/// The counter that orders batches as they are committed; invoices say up to where they go by it.
pub(crate) const POSTING: &str = "posting";

const CORRECT: &str = "INSERT INTO call_corrections (account_id, admitted_us, call_id, revision, organization_id, \
     billing_mode, currency, call_posted_us, posted_us, billable_s, cost)";

/// When a batch is written.
#[derive(Clone, Copy)]
struct At {
    now_us: i64,
    /// In the order of the batches.
    posted_us: i64,
}

/// What writing came to.
#[derive(Default)]
pub(crate) struct Written<'r> {
    /// The records that were new or corrected one, each with the organization of its account.
    pub(super) records: Vec<(AccountId, &'r Record)>,
    /// Wallets, in the order of their movements.
    pub(super) moved: Vec<Moved>,
}

/// Writes records in order, each with the organization of its account.
pub(crate) async fn write<'r>(
    connection: &mut AnyConnection,
    records: &[(AccountId, &'r Record)],
    care: Care,
    now_us: i64,
) -> Result<Written<'r>, Problem> {
    let mut written = Written::default();
    if records.is_empty() {
        return Ok(written);
    }
    let posted_us = counters::advance(connection, POSTING, now_us).await?;
    let at = At { now_us, posted_us };
    let mut rest = records;
    while !rest.is_empty() {
        let firsts = match care {
            Care::Quick => rest.iter().take_while(|(_, record)| record.revision == 0).count(),
            Care::Each => 0,
        };
        let (quick, slow) = rest.split_at(firsts);
        written.moved.extend(insert(connection, quick, at).await?);
        written.records.extend_from_slice(quick);
        rest = slow;
        if let [(organization, record), later @ ..] = slow {
            if let Some(moved) = replace(connection, *organization, record, at).await? {
                written.moved.extend(moved);
                written.records.push((*organization, record));
            }
            rest = later;
        }
    }
    Ok(written)
}

/// Inserts records that are not there yet, and posts their charges.
async fn insert(
    connection: &mut AnyConnection,
    records: &[(AccountId, &Record)],
    at: At,
) -> Result<Vec<Moved>, Problem> {
    let posted_us = at.posted_us;
    let rows = records.iter().map(|(organization, record)| row(*organization, record, posted_us));
    let rows: Vec<Vec<Value<'_>>> = rows.collect();
    rows::write(connection, INSERT, &rows, "").await?;
    let charges: Vec<Transaction> = records
        .iter()
        .filter_map(|(organization, record)| {
            charge(*organization, record, Cause::Call, Amount::ZERO, Amount::ZERO)
        })
        .collect();
    Ok(ledger::post(connection, &charges, at.now_us).await?)
}

/// Writes one record over an earlier one of the same call, and posts the difference. `None`: it was
/// known.
async fn replace(
    connection: &mut AnyConnection,
    organization: AccountId,
    record: &Record,
    at: At,
) -> Result<Option<Vec<Moved>>, Problem> {
    let key = "account_id = $1 AND admitted_us = $2 AND call_id = $3";
    let account = record.call.account().to_string();
    let facts = record.call.facts();
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT revision, cost, debt, billable_s, posted_us FROM calls WHERE {key}"
    )))
    .bind(account.as_str())
    .bind(facts.admitted_us)
    .bind(record.call.texts().call_id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(found) = found else {
        return insert(connection, &[(organization, record)], at).await.map(Some);
    };
    let (revision, cost, debt): (i64, i64, i64) =
        (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
    if revision >= i64::from(record.revision) {
        if revision == i64::from(record.revision)
            && (cost, debt) != (record.cost.micros(), record.debt.micros())
        {
            metrics::counter!("ringfence_record_conflicts_total").increment(1);
            tracing::error!(
                account,
                call_id = record.call.texts().call_id,
                "a repeated call record says another charge; the first one stands"
            );
        }
        return Ok(None);
    }
    sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM calls WHERE {key}")))
        .bind(account.as_str())
        .bind(facts.admitted_us)
        .bind(record.call.texts().call_id)
        .execute(&mut *connection)
        .await?;
    let first_us: i64 = found.try_get("posted_us")?;
    rows::write(connection, INSERT, &[row(organization, record, first_us)], "").await?;
    let billable_s = i64::from(record.billable_s) - found.try_get::<i64, _>("billable_s")?;
    let cost = Amount::from_micros(cost);
    let changed = Changed { first_us, billable_s, cost: record.cost.saturating_sub(cost) };
    correct(connection, organization, record, &changed, at.posted_us).await?;
    let debt = Amount::from_micros(debt);
    let difference: Vec<Transaction> =
        charge(organization, record, Cause::Adjustment, cost, debt).into_iter().collect();
    Ok(Some(ledger::post(connection, &difference, at.now_us).await?))
}

/// What a later record changes of a call.
struct Changed {
    /// When its first record was posted.
    first_us: i64,
    billable_s: i64,
    cost: Amount,
}

/// Notes what a later record changes, so that invoices can say it. Calls that are not billed are on none.
async fn correct(
    connection: &mut AnyConnection,
    organization: AccountId,
    record: &Record,
    changed: &Changed,
    posted_us: i64,
) -> Result<(), sqlx::Error> {
    let Some(pins) = record.call.facts().pins.as_ref() else { return Ok(()) };
    if changed.billable_s == 0 && changed.cost == Amount::ZERO {
        return Ok(());
    }
    let row = vec![
        Value::OwnedText(record.call.account().to_string()),
        Value::Int(record.call.facts().admitted_us),
        Value::Text(record.call.texts().call_id),
        Value::Int(i64::from(record.revision)),
        Value::OwnedText(organization.to_string()),
        Value::Text(word(BILLING, &pins.billing)),
        Value::Text(pins.currency.code()),
        Value::Int(changed.first_us),
        Value::Int(posted_us),
        Value::Int(changed.billable_s),
        Value::Int(changed.cost.micros()),
    ];
    rows::write(connection, CORRECT, &[row], "").await
}

/// What remains to be charged when `cost`, of it `debt`, has been charged before.
fn charge(
    organization: AccountId,
    record: &Record,
    cause: Cause,
    cost: Amount,
    debt: Amount,
) -> Option<Transaction> {
    let pins = record.call.facts().pins.as_ref()?;
    let wallet = match pins.billing {
        Billing::Isolated => record.call.account(),
        Billing::Consolidated => organization,
    };
    let owed = record.debt.saturating_sub(debt);
    let paid = record.cost.saturating_sub(cost).saturating_sub(owed);
    if owed == Amount::ZERO && paid == Amount::ZERO {
        return None;
    }
    let reference = record.call.texts().call_id.to_owned();
    Some(Transaction::charge(cause, reference, pins.currency, wallet, paid, owed))
}

fn row(organization: AccountId, record: &Record, posted_us: i64) -> Vec<Value<'_>> {
    let (facts, texts) = (record.call.facts(), record.call.texts());
    let pins = facts.pins.as_ref();
    vec![
        Value::OwnedText(facts.account.to_string()),
        Value::Int(facts.admitted_us),
        Value::Text(texts.call_id),
        Value::OptionalInt(record.answered_us()),
        Value::Int(record.ended_us),
        Value::Text(Direction::label(facts.direction)),
        Value::Text(texts.from),
        Value::Text(texts.to),
        Value::Text(texts.agent_id),
        Value::Text(texts.source),
        Value::Text(record.outcome.label()),
        Value::Text(record.cause.label()),
        Value::Int(i64::from(record.billable_s)),
        Value::Int(record.cost.micros()),
        Value::Int(record.debt.micros()),
        Value::OptionalText(pins.map(|pins| pins.currency.code())),
        Value::OptionalText(pins.map(|pins| word(BILLING, &pins.billing))),
        Value::Int(i64::from(record.revision)),
        Value::OptionalText(record.costs.as_deref()),
        Value::OwnedText(organization.to_string()),
        Value::Int(posted_us),
    ]
}
