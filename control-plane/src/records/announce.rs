//! Tells webhooks of calls that have ended, and of what they did to wallets that are watched, in the
//! transaction that posts them.

use std::collections::BTreeMap;

use hub::id::AccountId;
use sqlx::AnyConnection;

use super::post::Written;
use crate::problem::Problem;
use crate::usage::calls;
use crate::wallets::watch;
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
    for moved in &written.moved {
        if let Some(organization) = organizations.get(&moved.owner)
            && listens(connection, &mut listening, *organization).await?
        {
            watch::moved(connection, moved, now_us).await?;
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
