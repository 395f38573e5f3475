//! Tells webhooks of calls that have ended, and of wallets that have become low or empty, in the
//! transaction that posts them.

use std::collections::BTreeMap;

use hub::id::AccountId;
use hub::money::Amount;
use serde_json::json;
use sqlx::AnyConnection;

use super::post::Written;
use crate::ledger::{Moved, Wallet};
use crate::problem::Problem;
use crate::usage::calls;
use crate::webhooks::{Event, EventKind, event};

pub(super) async fn write(
    connection: &mut AnyConnection,
    written: &Written<'_>,
    now_us: i64,
) -> Result<(), Problem> {
    let mut listening = BTreeMap::new();
    for (organization, record) in &written.records {
        if !listens(connection, &mut listening, *organization).await? {
            continue;
        }
        let account = record.call.account();
        let found = calls::find(
            connection,
            account,
            record.call.facts().admitted_us,
            record.call.texts().call_id,
        )
        .await?;
        // Of a closed account nobody is told whom a call was with.
        let Some(found) = found.filter(|found| !found.is_purged()) else { continue };
        let kind =
            if record.revision == 0 { EventKind::CallCompleted } else { EventKind::CallCorrected };
        let ended = Event::new(kind, account, *organization, &found)?;
        event::store(connection, &[ended], now_us).await?;
    }
    // Calls are charged to their account's wallet or to their organization's.
    let organizations: BTreeMap<AccountId, AccountId> = written
        .records
        .iter()
        .flat_map(|(organization, record)| {
            [*organization, record.call.account()].map(|of| (of, *organization))
        })
        .collect();
    for moved in written.moved.iter().filter(|moved| moved.after < moved.before) {
        if let Some(organization) = organizations.get(&moved.owner)
            && listens(connection, &mut listening, *organization).await?
        {
            sunk(connection, moved, now_us).await?;
        }
    }
    Ok(())
}

/// Whether any webhook of the organization or its accounts is active; asked once per batch.
async fn listens(
    connection: &mut AnyConnection,
    known: &mut BTreeMap<AccountId, bool>,
    organization: AccountId,
) -> Result<bool, Problem> {
    if let Some(listens) = known.get(&organization) {
        return Ok(*listens);
    }
    let found =
        sqlx::query("SELECT 1 FROM webhooks WHERE organization_id = $1 AND is_active = 1 LIMIT 1")
            .bind(organization.to_string())
            .fetch_optional(connection)
            .await?;
    known.insert(organization, found.is_some());
    Ok(found.is_some())
}

/// A balance has sunk: an event when it crosses the wallet's threshold, and when it reaches zero; once
/// per crossing.
async fn sunk(connection: &mut AnyConnection, moved: &Moved, now_us: i64) -> Result<(), Problem> {
    let wallet = Wallet::load(connection, moved.owner).await?;
    let crosses = |line: Amount| moved.before > line && moved.after <= line;
    let shown = |amount: Amount| amount.in_currency(wallet.currency).to_string();
    let data = json!({
        "balance": shown(moved.after),
        "low_balance": wallet.low_balance.map(shown),
        "currency": wallet.currency.code(),
    });
    let mut events = Vec::new();
    if wallet.low_balance.is_some_and(crosses) {
        let kind = EventKind::BalanceLow;
        events.push(Event::new(kind, moved.owner, wallet.organization, &data)?);
    }
    if crosses(Amount::ZERO) {
        let kind = EventKind::BalanceEmpty;
        events.push(Event::new(kind, moved.owner, wallet.organization, &data)?);
    }
    event::store(connection, &events, now_us).await
}
