//! Taking money back from the hub before the ledger moves it elsewhere: what calls hold or have spent
//! cannot be withdrawn, and what gateways have idle only when they have given it back.

use std::time::Duration;

use hub::directory::{Change, WalletConfig};
use hub::money::Amount;
use tokio::time::{Instant, sleep};

use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};
use crate::{App, Shared};

/// How long gateways may take to give idle money back: one that is cut off does not.
const RECALL_PATIENCE: Duration = Duration::from_millis(250);
const RECALL_PAUSE: Duration = Duration::from_millis(20);

/// Money taken out of the hub. Unless [`Withdrawal::keep`] is called it goes back there.
pub(crate) struct Withdrawal {
    app: Shared,
    restored: Option<WalletConfig>,
}

impl Withdrawal {
    /// Lowers the hub's escrow from what `from` says to what `reduced` says, or answers 402.
    pub(crate) async fn take(
        app: &Shared,
        from: &Wallet,
        reduced: &Wallet,
    ) -> Result<Self, Problem> {
        let refused = |available: Amount| {
            let text = |amount: Amount| amount.in_currency(from.currency).to_string();
            let required = from.escrow.saturating_sub(reduced.escrow);
            let (available, required) = (text(available.max(Amount::ZERO)), text(required));
            let detail =
                format!("the wallet has {available} {} available, not {required}", from.currency);
            Problem::new(Kind::InsufficientBalance, detail)
                .with("available", available)
                .with("required", required)
                .with("currency", from.currency.code())
        };
        if reduced.balance() < Amount::ZERO {
            return Err(refused(from.balance()));
        }
        let restored =
            WalletConfig { sequence: reduced.config().sequence.saturating_add(1), ..from.config() };
        let withdrawal = Self { app: app.clone(), restored: Some(restored) };
        let unavailable = || {
            let detail = "the hub cannot give money back now; nothing was changed";
            Problem::new(Kind::HubUnavailable, detail)
        };
        let told = app.hub.tell(&[Change::Wallet(reduced.config())]).await;
        told.map_err(|_| unavailable())?;
        let until = Instant::now() + RECALL_PATIENCE;
        loop {
            let calls = app.hub.recall_money(from.organization, from.owner).await;
            let calls = calls.ok_or_else(unavailable)?;
            let used = calls.held.saturating_add(calls.spent.max(reduced.posted));
            // What a gateway has without a call may be a call's by now.
            let out = used.saturating_add(calls.idle);
            if out <= reduced.escrow {
                return Ok(withdrawal);
            }
            if used > reduced.escrow || Instant::now() >= until {
                drop(withdrawal);
                give_back(app).await;
                return Err(refused(from.escrow.saturating_sub(out)));
            }
            sleep(RECALL_PAUSE).await;
        }
    }

    /// The money stays out: the ledger has moved it.
    pub(crate) fn keep(mut self) {
        self.restored = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if let Some(restored) = self.restored.take() {
            self.app.withdrawn.lock().push(restored);
            self.app.progress.wanted();
        }
    }
}

/// Puts back at the hub what was not carried out; what it cannot be told now is tried again.
pub(crate) async fn give_back(app: &App) {
    loop {
        let Some(restored) = app.withdrawn.lock().first().copied() else { return };
        if app.hub.tell(&[Change::Wallet(restored)]).await.is_err() {
            return;
        }
        app.withdrawn.lock().retain(|other| *other != restored);
    }
}

#[cfg(test)]
mod tests {
    use hub::directory::Billing;
    use serde_json::json;

    use crate::testing::Harness;
    use crate::testing::calls::{amount, call};

    #[tokio::test]
    async fn money_that_calls_hold_cannot_be_moved_and_a_refusal_gives_it_back_to_the_hub() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let organization = harness.organization_id.parse().expect("an id");
        let path = format!("/v1/organizations/{organization}/wallet/recharge");
        harness
            .send(&harness.operator, "POST", &path, json!({"amount": 100, "currency": "INR"}))
            .await;
        harness
            .send(
                &harness.organization,
                "PATCH",
                "/v1/organization",
                json!({"recharge_policy": "transfer"}),
            )
            .await;
        harness.admit(&call(organization, "held", Some(Billing::Isolated)), "30");
        let refused = harness.recharge(&id, "71").await;
        assert_eq!((refused.status, &refused.body["available"]), (402, &json!("70.00")));
        let told = harness.heard.lock().iter().rev().find_map(|change| match change {
            hub::directory::Change::Wallet(wallet) if wallet.owner == organization => {
                Some(wallet.escrow)
            }
            _ => None,
        });
        assert_eq!(told, Some(amount("100")));
        assert_eq!(harness.recharge(&id, "70").await.status, 200);
        harness.assert_ledger_balances().await;
    }
}
