//! Tells a shard all its configuration again, when it was begun anew, when something could not be told,
//! or when its directory stays behind the database. Money is told as a change of the escrow only: a
//! hub that was begun counts by itself what is spent.

use std::time::Duration;

use hub::directory::{Change, TokenKey};

use super::Trouble;
use crate::hub::{CHANGES_MAX, Shared};
use crate::publish::Reading;
use crate::store::Writing;
use crate::{App, holders, publication};

/// A publication that has been committed for so long and is not in the directory is not on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Tells everything where that is due.
pub(super) async fn bring_up_to_date(
    app: &App,
    hub: &Shared,
    shard: u8,
    committed: u64,
    directory: u64,
) -> Result<(), Trouble> {
    let owed = hub.owed(shard);
    let is_behind = hub.is_behind(shard, committed, directory, ON_ITS_WAY);
    if owed == 0 && !is_behind && directory <= committed {
        return Ok(());
    }
    let mut writing = app.store.write().await?;
    let number = publication::last(writing.connection(), shard).await?;
    let is_restored = number < directory;
    if owed == 0 && !is_behind && !is_restored {
        // It was published between the two readings.
        return Ok(());
    }
    let number = if is_restored {
        tracing::warn!(
            shard,
            "the database is older than the hub's directory: its numbers go on there"
        );
        publication::overtake(&mut writing, shard, directory).await?
    } else {
        number
    };
    let changes = everything(&mut writing, shard).await?;
    writing.commit().await?;

    let mut parts = changes.chunks(CHANGES_MAX).peekable();
    while let Some(part) = parts.next() {
        hub.redis().republish(shard, number, part, parts.peek().is_none()).await?;
    }
    hub.told_everything(shard, number, owed);
    Ok(())
}

/// The whole configuration of a shard as it stands in a transaction.
async fn everything(writing: &mut Writing, shard: u8) -> Result<Vec<Change>, Trouble> {
    let told = |wallet: &crate::ledger::Wallet| Change::Wallet(wallet.config());
    let mut changes = Reading::new(Some(shard)).rest(writing.connection(), told).await?;
    if shard == 0 {
        let key = holders::token_key(writing.connection()).await?;
        changes.push(Change::TokenKey(TokenKey(key)));
    }
    Ok(changes)
}
