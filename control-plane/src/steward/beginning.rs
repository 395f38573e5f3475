//! Begins a shard whose memory is lost, or is another server's: who may have something, for how long to
//! learn it, and what the limits and the money are, in one step.
//!
//! What holds of money. A wallet begins with the ledger's `posted` as spent, or with what the memory
//! still knows if that is more. Charges that the ledger has not posted come again with their records
//! and are counted then. Too much counts as spent, and never too little, in two cases, until the
//! hub's memory of the wallet is lost again: a record that the ledger has posted and whose holder had
//! not yet heard so is sent again and counted twice; a correction that lowers a charge and that the
//! ledger has not posted is counted by the hub, and undone by the ledger's higher number. Each is at
//! most what calls were charged within about a second. What it takes to be exact is written in
//! ARCHITECTURE.md, with the limits of the lease protocol.

use hub::clock::now_us;
use hub::directory::Change;
use hub::redis::encode::Beginning;
use hub::shared::NoAnswer;
use hub::state::exchange::Begin;
use hub::state::request::Request;

use super::Trouble;
use crate::hub::Shared;
use crate::publish::Reading;
use crate::{App, holders};

/// Without a sign of life for so long a holder is given up, and what claims of the hub's clock may
/// differ by.
const RECLAIM_MS: u64 = 5_000;
const CLAIM_MS: u64 = 2_000;

/// Begins the shard, unless another control plane has done so meanwhile: a second beginning would make
/// every gateway report everything twice.
pub(super) async fn begin(app: &App, hub: &Shared, shard: u8) -> Result<(), Trouble> {
    let learn_max_ms = u64::from(app.call_lease_s) * 1_000 + RECLAIM_MS + CLAIM_MS;
    // A number that was used is never used again, whatever becomes of the beginning.
    let mut writing = app.store.write().await?;
    let incarnation = holders::next_incarnation(writing.connection()).await?;
    writing.commit().await?;

    // The turn is held until the hub has answered: nobody is written to the list in between.
    let mut writing = app.store.write().await?;
    match hub.look(shard).await {
        Err(NoAnswer::Unsealed) => {}
        standing => return Ok(standing.map(drop)?),
    }
    let now_us = now_us();
    let struck_out_us = holders::struck_out_us(writing.connection(), shard).await?;
    let holders = holders::list(writing.connection(), shard).await?;
    let told = |wallet: &crate::ledger::Wallet| Change::Wallet(wallet.restoring());
    let changes = Reading::new(Some(shard)).rest(writing.connection(), told).await?;
    let beginning = Beginning {
        begin: Begin {
            incarnation,
            holders,
            learn_min_ms: struck_out_us.map_or(0, |at_us| left_ms(at_us, now_us, learn_max_ms)),
            learn_max_ms,
            call_lease_s: app.call_lease_s,
            clock_ms: u64::try_from(now_us / 1_000).unwrap_or(0),
            clock_seen_ms: hub.clock_seen_ms(shard),
        },
        configuration: changes.iter().filter_map(Request::of).collect(),
    };
    let began = hub.redis().begin(shard, &beginning).await?;
    drop(writing);
    if began {
        tracing::info!(
            shard,
            incarnation,
            holders = beginning.begin.holders.len(),
            "a shard of the hub begins anew"
        );
        hub.owe(shard);
    }
    Ok(())
}

/// How long from now there may be calls of a holder that was struck out at `at_us`. Another control
/// plane's clock may be ahead.
fn left_ms(at_us: i64, now_us: i64, outlive_ms: u64) -> u64 {
    let passed_ms = u64::try_from((now_us - at_us) / 1_000).unwrap_or(0);
    outlive_ms.saturating_sub(passed_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_lasts_as_long_as_calls_of_a_holder_struck_out_lately() {
        assert_eq!(left_ms(0, 7_000_000, 97_000), 90_000);
        assert_eq!(left_ms(0, 200_000_000, 97_000), 0);
        assert_eq!(left_ms(9_000_000, 0, 97_000), 97_000);
    }
}
