//! The double-entry ledger: the only truth about money. Transactions are posted here and nowhere
//! else; each sums to zero, its rows are never changed, and every balance is the sum of its entries.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

use std::collections::BTreeMap;

use hub::id::AccountId;
use hub::money::{Amount, Currency};
use sqlx::AnyConnection;

use crate::store::rows::{self, Value};

mod accounts;
pub(crate) mod agreement;
mod chain;
mod check;
pub(crate) mod seal;
pub(crate) mod verify;
mod wallet;

pub(crate) use accounts::{open_closed, open_wallet};
pub use check::Discrepancy;
pub(crate) use check::verify;
pub(crate) use wallet::Wallet;

use accounts::LedgerAccount;

/// The four ledger accounts that belong to each wallet, and one that an organization's has when it is
/// needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The wallet's money.
    Wallet,
    /// The world: what came in is negative here.
    External,
    /// What calls have brought in.
    Revenue,
    /// What calls cost that nobody could pay: negative.
    Debt,
    /// What calls of closed accounts were found to have cost after they were closed: negative; above zero
    /// where they cost less than they had been charged.
    Closed,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Recharge,
    Transfer,
    Call,
    /// A call's charge corrected after its end.
    Adjustment,
    Refund,
    Forfeit,
    /// Given by somebody for a reason, against the revenue.
    Credit,
    /// The same, taken.
    Debit,
}

impl Cause {
    pub(crate) const ALL: [Self; 8] = [
        Self::Recharge,
        Self::Transfer,
        Self::Call,
        Self::Adjustment,
        Self::Refund,
        Self::Forfeit,
        Self::Credit,
        Self::Debit,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Recharge => "recharge",
            Self::Transfer => "transfer",
            Self::Call => "call",
            Self::Adjustment => "adjustment",
            Self::Refund => "refund",
            Self::Forfeit => "forfeit",
            Self::Credit => "credit",
            Self::Debit => "debit",
        }
    }

    /// Whether the money is spent by calls, rather than put at the hub's disposal or taken back.
    const fn is_charge(self) -> bool {
        matches!(self, Self::Call | Self::Adjustment)
    }
}

/// A ledger account: of which wallet, and which of its four.
pub(crate) type Place = (AccountId, Kind);

/// One transaction to be posted. Entries of zero are left out; with none left nothing is posted.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    cause: Cause,
    /// What it stands for: a call, a key of idempotency, another wallet.
    reference: String,
    currency: Currency,
    entries: Vec<(Place, Amount)>,
}

impl Transaction {
    /// Takes `amount` from one place to another.
    pub(crate) fn moving(
        cause: Cause,
        reference: String,
        currency: Currency,
        amount: Amount,
        from: Place,
        to: Place,
    ) -> Self {
        Self { cause, reference, currency, entries: vec![(from, amount.negated()), (to, amount)] }
    }

    /// What a call on a wallet cost: `paid` by the wallet and `owed` as debt. Negative parts
    /// correct an earlier charge.
    pub(crate) fn charge(
        cause: Cause,
        reference: String,
        currency: Currency,
        wallet: AccountId,
        paid: Amount,
        owed: Amount,
    ) -> Self {
        Self {
            cause,
            reference,
            currency,
            entries: vec![
                ((wallet, Kind::Wallet), paid.negated()),
                ((wallet, Kind::Debt), owed.negated()),
                ((wallet, Kind::Revenue), paid.saturating_add(owed)),
            ],
        }
    }

    /// What a call was found to have cost whose account had been closed with its wallet: it is on the
    /// organization.
    pub(crate) fn charge_of_closed(
        (cause, reference): (Cause, String),
        currency: Currency,
        (organization, account): (AccountId, AccountId),
        cost: Amount,
    ) -> Self {
        let (from, to) = ((organization, Kind::Closed), (account, Kind::Revenue));
        Self::moving(cause, reference, currency, cost, from, to)
    }
}

/// A wallet's balance before and after a batch of postings.
pub(crate) struct Moved {
    pub(crate) owner: AccountId,
    pub(crate) before: Amount,
    pub(crate) after: Amount,
}

