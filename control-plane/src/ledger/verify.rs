//! Checks the whole ledger: that it agrees with itself, and that nobody has changed what was posted. Writes
//! nothing; may run beside control planes that post and seal.
//!
//! What the chain cannot show by itself: who can write to the whole database can write it anew from some
//! transaction on, with all balances. That shows against something they cannot write to: a [`Head`] of an
//! earlier check, kept elsewhere.

use std::fmt;
use std::str::FromStr;

use sqlx::{AnyConnection, Row as _};

use super::chain::{self, NO_SEAL, Sealed};
use super::check;
use crate::settings::OpenError;
use crate::store::{Store, schema};
use crate::timestamp;

/// The migration that brought the chain.
const SCHEMA_VERSION: i64 = 19;
/// Seals in memory at once.
const PAGE: i64 = if cfg!(test) { 1 } else { 1_000 };
/// Ledger accounts that are named because they have not come to zero.
const OPEN_NAMED_MAX: i64 = 100;

/// Up to which transaction the ledger is sealed, and the seal there. As text: `ledger <through> <seal>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub through: i64,
    pub seal: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger {} {}", self.through, self.seal)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let ["ledger", through, seal] = words[..] else {
            return Err("expected `ledger`, a transaction and its seal");
        };
        let through = through.parse().ok().filter(|through| *through > 0);
        match through.filter(|_| seal.len() == NO_SEAL.len()) {
            Some(through) => Ok(Self { through, seal: seal.to_owned() }),
            None => Err("expected `ledger`, a transaction and its seal"),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// `None`: nothing is sealed yet.
    pub head: Option<Head>,
    /// Transactions that are not sealed yet.
    pub unsealed: i64,
    /// What does not fit, in words for the operator; empty is well.
    pub faults: Vec<String>,
    /// Ledger accounts that should come to zero and have not, and since when: to be looked at, not wrong.
    pub open: Vec<String>,
}

/// Checks the ledger of a database that is there, and against heads of earlier checks.
pub async fn run(database_url: &str, earlier: &[Head]) -> Result<Report, OpenError> {
    let pool = Store::readers(database_url).await?;
    let mut connection = pool.acquire().await?;
    if schema::version(&mut connection).await? < SCHEMA_VERSION {
        return Err(OpenError::Earlier);
    }
    let report = check(&mut connection, earlier).await;
    drop(connection);
    pool.close().await;
    Ok(report?)
}

pub(super) async fn check(
    connection: &mut AnyConnection,
    earlier: &[Head],
) -> Result<Report, sqlx::Error> {
    let mut faults = Vec::new();
    let (head, fault) = follow(connection, earlier).await?;
    faults.extend(fault);
    let posted: i64 = sqlx::query("SELECT value FROM counters WHERE name = 'ledger_transaction'")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    for found in check::verify(connection).await? {
        faults.push(format!("{}: {}", found.what, found.rows));
    }
    let sealed = head.as_ref().map_or(0, |head| head.through);
    if sealed > posted {
        faults.push(format!("{sealed} transactions were sealed, and {posted} were posted"));
    }
    let open = open(connection).await?;
    Ok(Report { head, unsealed: posted.saturating_sub(sealed).max(0), faults, open })
}

/// Follows the chain to its end: where that is, and the first thing that does not fit, if any. What comes
/// after that cannot fit either.
async fn follow(
    connection: &mut AnyConnection,
    earlier: &[Head],
) -> Result<(Option<Head>, Option<String>), sqlx::Error> {
    let last = sqlx::query("SELECT through, seal FROM ledger_seals ORDER BY through DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    let last = last.as_ref().map(Sealed::of_row).transpose()?;
    let head = last.map(|last| Head { through: last.through, seal: last.seal });
    for kept in earlier {
        let then = sqlx::query("SELECT through, seal FROM ledger_seals WHERE through = $1")
            .bind(kept.through)
            .fetch_optional(&mut *connection)
            .await?;
        let fault = match then.as_ref().map(Sealed::of_row).transpose()? {
            Some(sealed) if sealed.seal == kept.seal => continue,
            Some(_) => "has another seal than it had",
            None => "was the end of a seal, and is not any more",
        };
        return Ok((head, Some(format!("transaction {} {fault}", kept.through))));
    }
    let through = head.as_ref().map_or(0, |head| head.through);
    let mut former = Sealed::none();
    while former.through < through {
        let page = sqlx::query(
            "SELECT through, seal FROM ledger_seals WHERE through > $1 AND through <= $2 \
             ORDER BY through LIMIT $3",
        )
        .bind(former.through)
        .bind(through)
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await?;
        for row in &page {
            let sealed = Sealed::of_row(row)?;
            if let Some(fault) = unlike(connection, &former, &sealed).await? {
                return Ok((head, Some(fault)));
            }
            former = sealed;
        }
        if page.is_empty() {
            break;
        }
    }
    Ok((head, None))
}

/// What of a run is not what was sealed, if anything.
async fn unlike(
    connection: &mut AnyConnection,
    former: &Sealed,
    sealed: &Sealed,
) -> Result<Option<String>, sqlx::Error> {
    let first = former.through.saturating_add(1);
    let (found, count) = chain::seal(connection, former, sealed.through).await?;
    let run = sealed.through.saturating_sub(former.through);
    let fault = if i64::try_from(count).unwrap_or(i64::MAX) != run {
        format!("{run} were sealed, and {count} are there")
    } else if found != *sealed {
        "they are not what was sealed".to_owned()
    } else {
        return Ok(None);
    };
    Ok(Some(format!("transactions {first} to {}: {fault}", sealed.through)))
}

/// What calls have cost that nobody could pay, and what calls of closed accounts were found to cost: money
/// that somebody has to see to. Each with the time since when it has not been zero.
async fn open(connection: &mut AnyConnection) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT a.owner_id, a.kind, a.currency, a.balance, (SELECT MIN(t.posted_us) FROM ledger_entries e \
         JOIN ledger_transactions t ON t.id = e.transaction_id WHERE e.ledger_account_id = a.id AND e.sequence > \
         (SELECT COALESCE(MAX(z.sequence), 0) FROM ledger_entries z WHERE z.ledger_account_id = a.id \
         AND z.balance_after = 0)) AS since_us FROM ledger_accounts a \
         WHERE a.kind IN ('debt', 'closed') AND a.balance <> 0 ORDER BY a.owner_id, a.kind LIMIT $1",
    )
    .bind(OPEN_NAMED_MAX)
    .fetch_all(connection)
    .await?;
    let shown = |row: &sqlx::any::AnyRow| {
        let (owner, kind): (String, String) = (row.try_get("owner_id")?, row.try_get("kind")?);
        let (currency, micros): (String, i64) = (row.try_get("currency")?, row.try_get("balance")?);
        let amount = hub::money::Amount::from_micros(micros);
        let amount = currency.parse().map_or_else(
            |_| format!("{micros} micro-units"),
            |currency| amount.in_currency(currency).to_string(),
        );
        let since_us: Option<i64> = row.try_get("since_us")?;
        let since = since_us.map(timestamp::text).unwrap_or_default();
        Ok(format!("{owner}, {kind}: {amount} {currency}, not zero since {since}"))
    };
    rows.iter().map(shown).collect()
}

#[cfg(test)]
mod tests;
