//! `limit.reached`: calls of an account are refused because there is no slot, or too many start in a second,
//! after some minutes in which none was.

use std::collections::{BTreeSet, HashMap};

use hub::clock::SECOND_US;
use hub::denial::Reason;
use hub::id::AccountId;
use hub::report::minute_us;
use serde::Serialize;
use sqlx::AnyConnection;

use super::sums::Sums;
use crate::problem::Problem;
use crate::timestamp;
use crate::webhooks::event::{Event, EventKind};

/// Without a refusal for so long a limit counts as not reached.
const QUIET_US: i64 = 600 * SECOND_US;
/// What happened longer ago is no news.
const NEWS_US: i64 = 3_600 * SECOND_US;
const REASONS: [Reason; 2] = [Reason::NoSlot, Reason::RateLimited];

#[derive(Serialize)]
struct Data {
    reason: &'static str,
    /// The minute in which it was.
    at: String,
    /// Admits refused in it, each try, as far as is known now.
    refused: i64,
}

/// What is new in these sums, before they are written. Looks at nothing unless somebody wants to know.
pub(super) async fn events(
    connection: &mut AnyConnection,
    sums: &Sums,
    owners: &HashMap<AccountId, AccountId>,
    now_us: i64,
) -> Result<Vec<Event>, Problem> {
    let mut events = Vec::new();
    if !is_wanted(connection).await? {
        return Ok(events);
    }
    let mut told = BTreeSet::new();
    for reason in REASONS.map(Reason::label) {
        for (account, minute, refused) in sums.of(reason) {
            let at_us = minute_us(minute);
            let Some(organization) = owners.get(&account) else { continue };
            let is_first = at_us > now_us - NEWS_US && told.insert((account, reason));
            if is_first && is_quiet(connection, account, reason, at_us).await? {
                let data = Data { reason, at: timestamp::text(at_us), refused };
                events.push(Event::new(EventKind::LimitReached, account, *organization, &data)?);
            }
        }
    }
    Ok(events)
}

async fn is_wanted(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let wanted = format!("%\"{}\"%", EventKind::LimitReached.name());
    let row = sqlx::query("SELECT 1 FROM webhooks WHERE is_active = 1 AND events LIKE $1 LIMIT 1")
        .bind(wanted)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Whether nothing of the account was refused for the reason up to this minute.
async fn is_quiet(
    connection: &mut AnyConnection,
    account: AccountId,
    reason: &str,
    at_us: i64,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT 1 FROM denials WHERE subject = $1 AND minute_us > $2 AND reason = $3 LIMIT 1",
    )
    .bind(account.to_string())
    .bind(at_us - QUIET_US)
    .bind(reason)
    .fetch_optional(connection)
    .await?;
    Ok(row.is_none())
}
