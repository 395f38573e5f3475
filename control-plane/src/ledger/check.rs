//! The ledger proves itself: every transaction sums to zero, every balance is the sum of its
//! entries, entries have no gap, and wallets say what the ledger says.

use sqlx::{AnyConnection, Row as _};

/// Something in the ledger that does not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    pub what: &'static str,
    /// How many rows disagree.
    pub rows: i64,
}

const CHECKS: [(&str, &str); 8] = [
    (
        "transactions that do not sum to zero",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT transaction_id FROM ledger_entries \
         GROUP BY transaction_id HAVING SUM(amount) <> 0) AS wrong",
    ),
    (
        "transactions without entries",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_transactions t \
         WHERE NOT EXISTS (SELECT 1 FROM ledger_entries e WHERE e.transaction_id = t.id)",
    ),
    (
        "balances that are not the sum of their entries, or entries with a gap",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_accounts a LEFT JOIN \
         (SELECT ledger_account_id, SUM(amount) AS amount, COUNT(*) AS entries, MAX(sequence) AS last \
         FROM ledger_entries GROUP BY ledger_account_id) AS e ON e.ledger_account_id = a.id \
         WHERE a.balance <> COALESCE(e.amount, 0) OR a.entries <> COALESCE(e.entries, 0) OR a.entries <> COALESCE(e.last, 0)",
    ),
    (
        "entries after which the balance is not the one before and their amount",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT balance_after - amount - LAG(balance_after, 1, 0) OVER \
         (PARTITION BY ledger_account_id ORDER BY sequence) AS difference FROM ledger_entries) AS steps \
         WHERE difference <> 0",
    ),
    (
        "transactions that are missing, or entries of none",
        "SELECT (SELECT value FROM counters WHERE name = 'ledger_transaction') \
         - (SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_transactions) \
         + (SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_entries e \
         WHERE NOT EXISTS (SELECT 1 FROM ledger_transactions t WHERE t.id = e.transaction_id))",
    ),
    (
        "wallets that say they have spent what no call has cost",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM wallets w WHERE w.posted <> (SELECT COALESCE(-SUM(e.amount), 0) \
         FROM ledger_accounts a JOIN ledger_entries e ON e.ledger_account_id = a.id \
         JOIN ledger_transactions t ON t.id = e.transaction_id \
         WHERE a.owner_id = w.account_id AND a.kind = 'wallet' AND t.cause IN ('call', 'adjustment'))",
    ),
    (
        "wallets that do not say what the ledger says",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM wallets w \
         JOIN ledger_accounts a ON a.owner_id = w.account_id AND a.kind = 'wallet' \
         WHERE w.escrow - w.posted <> a.balance",
    ),
    (
        // By the wallet that pays and the `call_id`, which is all that a posting says of its call.
        "charges that are not what the call has cost, or the calls of that name",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT owner, call_id FROM (\
         SELECT a.owner_id AS owner, t.reference AS call_id, e.amount AS amount FROM ledger_entries e \
         JOIN ledger_transactions t ON t.id = e.transaction_id JOIN ledger_accounts a ON a.id = e.ledger_account_id \
         WHERE a.kind = 'revenue' AND t.cause IN ('call', 'adjustment') UNION ALL \
         SELECT CASE billing_mode WHEN 'isolated' THEN account_id ELSE \
         (SELECT o.organization_id FROM accounts o WHERE o.id = calls.account_id) END, call_id, -cost FROM calls WHERE currency IS NOT NULL) AS charged GROUP BY owner, call_id HAVING SUM(amount) <> 0) AS wrong",
    ),
];

/// Everything that does not agree; empty is well. Reads the whole ledger.
pub(crate) async fn verify(
    connection: &mut AnyConnection,
) -> Result<Vec<Discrepancy>, sqlx::Error> {
    let mut found = Vec::new();
    for (what, sql) in CHECKS {
        let rows: i64 = sqlx::query(sql).fetch_one(&mut *connection).await?.try_get(0)?;
        if rows != 0 {
            found.push(Discrepancy { what, rows });
        }
    }
    Ok(found)
}
