//! Checks the chains: every entry against its seal, every seal against the one before, and how many
//! there are. Writes nothing; may run beside control planes that write and seal.
//!
//! What it shows: an entry that was changed, removed, added, or moved after it was sealed; a chain
//! that was cut off; and, since entries are numbered without a gap throughout the installation, an
//! entry that was removed before it was sealed, its number taken back or not. And contents that were
//! erased though their account is not deleted.
//!
//! What it cannot show by itself: who can write to the whole database can cut the end of a chain,
//! or write it anew from some entry on, with all its seals and all counts. That shows against
//! something they cannot write to: [`Head`]s of an earlier check, kept elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::chain::{COLUMNS, Content, INSTALLATION, NO_SEAL};
use crate::settings::OpenError;
use crate::store::Store;
use crate::timestamp;

/// Entries in memory at once.
const PAGE: usize = 500;
/// The migration that brought salts.
const SCHEMA_VERSION: i64 = 17;

/// How long a chain is, and the seal of its last sealed entry. As text: `<chain> <sealed> <seal>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// An organization's id, or `installation`.
    pub chain: String,
    /// Entries that are sealed.
    pub sealed: i64,
    pub seal: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.chain, self.sealed, self.seal)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_ascii_whitespace();
        let (chain, sealed, seal) = (words.next(), words.next(), words.next());
        let sealed = sealed.and_then(|text| text.parse().ok()).filter(|sealed| *sealed > 0);
        let seal = seal.filter(|seal| seal.len() == NO_SEAL.len());
        match (chain, sealed, seal, words.next()) {
            (Some(chain), Some(sealed), Some(seal), None) => {
                Ok(Self { chain: chain.to_owned(), sealed, seal: seal.to_owned() })
            }
            _ => Err("expected a chain, its number of entries and its last seal"),
        }
    }
}

/// What does not fit, in words for the operator: of a chain the first entry only, since what
/// follows it cannot fit either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `None`: the whole audit.
    pub chain: Option<String>,
    /// The entry's number within the chain.
    pub sequence: Option<i64>,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.chain, self.sequence) {
            (Some(chain), Some(sequence)) => write!(f, "{chain}, entry {sequence}: {}", self.what),
            (Some(chain), None) => write!(f, "{chain}: {}", self.what),
            (None, _) => f.write_str(&self.what),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of every chain, in the order of their names.
    pub heads: Vec<Head>,
    /// Entries that are not sealed yet.
    pub unsealed: i64,
    /// Empty is well.
    pub faults: Vec<Fault>,
}

/// Checks the audit of a database that is there, and against heads of an earlier check.
pub async fn run(database_url: &str, earlier: &[Head]) -> Result<Report, OpenError> {
    let pool = Store::readers(database_url).await?;
    let mut connection = pool.acquire().await?;
    let version = sqlx::query("SELECT CAST(MAX(version) AS BIGINT) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await?
        .try_get::<Option<i64>, _>(0)?;
    if version.is_none_or(|version| version < SCHEMA_VERSION) {
        return Err(OpenError::Earlier);
    }
    let report = check(&mut connection, earlier).await;
    drop(connection);
    pool.close().await;
    Ok(report?)
}

/// Counts as of one moment. Later entries and seals change nothing of what they count.
struct Counts {
    written: i64,
    sealed: i64,
    entries: i64,
    last: i64,
    seals: i64,
    heads: Vec<Head>,
}

pub(super) async fn check(
    connection: &mut AnyConnection,
    earlier: &[Head],
) -> Result<Report, sqlx::Error> {
    let counts = count(connection).await?;
    let mut faults = Vec::new();
    let mut kept: HashMap<&str, Vec<&Head>> = HashMap::new();
    for head in earlier {
        kept.entry(&head.chain).or_default().push(head);
    }
    for head in &counts.heads {
        let kept = kept.remove(head.chain.as_str()).unwrap_or_default();
        faults.extend(follow(connection, head, &kept).await?);
    }
    for (chain, heads) in kept {
        let what = format!("had {} entries, and is not there any more", heads[0].sealed);
        faults.push(Fault { chain: Some(chain.to_owned()), sequence: None, what });
    }
    if counts.entries != counts.written || counts.last != counts.written {
        faults.push(miscounted(connection, &counts).await?);
    } else if faults.is_empty()
        && (counts.seals, counts.in_chains()) != (counts.sealed, counts.sealed)
    {
        let what = format!(
            "{} entries were sealed; {} seals are there, and the chains count {}",
            counts.sealed,
            counts.seals,
            counts.in_chains(),
        );
        faults.push(Fault { chain: None, sequence: None, what });
    }
    faults.extend(erased(connection).await?);
    let unsealed = counts.written.saturating_sub(counts.sealed);
    Ok(Report { heads: counts.heads, unsealed, faults })
}

impl Counts {
    fn in_chains(&self) -> i64 {
        self.heads.iter().fold(0, |sum, head| sum.saturating_add(head.sealed))
    }
}

/// By one statement, which sees one moment.
async fn count(connection: &mut AnyConnection) -> Result<Counts, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT (SELECT value FROM counters WHERE name = 'audit') AS written, \
         (SELECT value FROM counters WHERE name = 'audit_sealed') AS sealed_through, \
         (SELECT CAST(COUNT(*) AS BIGINT) FROM audit) AS entries, \
         (SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM audit) AS last, \
         (SELECT CAST(COUNT(*) AS BIGINT) FROM audit_seals) AS seals, \
         c.chain, c.sealed, c.seal \
         FROM counters LEFT JOIN audit_chains c ON 1 = 1 WHERE counters.name = 'audit' ORDER BY c.chain",
    )
    .fetch_all(connection)
    .await?;
    let mut counts =
        Counts { written: 0, sealed: 0, entries: 0, last: 0, seals: 0, heads: Vec::new() };
    for row in rows {
        counts.written = row.try_get("written")?;
        counts.sealed = row.try_get("sealed_through")?;
        counts.entries = row.try_get("entries")?;
        counts.last = row.try_get("last")?;
        counts.seals = row.try_get("seals")?;
        if let Some(chain) = row.try_get::<Option<String>, _>("chain")? {
            let (sealed, seal) = (row.try_get("sealed")?, row.try_get("seal")?);
            counts.heads.push(Head { chain, sealed, seal });
        }
    }
    Ok(counts)
}

