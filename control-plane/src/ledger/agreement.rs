//! Whether the hub counts for each wallet what the ledger has posted: the hub lends what it takes for unspent,
//! so a wallet whose charges it has too few of could be overspent, and of one with too many some money lies
//! idle. Compared wallet by wallet, round after round, where no call of its shard ended meanwhile.

use hub::id::AccountId;
use hub::money::Amount;
use metrics::gauge;

use super::Wallet;
use crate::App;
use crate::problem::Problem;

/// Wallets compared before others get their turn.
const PAGE: i64 = 100;

/// A round through all wallets.
#[derive(Default)]
pub(crate) struct Round {
    after: String,
    counted: Counted,
}

/// What a round has found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) compared: u32,
    /// The hub counts less than is posted.
    pub(crate) behind: u32,
    /// It counts more.
    pub(crate) ahead: u32,
}

impl Round {
    /// Compares some wallets; what the whole round found, once it is through.
    pub(crate) async fn some(&mut self, app: &App) -> Result<Option<Counted>, Problem> {
        let wallets = {
            let mut connection = app.store.read().await?;
            Wallet::every(&mut connection, None, &self.after, PAGE).await?
        };
        let Some(last) = wallets.last() else {
            let counted = std::mem::take(self).counted;
            let apart = |side| gauge!("ringfence_wallets_apart", "hub" => side);
            apart("behind").set(counted.behind);
            apart("ahead").set(counted.ahead);
            gauge!("ringfence_wallets_compared").set(counted.compared);
            return Ok(Some(counted));
        };
        self.after = last.owner.to_string();
        for wallet in &wallets {
            if let Some(apart) = apart(app, wallet.owner, wallet.organization).await? {
                self.count(wallet.owner, apart);
            }
        }
        Ok(None)
    }

    fn count(&mut self, owner: AccountId, apart: Amount) {
        let one_more = |count: &mut u32| *count = count.saturating_add(1);
        one_more(&mut self.counted.compared);
        if apart == Amount::ZERO {
            return;
        }
        let is_behind = apart < Amount::ZERO;
        one_more(if is_behind { &mut self.counted.behind } else { &mut self.counted.ahead });
        tracing::error!(
            wallet = %owner,
            micro_units = apart.micros(),
            "the hub counts other charges than the ledger has posted"
        );
    }
}

/// By how much what the hub counts exceeds what is posted; `None`: calls end just now, or the hub does not say.
async fn apart(
    app: &App,
    owner: AccountId,
    organization: AccountId,
) -> Result<Option<Amount>, Problem> {
    let shard = organization.shard();
    let Some(before) = app.hub.look(shard).await else { return Ok(None) };
    if app.progress.of(shard, &before) < before.last_record {
        return Ok(None);
    }
    let posted = {
        let mut connection = app.store.read().await?;
        Wallet::load(&mut connection, owner).await?.posted
    };
    let Some(counted) = app.hub.wallet_use(organization, owner).await else { return Ok(None) };
    let after = app.hub.look(shard).await;
    let is_still = after.is_some_and(|after| {
        (after.incarnation, after.last_record) == (before.incarnation, before.last_record)
    });
    Ok(is_still.then(|| counted.spent.saturating_sub(posted)))
}

#[cfg(test)]
mod tests {
    use hub::directory::Billing;

    use super::*;
    use crate::testing::Harness;
    use crate::testing::calls::call;

    async fn compared(harness: &Harness) -> Counted {
        let mut round = Round::default();
        loop {
            if let Some(counted) = round.some(&harness.plane.app).await.expect("compared") {
                return counted;
            }
        }
    }

    #[tokio::test]
    async fn wallets_are_compared_once_their_charges_are_posted() {
        let harness = Harness::new().await;
        let (account, _) = harness.isolated(5).await;
        harness.recharge(&account, "100").await;
        let agreed = |compared| Counted { compared, ..Counted::default() };
        assert_eq!(compared(&harness).await, agreed(2), "the organization's is one too");
        let id: AccountId = account.parse().expect("an id");
        harness.finished(&call(id, "1", Some(Billing::Isolated)), "2.4", "0.4");
        assert_eq!(compared(&harness).await, agreed(0), "while a record waits nothing can be said");
        harness.plane.post_records(std::future::ready(())).await;
        assert_eq!(compared(&harness).await, agreed(2), "debt is in neither");
        for (change, expected) in [
            ("+ 1", Counted { compared: 2, behind: 1, ahead: 0 }),
            ("- 2", Counted { compared: 2, behind: 0, ahead: 1 }),
        ] {
            let sql = format!("UPDATE wallets SET posted = posted {change} WHERE posted > 0");
            harness.execute(&sql).await;
            assert_eq!(compared(&harness).await, expected);
        }
    }
}
