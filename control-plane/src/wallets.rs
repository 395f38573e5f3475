//! Wallets as answers show them: the ledger's balance beside the hub's holds.

use hub::directory::Billing;
use hub::embedded::WalletUse;
use hub::id::AccountId;
use hub::money::Amount;
use serde::Serialize;
use sqlx::AnyConnection;

use crate::App;
use crate::account::Account;
use crate::description::schema::{self, Schema};
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};

pub(crate) mod adjust;
pub(crate) mod attempts;
pub(crate) mod entries;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod recharge;
pub(crate) mod watch;
pub(crate) mod withdrawal;
pub(crate) mod withdrawing;

#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    /// The ledger's money less posted charges, holds included.
    balance: String,
    /// Holds of live calls; null, as is what remains of the balance, while the hub does not say.
    held: Option<String>,
    available: Option<String>,
    currency: String,
    /// An event `balance.low` goes out whenever the balance sinks to one of these; left out: none does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    low_balances: Vec<String>,
    /// Left out: it asks nobody for money.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_recharge: Option<ShownRecharge>,
    /// How far below zero calls may bring the balance; left out: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_limit: Option<String>,
    /// What of the balance no call may use; left out: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve: Option<String>,
}

#[derive(Clone, Serialize)]
struct ShownRecharge {
    below: String,
    amount: String,
}

impl Shown {
    /// An object that is not a component yet.
    fn members() -> Schema {
        schema::answered([
            (
                "balance",
                schema::money().about("the ledger's money less posted charges, holds included"),
            ),
            (
                "held",
                schema::money()
                    .or_null()
                    .about("holds of live calls; null while the hub does not say"),
            ),
            (
                "available",
                schema::money()
                    .or_null()
                    .about("what new calls may use: what remains of the balance, with the credit limit and without the reserve; null while the hub does not say"),
            ),
            ("currency", schema::currency()),
            (
                "low_balances",
                schema::list(schema::money())
                    .may_be_missing()
                    .about("an event balance.low goes out whenever the balance sinks to one of these, greatest first; left out: none does"),
            ),
            (
                "auto_recharge",
                schema::answered([
                    ("below", schema::money()),
                    ("amount", schema::money()),
                ])
                .may_be_missing()
                .about("webhooks are asked for `amount` by recharge.wanted when the balance is at or below `below`; left out: nobody is"),
            ),
            (
                "credit_limit",
                schema::money()
                    .may_be_missing()
                    .about("how far below zero calls may bring the balance; left out: not at all"),
            ),
            (
                "reserve",
                schema::money()
                    .may_be_missing()
                    .about("what of the balance no call may use; left out: nothing"),
            ),
        ])
    }

    pub(crate) fn schema() -> Schema {
        Self::members().named("Wallet")
    }

    pub(crate) fn of(wallet: &Wallet, calls: Option<WalletUse>) -> Self {
        let text = |amount: Amount| amount.in_currency(wallet.currency).to_string();
        let available = |calls: WalletUse| {
            // Charges that the ledger has yet to post are neither held nor there any more.
            let unposted = calls.spent.saturating_sub(wallet.posted).max(Amount::ZERO);
            let left = wallet.balance().saturating_sub(calls.held).saturating_sub(unposted);
            left.saturating_add(wallet.lent_beyond()).max(Amount::ZERO)
        };
        let some = |amount: Amount| Some(amount).filter(|amount| *amount > Amount::ZERO);
        Self {
            balance: text(wallet.balance()),
            held: calls.map(|calls| text(calls.held)),
            available: calls.map(|calls| text(available(calls))),
            currency: wallet.currency.to_string(),
            low_balances: wallet.watch.low_balances.iter().copied().map(text).collect(),
            auto_recharge: wallet.watch.recharge.map(|recharge| ShownRecharge {
                below: text(recharge.below),
                amount: text(recharge.amount),
            }),
            credit_limit: some(wallet.credit_limit).map(text),
            reserve: some(wallet.reserve).map(text),
        }
    }

    /// With what calls use of the wallet now.
    pub(crate) async fn now(app: &App, wallet: &Wallet) -> Self {
        Self::of(wallet, app.hub.wallet_use(wallet.organization, wallet.owner).await)
    }

    pub(crate) async fn load(
        app: &App,
        connection: &mut AnyConnection,
        owner: AccountId,
    ) -> Result<Self, Problem> {
        Ok(Self::now(app, &Wallet::load(connection, owner).await?).await)
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