/// Contents go with their account, and with nothing else.
async fn erased(connection: &mut AnyConnection) -> Result<Option<Fault>, sqlx::Error> {
    let wrongly: i64 = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM audit a WHERE a.salt = '' AND NOT EXISTS \
         (SELECT 1 FROM accounts WHERE accounts.id = a.account_id AND accounts.status = 'deleted')",
    )
    .fetch_one(connection)
    .await?
    .try_get(0)?;
    let what = format!("{wrongly} entries have no contents, and their accounts are not deleted");
    Ok((wrongly > 0).then_some(Fault { chain: None, sequence: None, what }))
}

/// Follows a chain from its first entry to its head. The first thing that does not fit, if any.
async fn follow(
    connection: &mut AnyConnection,
    head: &Head,
    kept: &[&Head],
) -> Result<Option<Fault>, sqlx::Error> {
    let fault = |sequence: Option<i64>, what: String| {
        Ok(Some(Fault { chain: Some(head.chain.clone()), sequence, what }))
    };
    if let Some(kept) = kept.iter().find(|kept| kept.sealed > head.sealed) {
        return fault(None, format!("had {} entries, and has {}", kept.sealed, head.sealed));
    }
    let owner = if head.chain == INSTALLATION { "IS NULL" } else { "= $3" };
    let sql = format!(
        "SELECT {COLUMNS}, s.seal AS seal FROM audit a LEFT JOIN audit_seals s ON s.entry_id = a.id \
         WHERE a.organization_id {owner} AND a.sequence > $1 AND a.sequence <= $2 ORDER BY a.sequence LIMIT {PAGE}"
    );
    let (mut reached, mut former) = (0, NO_SEAL.to_owned());
    while reached < head.sealed {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone())).bind(reached).bind(head.sealed);
        if head.chain != INSTALLATION {
            query = query.bind(head.chain.as_str());
        }
        let rows = query.fetch_all(&mut *connection).await?;
        for row in &rows {
            match fits(row, reached + 1, &former) {
                Ok(seal) => former = seal,
                Err(what) => return fault(Some(reached + 1), what),
            }
            reached += 1;
            if kept.iter().any(|kept| kept.sealed == reached && kept.seal != former) {
                return fault(Some(reached), "has another seal than it had".to_owned());
            }
        }
        if rows.is_empty() {
            return fault(Some(reached + 1), "is missing".to_owned());
        }
    }
    if former == head.seal { Ok(None) } else { fault(None, "ends in another seal".to_owned()) }
}

/// The seal of a row that is the next of its chain; else what is wrong with it.
fn fits(row: &AnyRow, sequence: i64, former: &str) -> Result<String, String> {
    let entry = Content::of_row(row).map_err(|_| "cannot be read".to_owned())?;
    if entry.sequence != sequence {
        return Err(format!("is missing; the next one is entry {}", entry.sequence));
    }
    let computed = entry.seal(former);
    let shown = || {
        let at = timestamp::text(entry.at_us);
        format!("it now says {} of {} by {} at {at}", entry.action, entry.subject, entry.actor)
    };
    match row.try_get::<Option<String>, _>("seal").map_err(|_| "cannot be read".to_owned())? {
        Some(seal) if seal == computed => Ok(computed),
        Some(_) => Err(format!("is not what was sealed; {}", shown())),
        None => Err(format!("has no seal; {}", shown())),
    }
}

/// Entries are numbered without a gap: says where they are not.
async fn miscounted(connection: &mut AnyConnection, counts: &Counts) -> Result<Fault, sqlx::Error> {
    let gap: Option<i64> = sqlx::query(
        "SELECT CAST(MIN(n.number) AS BIGINT) FROM \
         (SELECT 1 AS number UNION ALL SELECT id + 1 FROM audit) AS n \
         WHERE n.number <= $1 AND NOT EXISTS (SELECT 1 FROM audit a WHERE a.id = n.number)",
    )
    .bind(counts.written)
    .fetch_one(connection)
    .await?
    .try_get(0)?;
    let first =
        gap.map(|number| format!("; the first that is missing was written as number {number}"));
    let what = format!(
        "{} entries were written in this installation, sealed or not, and {} are there, the last as number {}{}",
        counts.written,
        counts.entries,
        counts.last,
        first.unwrap_or_default(),
    );
    Ok(Fault { chain: None, sequence: None, what })
}

#[cfg(test)]
mod tests;