/// The ledger refuses a posting; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("a {0} transaction does not sum to zero")]
    Unbalanced(&'static str),
    #[error("a {0} transaction names one ledger account twice")]
    Repeated(&'static str),
    #[error("no {0:?} ledger account of {1} in {2}")]
    Unknown(Kind, AccountId, Currency),
    #[error("a balance would exceed what the ledger can count")]
    Overflow,
}

impl From<LedgerError> for crate::problem::Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Database(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

/// Posts transactions in order, within the caller's SQL transaction: entries, balances, and what
/// the wallets say to the hub. Returns the wallets that moved.
pub(crate) async fn post(
    connection: &mut AnyConnection,
    transactions: &[Transaction],
    now_us: i64,
) -> Result<Vec<Moved>, LedgerError> {
    let posted: Vec<&Transaction> =
        transactions.iter().filter(|transaction| transaction.moves()).collect();
    let Some(count) = i64::try_from(posted.len()).ok().filter(|count| *count > 0) else {
        return Ok(Vec::new());
    };
    posted.iter().try_for_each(|transaction| transaction.check())?;
    let entries = posted.iter().flat_map(|transaction| transaction.moving_entries());
    let mut accounts = accounts::load(connection, entries.map(|(place, _)| place)).await?;
    let first = crate::counters::next(connection, "ledger_transaction", count).await?;
    let mut transaction_rows = Vec::with_capacity(posted.len());
    let mut entry_rows = Vec::with_capacity(posted.len().saturating_mul(2));
    let mut wallets = BTreeMap::new();
    for (id, transaction) in (first..).zip(&posted) {
        transaction_rows.push(transaction.row(id, now_us));
        for (place, amount) in transaction.moving_entries() {
            let account = accounts
                .get_mut(&place)
                .filter(|account| account.currency == transaction.currency)
                .ok_or(LedgerError::Unknown(place.1, place.0, transaction.currency))?;
            entry_rows.push(enter(account, id, amount)?);
            if place.1 == Kind::Wallet {
                let wallet: &mut wallet::Movement = wallets.entry(place.0).or_default();
                wallet.add(transaction.cause.is_charge(), amount)?;
            }
        }
    }
    rows::write(
        connection,
        "INSERT INTO ledger_transactions (id, cause, reference, currency, posted_us)",
        &transaction_rows,
        "",
    )
    .await?;
    rows::write(
        connection,
        "INSERT INTO ledger_entries (ledger_account_id, sequence, transaction_id, amount, balance_after)",
        &entry_rows,
        "",
    )
    .await?;
    accounts::write_balances(connection, accounts.values().filter(|account| account.touched))
        .await?;
    wallet::write(connection, &wallets, now_us).await?;
    let moved = wallets.into_iter().filter_map(|(owner, movement)| {
        let after = Amount::from_micros(accounts.get(&(owner, Kind::Wallet))?.balance);
        Some(Moved { owner, before: after.saturating_sub(movement.amount()), after })
    });
    Ok(moved.collect())
}

/// Adds one entry to an account and returns its row.
fn enter(
    account: &mut LedgerAccount,
    transaction: i64,
    amount: Amount,
) -> Result<Vec<Value<'static>>, LedgerError> {
    account.balance = account.balance.checked_add(amount.micros()).ok_or(LedgerError::Overflow)?;
    account.entries = account.entries.checked_add(1).ok_or(LedgerError::Overflow)?;
    account.touched = true;
    Ok(vec![
        Value::Int(account.id),
        Value::Int(account.entries),
        Value::Int(transaction),
        Value::Int(amount.micros()),
        Value::Int(account.balance),
    ])
}

impl Transaction {
    fn moving_entries(&self) -> impl Iterator<Item = (Place, Amount)> {
        self.entries.iter().copied().filter(|(_, amount)| *amount != Amount::ZERO)
    }

    fn moves(&self) -> bool {
        self.moving_entries().next().is_some()
    }

    fn check(&self) -> Result<(), LedgerError> {
        let mut sum: i128 = 0;
        for (index, (place, amount)) in self.entries.iter().enumerate() {
            sum = sum.saturating_add(i128::from(amount.micros()));
            if self.entries.iter().skip(index.saturating_add(1)).any(|(other, _)| other == place) {
                return Err(LedgerError::Repeated(self.cause.label()));
            }
        }
        if sum == 0 { Ok(()) } else { Err(LedgerError::Unbalanced(self.cause.label())) }
    }

    fn row(&self, id: i64, now_us: i64) -> Vec<Value<'_>> {
        vec![
            Value::Int(id),
            Value::Text(self.cause.label()),
            Value::Text(&self.reference),
            Value::OwnedText(self.currency.to_string()),
            Value::Int(now_us),
        ]
    }
}
