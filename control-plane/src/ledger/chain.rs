//! What a seal of the ledger is made of, and the transactions that it is over. Writes nothing.
//!
//! A seal is the SHA-256, in lower-case hexadecimal, of these texts in this order:
//!
//! 1. `ringfence ledger 1`
//! 2. the seal before it; 64 zeros for the first
//! 3. for each transaction, in the order of their ids: `id`, when it was posted in microseconds since
//!    1970, `cause`, `reference`, `currency`, the number of its entries
//! 4. after it, for each of its entries, in the order of the ledger accounts' ids: the ledger account's
//!    `id`, whose it is, its kind and its currency; `sequence`, `amount` in micro-units, `balance_after`
//!
//! Numbers are in decimal digits, with a minus sign below zero. A text is preceded by its length in bytes
//! and a colon and followed by a comma (`5:hello,`). So no two different runs have the same form.

use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

const VERSION: &str = "ringfence ledger 1";
/// What the first seal follows.
pub(super) const NO_SEAL: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A seal as it is stored, and where its run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) through: i64,
    pub(super) seal: String,
}

impl Sealed {
    pub(super) fn none() -> Self {
        Self { through: 0, seal: NO_SEAL.to_owned() }
    }

    pub(super) fn of_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self { through: row.try_get("through")?, seal: row.try_get("seal")? })
    }
}

/// A seal in the making.
struct Form(Sha256);

impl Form {
    fn text(&mut self, text: &str) {
        self.0.update(format!("{}:{text},", text.len()));
    }

    fn number(&mut self, number: i64) {
        self.text(&number.to_string());
    }
}

/// The seal over the transactions that follow `former`, up to `through`, as they stand in the database; and
/// how many they are.
pub(super) async fn seal(
    connection: &mut AnyConnection,
    former: &Sealed,
    through: i64,
) -> Result<(Sealed, usize), sqlx::Error> {
    let transactions = sqlx::query(
        "SELECT id, posted_us, cause, reference, currency FROM ledger_transactions \
         WHERE id > $1 AND id <= $2 ORDER BY id",
    )
    .bind(former.through)
    .bind(through)
    .fetch_all(&mut *connection)
    .await?;
    let entries = sqlx::query(
        "SELECT e.transaction_id, e.ledger_account_id, a.owner_id, a.kind, a.currency, e.sequence, e.amount, \
         e.balance_after FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.ledger_account_id \
         WHERE e.transaction_id > $1 AND e.transaction_id <= $2 \
         ORDER BY e.transaction_id, e.ledger_account_id, e.sequence",
    )
    .bind(former.through)
    .bind(through)
    .fetch_all(connection)
    .await?;
    let mut form = Form(Sha256::new());
    form.text(VERSION);
    form.text(&former.seal);
    let mut rest = entries.as_slice();
    for transaction in &transactions {
        let id: i64 = transaction.try_get("id")?;
        let is_its_own =
            |row: &&AnyRow| row.try_get::<i64, _>("transaction_id").is_ok_and(|of| of == id);
        let count = rest.iter().take_while(is_its_own).count();
        let (own, others) = rest.split_at(count);
        rest = others;
        form.number(id);
        form.number(transaction.try_get("posted_us")?);
        for column in ["cause", "reference", "currency"] {
            form.text(transaction.try_get(column)?);
        }
        form.number(i64::try_from(count).unwrap_or(i64::MAX));
        for entry in own {
            form.number(entry.try_get("ledger_account_id")?);
            for column in ["owner_id", "kind", "currency"] {
                form.text(entry.try_get(column)?);
            }
            for column in ["sequence", "amount", "balance_after"] {
                form.number(entry.try_get(column)?);
            }
        }
    }
    let seal = format!("{:x}", form.0.finalize());
    Ok((Sealed { through, seal }, transactions.len()))
}
