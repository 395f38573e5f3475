//! Wallets: what the ledger has put at the hub's disposal, what calls have spent of it, and what the
//! hub is told. `escrow - posted` is always the balance of the wallet's ledger account.

use std::collections::BTreeMap;

use hub::directory::WalletConfig;
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::LedgerError;
use crate::problem::Problem;
use crate::store::rows::{self, Value};
use crate::wallets::watch::Watch;

const COLUMNS: &str = "w.account_id, w.organization_id, w.currency, w.escrow, w.posted, w.sequence, w.credit_limit, \
     w.reserve, w.low_balances, w.recharge_below, w.recharge_amount, w.recharge_armed";

/// A wallet as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Wallet {
    pub(crate) owner: AccountId,
    pub(crate) organization: AccountId,
    pub(crate) currency: Currency,
    /// Recharges less withdrawals, since the wallet exists.
    pub(crate) escrow: Amount,
    /// Charges of calls that the ledger has posted.
    pub(crate) posted: Amount,
    pub(crate) sequence: i64,
    /// What is looked at when its balance moves.
    pub(crate) watch: Watch,
    /// How far below zero calls may bring the balance.
    pub(crate) credit_limit: Amount,
    /// What of the balance no call may use.
    pub(crate) reserve: Amount,
}

impl Wallet {
    /// The wallet of an account, if it ever had one.
    pub(crate) async fn find(
        connection: &mut AnyConnection,
        owner: AccountId,
    ) -> Result<Option<Self>, Problem> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM wallets w WHERE account_id = $1"
        )))
        .bind(owner.to_string())
        .fetch_optional(connection)
        .await?;
        row.as_ref().map(Self::of_row).transpose()
    }

    /// A wallet that must be there.
    pub(crate) async fn load(
        connection: &mut AnyConnection,
        owner: AccountId,
    ) -> Result<Self, Problem> {
        let wallet = Self::find(connection, owner).await?;
        wallet.ok_or_else(|| Problem::internal(format!("{owner} has no wallet")))
    }

    /// The wallets of an organization's accounts from `first` to `last`, both included.
    pub(crate) async fn between(
        connection: &mut AnyConnection,
        organization: AccountId,
        first: AccountId,
        last: AccountId,
    ) -> Result<Vec<Self>, Problem> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM wallets w \
             WHERE account_id >= $1 AND account_id <= $2 AND organization_id = $3",
        )))
        .bind(first.to_string())
        .bind(last.to_string())
        .bind(organization.to_string())
        .fetch_all(connection)
        .await?;
        rows.iter().map(Self::of_row).collect()
    }

    /// Every wallet of the installation or of one shard whose account is not gone, a page at a time.
    pub(crate) async fn every(
        connection: &mut AnyConnection,
        shard: Option<u8>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Self>, Problem> {
        let of_shard = match shard {
            None => "",
            Some(_) => " AND w.organization_id IN (SELECT id FROM organizations WHERE shard = $3)",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM wallets w \
             JOIN accounts a ON a.id = w.account_id \
             WHERE w.account_id > $1 AND a.status IN ('active', 'suspended'){of_shard} \
             ORDER BY w.account_id LIMIT $2"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit);
        if let Some(shard) = shard {
            query = query.bind(i64::from(shard));
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(Self::of_row).collect()
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let id = |column| -> Result<AccountId, Problem> {
            row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
        };
        Ok(Self {
            owner: id("account_id")?,
            organization: id("organization_id")?,
            currency: row.try_get::<String, _>("currency")?.parse().map_err(Problem::internal)?,
            escrow: Amount::from_micros(row.try_get("escrow")?),
            posted: Amount::from_micros(row.try_get("posted")?),
            sequence: row.try_get("sequence")?,
            watch: Watch::of_row(row)?,
            credit_limit: Amount::from_micros(row.try_get("credit_limit")?),
            reserve: Amount::from_micros(row.try_get("reserve")?),
        })
    }

    /// The wallet's money by the ledger: holds included, posted charges taken off.
    pub(crate) const fn balance(&self) -> Amount {
        self.escrow.saturating_sub(self.posted)
    }

    /// What the hub may lend in all, as far as it can count.
    const fn lent(&self) -> Amount {
        let lent = self.escrow.saturating_add(self.lent_beyond());
        if lent.micros() > Amount::MAX.micros() { Amount::MAX } else { lent }
    }

    /// What calls may use beyond the balance, or less than it: credit and reserve are the hub's to lend
    /// or not, and nothing to the ledger.
    pub(crate) const fn lent_beyond(&self) -> Amount {
        self.credit_limit.saturating_sub(self.reserve)
    }

    /// As the hub is told of a change. Says nothing of charges: the hub counts them itself, and a
    /// correction that lowers them may be on its way to the ledger.
    pub(crate) const fn config(&self) -> WalletConfig {
        WalletConfig { posted: Amount::ZERO, ..self.restoring() }
    }

    /// As a hub is told that may have lost what it knew.
    pub(crate) const fn restoring(&self) -> WalletConfig {
        WalletConfig {
            owner: self.owner,
            organization: self.organization,
            currency: self.currency,
            escrow: self.lent(),
            sequence: self.sequence.unsigned_abs(),
            posted: self.posted,
        }
    }
}

/// What one batch of postings does to a wallet.
#[derive(Default)]
pub(super) struct Movement {
    escrow: i64,
    posted: i64,
}

impl Movement {
    pub(super) fn add(&mut self, is_charge: bool, amount: Amount) -> Result<(), LedgerError> {
        let sum = if is_charge {
            self.posted = self.posted.checked_sub(amount.micros()).ok_or(LedgerError::Overflow)?;
            self.posted
        } else {
            self.escrow = self.escrow.checked_add(amount.micros()).ok_or(LedgerError::Overflow)?;
            self.escrow
        };
        if sum.unsigned_abs() > Amount::MAX.micros().unsigned_abs() {
            Err(LedgerError::Overflow)
        } else {
            Ok(())
        }
    }

    /// What it adds to the balance.
    pub(super) const fn amount(&self) -> Amount {
        Amount::from_micros(self.escrow).saturating_sub(Amount::from_micros(self.posted))
    }
}

/// Adds the movements to the wallets. The sequence grows when the escrow changes.
pub(super) async fn write(
    connection: &mut AnyConnection,
    movements: &BTreeMap<AccountId, Movement>,
    now_us: i64,
) -> Result<(), LedgerError> {
    for (owner, movement) in movements {
        if movement.escrow != 0 {
            sqlx::query(
                "UPDATE wallets SET escrow = escrow + $1, \
                 sequence = CASE WHEN sequence < $2 THEN $2 ELSE sequence + 1 END WHERE account_id = $3",
            )
            .bind(movement.escrow)
            .bind(now_us)
            .bind(owner.to_string())
            .execute(&mut *connection)
            .await?;
        }
    }
    let charged = movements.iter().filter(|(_, movement)| movement.posted != 0);
    let charged: Vec<Vec<Value<'_>>> = charged
        .map(|(owner, movement)| {
            vec![Value::OwnedText(owner.to_string()), Value::Int(movement.posted)]
        })
        .collect();
    rows::write(
        connection,
        "UPDATE wallets SET posted = posted + charged.column2 FROM (",
        &charged,
        ") AS charged WHERE account_id = charged.column1",
    )
    .await?;
    Ok(())
}
