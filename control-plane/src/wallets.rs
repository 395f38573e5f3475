//! Wallets as answers show them: the ledger's balance beside the hub's holds.

use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::Amount;
use serde::Serialize;
use sqlx::AnyConnection;

use crate::App;
use crate::account::Account;
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};

pub(crate) mod entries;
pub(crate) mod read;
pub(crate) mod recharge;
pub(crate) mod withdrawal;

#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    /// The ledger's money less posted charges, holds included.
    balance: String,
    /// Holds of live calls.
    held: String,
    available: String,
    currency: String,
}

impl Shown {
    pub(crate) fn of(app: &App, wallet: &Wallet) -> Self {
        let text = |amount: Amount| amount.in_currency(wallet.currency).to_string();
        let calls = app.hub.wallet_use(wallet.organization, wallet.owner);
        // Charges that the ledger has yet to post are neither held nor there any more.
        let unposted = calls.spent.saturating_sub(wallet.posted).max(Amount::ZERO);
        let available =
            wallet.balance().saturating_sub(calls.held).saturating_sub(unposted).max(Amount::ZERO);
        Self {
            balance: text(wallet.balance()),
            held: text(calls.held),
            available: text(available),
            currency: wallet.currency.to_string(),
        }
    }

    pub(crate) async fn load(
        app: &App,
        connection: &mut AnyConnection,
        owner: AccountId,
    ) -> Result<Self, Problem> {
        Ok(Self::of(app, &Wallet::load(connection, owner).await?))
    }
}

/// The wallet that an account is billed on, if that is its own.
async fn own(connection: &mut AnyConnection, account: &Account) -> Result<Wallet, Problem> {
    if account.billing == Billing::Consolidated {
        return Err(Problem::new(
            Kind::ConsolidatedBilling,
            "the account is billed to its organization's wallet and has none of its own; set billing_mode to isolated first",
        ));
    }
    Wallet::load(connection, account.id).await
}
