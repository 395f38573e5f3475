//! Writes call records and their charges within one SQL transaction.

use hub::call::{Direction, Record};
use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::Amount;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::collections::HashSet;

use crate::account::{BILLING, word};
use crate::budget::spending::Spent;
use crate::counters;
use crate::ledger::{self, Cause, Moved, Transaction};
use crate::problem::Problem;
use crate::records::rate;
use crate::retention::{WHOLE_US, purge};
use crate::store::rows::{self, Value};

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// First records are new: they are inserted many at a time; a repeated one fails the batch. But those
    /// of calls that may have to be purged at once are looked up.
    Quick,
    /// Each record is looked up first, and a repeated one passed over.
    Each,
}

const INSERT: &str = "INSERT INTO calls (account_id, admitted_us, call_id, answered_us, ended_us, direction, caller, callee, \
     agent_id, source, outcome, cause, billable_s, cost, debt, currency, billing_mode, revision, costs, organization_id, \
     rate, posted_us)";
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
    /// What accounts have spent that are billed to their organization.
    pub(super) spent: Vec<Spent>,
}

/// Writes records in order, each with the organization of its account. `closed`: the accounts that are
/// deleted, money and all.
pub(crate) async fn write<'r>(
    connection: &mut AnyConnection,
    records: &[(AccountId, &'r Record)],
    closed: &HashSet<AccountId>,
    care: Care,
    now_us: i64,
) -> Result<Written<'r>, Problem> {
    let is_new = |record: &Record| {
        let is_whole = record.call.facts().admitted_us > now_us.saturating_sub(WHOLE_US);
        record.revision == 0 && is_whole && !closed.contains(&record.call.account())
    };
    let mut written = Written::default();
    if records.is_empty() {
        return Ok(written);
    }
    let posted_us = counters::advance(connection, POSTING, now_us).await?;
    let at = At { now_us, posted_us };
    let mut rest = records;
    while !rest.is_empty() {
        let firsts = match care {
            Care::Quick => rest.iter().take_while(|(_, record)| is_new(record)).count(),
            Care::Each => 0,
        };
        let (quick, slow) = rest.split_at(firsts);
        written.moved.extend(insert(connection, quick, at).await?);
        written.records.extend_from_slice(quick);
        written.spent.extend(quick.iter().filter_map(|(_, record)| spent(record, Amount::ZERO)));
        rest = slow;
        if let [(organization, record), later @ ..] = slow {
            let is_closed = closed.contains(&record.call.account());
            let late = (*organization, *record, is_closed);
            if let Some(late) = look_up(connection, late, at).await? {
                written.moved.extend(late.moved);
                written.spent.extend(spent(record, late.charged));
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
            charge((*organization, record, false), Cause::Call, Amount::ZERO, Amount::ZERO)
        })
        .collect();
    Ok(ledger::post(connection, &charges, at.now_us).await?)
}

/// A record that is looked up first, with the organization of its account, and whether that is closed.
type Late<'r> = (AccountId, &'r Record, bool);

/// What came of a record that was looked up.
struct LookedUp {
    moved: Vec<Moved>,
    /// What had been charged before.
    charged: Amount,
}

/// What a record adds to what its account has spent, where `charged` had been charged before.
fn spent(record: &Record, charged: Amount) -> Option<Spent> {
    let facts = record.call.facts();
    let cost = record.cost.saturating_sub(charged);
    let is_consolidated = facts.pins.as_ref()?.billing == Billing::Consolidated;
    (is_consolidated && cost != Amount::ZERO).then_some(Spent {
        account: facts.account,
        admitted_us: facts.admitted_us,
        cost,
    })
}

