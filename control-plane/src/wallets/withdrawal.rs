//! Taking money back from the hub before the ledger moves it elsewhere: what calls hold or have spent
//! cannot be withdrawn.

use hub::directory::{Change, WalletConfig};
use hub::money::Amount;

use crate::Shared;
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};

/// Money taken out of the hub. Unless [`Withdrawal::keep`] is called it goes back there.
pub(crate) struct Withdrawal {
    app: Shared,
    restored: Option<WalletConfig>,
}

impl Withdrawal {
    /// Lowers the hub's escrow from what `from` says to what `reduced` says, or answers 402.
    pub(crate) fn take(app: &Shared, from: &Wallet, reduced: &Wallet) -> Result<Self, Problem> {
        let refused = |available: Amount| {
            let text = |amount: Amount| amount.in_currency(from.currency).to_string();
            let required = from.escrow.saturating_sub(reduced.escrow);
            let (available, required) = (text(available.max(Amount::ZERO)), text(required));
            let detail = format!(
                "the organization's wallet has {available} {} available, not {required}",
                from.currency
            );
            Problem::new(Kind::InsufficientBalance, detail)
                .with("available", available)
                .with("required", required)
                .with("currency", from.currency.code())
        };
        if reduced.balance() < Amount::ZERO {
            return Err(refused(from.balance()));
        }
        let restored = WalletConfig {
            sequence: reduced.config().sequence.saturating_add(1),
            ..from.config()
        };
        let withdrawal = Self {
            app: app.clone(),
            restored: Some(restored),
        };
        app.hub
            .publish(&[Change::Wallet(reduced.config())])
            .map_err(|_| {
                Problem::new(
                    Kind::HubUnavailable,
                    "the hub cannot give money back now; nothing was changed",
                )
            })?;
        let calls = app.hub.wallet_use(from.organization, from.owner);
        let used = calls.held.saturating_add(calls.spent.max(reduced.posted));
        if used > reduced.escrow {
            return Err(refused(from.escrow.saturating_sub(used)));
        }
        Ok(withdrawal)
    }

    /// The money stays out: the ledger has moved it.
    pub(crate) fn keep(mut self) {
        self.restored = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if let Some(restored) = self.restored.take()
            && self.app.hub.publish(&[Change::Wallet(restored)]).is_err()
        {
            tracing::error!(wallet = %restored.owner, "a withdrawal that was not carried out could not be undone at the hub; a restart undoes it");
        }
    }
}
