//! Writes call records and their charges within one SQL transaction.

use hub::call::{Direction, Record};
use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::Amount;
use sqlx::{AnyConnection, Row as _};

use crate::account::{BILLING, word};
use crate::ledger::{self, Cause, Moved, Transaction};
use crate::problem::Problem;
use crate::records::rate;
use crate::store::rows::{self, Value};

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// First records are new: they are inserted many at a time; a repeated one fails the batch.
    Quick,
    /// Each record is looked up first, and a repeated one passed over.
    Each,
}

const INSERT: &str = "INSERT INTO calls (account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, \
     agent_id, source, outcome, cause, billable_s, cost, debt, currency, billing_mode, revision, costs, organization_id, rate)";

/// What writing came to.
#[derive(Default)]
pub(super) struct Written<'r> {
    /// The records that were new or corrected one, each with the organization of its account.
    pub(super) records: Vec<(AccountId, &'r Record)>,
    /// Wallets, in the order of their movements.
    pub(super) moved: Vec<Moved>,
}

/// Writes records in order, each with the organization of its account.
pub(super) async fn write<'r>(
    connection: &mut AnyConnection,
    records: &[(AccountId, &'r Record)],
    care: Care,
    now_us: i64,
) -> Result<Written<'r>, Problem> {
    let mut written = Written::default();
    let mut rest = records;
    while !rest.is_empty() {
        let firsts = match care {
            Care::Quick => rest.iter().take_while(|(_, record)| record.revision == 0).count(),
            Care::Each => 0,
        };
        let (quick, slow) = rest.split_at(firsts);
        written.moved.extend(insert(connection, quick, now_us).await?);
        written.records.extend_from_slice(quick);
        rest = slow;
        if let [(organization, record), later @ ..] = slow {
            if let Some(moved) = replace(connection, *organization, record, now_us).await? {
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
    now_us: i64,
) -> Result<Vec<Moved>, Problem> {
    let rows: Vec<Vec<Value<'_>>> =
        records.iter().map(|(organization, record)| row(*organization, record)).collect();
    rows::write(connection, INSERT, &rows, "").await?;
    let charges: Vec<Transaction> = records
        .iter()
        .filter_map(|(organization, record)| {
            charge(*organization, record, Cause::Call, Amount::ZERO, Amount::ZERO)
        })
        .collect();
    Ok(ledger::post(connection, &charges, now_us).await?)
}

/// Writes one record over an earlier one of the same call, and posts the difference. `None`: it was
/// known.
async fn replace(
    connection: &mut AnyConnection,
    organization: AccountId,
    record: &Record,
    now_us: i64,
) -> Result<Option<Vec<Moved>>, Problem> {
    let key = "account_id = $1 AND admitted_us = $2 AND call_id = $3";
    let account = record.call.account().to_string();
    let facts = record.call.facts();
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT revision, cost, debt FROM calls WHERE {key}"
    )))
    .bind(account.as_str())
    .bind(facts.admitted_us)
    .bind(record.call.texts().call_id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(found) = found else {
        return insert(connection, &[(organization, record)], now_us).await.map(Some);
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
    rows::write(connection, INSERT, &[row(organization, record)], "").await?;
    let (cost, debt) = (Amount::from_micros(cost), Amount::from_micros(debt));
    let difference: Vec<Transaction> =
        charge(organization, record, Cause::Adjustment, cost, debt).into_iter().collect();
    Ok(Some(ledger::post(connection, &difference, now_us).await?))
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

fn row(organization: AccountId, record: &Record) -> Vec<Value<'_>> {
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
        pins.map_or(Value::OptionalText(None), |pins| Value::OwnedText(rate::text(pins))),
    ]
}