/// Writes one record, over an earlier one of the same call if there is any, and posts the difference. A
/// purged call stays purged, and a closed account's is at once. `None`: the record was known.
async fn look_up(
    connection: &mut AnyConnection,
    late: Late<'_>,
    at: At,
) -> Result<Option<LookedUp>, Problem> {
    let (organization, record, is_closed) = late;
    let key = "account_id = $1 AND admitted_us = $2 AND call_id = $3";
    let account = record.call.account().to_string();
    let admitted_us = record.call.facts().admitted_us;
    let call_id = record.call.texts().call_id;
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT revision, cost, debt, billable_s, posted_us, purged_us FROM calls WHERE {key}"
    )))
    .bind(account.as_str())
    .bind(admitted_us)
    .bind(call_id)
    .fetch_optional(&mut *connection)
    .await?;
    let (mut cause, mut cost, mut debt, mut is_purged) = (Cause::Call, 0_i64, 0_i64, is_closed);
    let mut first_us = at.posted_us;
    if let Some(found) = found {
        let revision: i64 = found.try_get("revision")?;
        (cause, cost, debt) = (Cause::Adjustment, found.try_get("cost")?, found.try_get("debt")?);
        is_purged |= found.try_get::<Option<i64>, _>("purged_us")?.is_some();
        if revision >= i64::from(record.revision) {
            if revision == i64::from(record.revision)
                && (cost, debt) != (record.cost.micros(), record.debt.micros())
            {
                metrics::counter!("ringfence_record_conflicts_total").increment(1);
                tracing::error!(
                    account,
                    call_id,
                    "a repeated call record says another charge; the first one stands"
                );
            }
            return Ok(None);
        }
        sqlx::query(AssertSqlSafe(format!("DELETE FROM calls WHERE {key}")))
            .bind(account.as_str())
            .bind(admitted_us)
            .bind(call_id)
            .execute(&mut *connection)
            .await?;
        first_us = found.try_get("posted_us")?;
        let billable_s = i64::from(record.billable_s) - found.try_get::<i64, _>("billable_s")?;
        let cost = record.cost.saturating_sub(Amount::from_micros(cost));
        let changed = Changed { first_us, billable_s, cost };
        correct(connection, organization, record, &changed, at.posted_us).await?;
    }
    rows::write(connection, INSERT, &[row(organization, record, first_us)], "").await?;
    if is_purged {
        let call = (admitted_us, call_id, record.costs.as_deref());
        purge::one(connection, record.call.account(), call, at.now_us).await?;
    } else {
        purge::look_again(connection, record.call.account(), admitted_us).await?;
    }
    let (cost, debt) = (Amount::from_micros(cost), Amount::from_micros(debt));
    let difference: Vec<Transaction> = charge(late, cause, cost, debt).into_iter().collect();
    if is_closed
        && !difference.is_empty()
        && let Some(pins) = record.call.facts().pins.as_ref()
    {
        ledger::open_closed(connection, organization, pins.currency).await?;
    }
    let moved = ledger::post(connection, &difference, at.now_us).await?;
    Ok(Some(LookedUp { moved, charged: cost }))
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
    (organization, record, is_closed): Late<'_>,
    cause: Cause,
    cost: Amount,
    debt: Amount,
) -> Option<Transaction> {
    let pins = record.call.facts().pins.as_ref()?;
    let account = record.call.account();
    let wallet = match pins.billing {
        Billing::Isolated => account,
        Billing::Consolidated => organization,
    };
    let owed = record.debt.saturating_sub(debt);
    let paid = record.cost.saturating_sub(cost).saturating_sub(owed);
    if owed == Amount::ZERO && paid == Amount::ZERO {
        return None;
    }
    let reference = record.call.texts().call_id.to_owned();
    if is_closed && pins.billing == Billing::Isolated {
        let of = (organization, account);
        let cost = paid.saturating_add(owed);
        return Some(Transaction::charge_of_closed((cause, reference), pins.currency, of, cost));
    }
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
        pins.map_or(Value::OptionalText(None), |pins| Value::OwnedText(rate::text(pins))),
        Value::Int(posted_us),
    ]
}
