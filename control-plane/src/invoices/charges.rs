//! What an invoice is about: the charges of one subject that no earlier invoice covers. Reads only.
//!
//! A charge is an event with two times: `t`, when its call was admitted, and `p`, when it was posted, by the
//! counter that orders batches as they are committed. A call's first record is one event, each later record
//! that corrects it another, with the same `t`. An invoice covers all events with `t < to` and `p ≤ through`
//! that the invoice before it does not; both only grow from one to the next, so what is covered so far is
//! always one rectangle, and each invoice the strip around the former:
//!
//! ```text
//!  p
//!  through_2 ┌───────────────┬──────────┐
//!            │ late, corrected│          │   invoice 2: both parts
//!  through_1 ├───────────────┤ its month│
//!            │ invoice 1      │          │
//!            └───────────────┴──────────┘ t
//!          starts           to_1       to_2
//! ```
//!
//! Nothing is marked as invoiced, nothing can be on two invoices, and what comes late is on the next one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hub::id::{AccountId, AccountKind};
use hub::money::{Amount, Currency};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::problem::Problem;
use crate::records::POSTING;
use crate::store::conditions::Bound;

/// Word for word what the index of late calls is about.
const IS_LATE: &str = "posted_us - admitted_us > 86400000000";
const IS_NOT_LATE: &str = "posted_us - admitted_us <= 86400000000";
const DAY_US: i64 = 86_400_000_000;

/// Whose charges: a sub-account's own, or an organization's with all that it pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) account: AccountId,
    pub(crate) organization: AccountId,
    pub(crate) currency: Currency,
}

/// What is covered by the invoices so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) to_us: i64,
    pub(crate) through_us: i64,
}

/// What an invoice is to cover.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    /// Calls before this are never invoiced.
    pub(crate) starts_us: i64,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) through_us: i64,
    pub(crate) covered: Option<Covered>,
}

/// Why a charge is on this invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Its call is of the period.
    Calls,
    /// Its call is of an earlier one and was on no invoice.
    Late,
    /// A later record of an invoiced call.
    Correction,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Calls, Self::Late, Self::Correction];
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("calls", Self::Calls), ("late", Self::Late), ("correction", Self::Correction)];
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charges {
    pub(crate) calls: i64,
    pub(crate) billable_s: i64,
    pub(crate) cost: Amount,
}

/// Up to where records are posted now.
pub(crate) async fn posted(connection: &mut AnyConnection) -> Result<i64, Problem> {
    let row = sqlx::query("SELECT value FROM counters WHERE name = $1")
        .bind(POSTING)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// What the last invoice of an account covers.
pub(crate) async fn covered(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<Option<Covered>, Problem> {
    let row = sqlx::query(
        "SELECT to_us, through_us FROM invoices WHERE account_id = $1 ORDER BY to_us DESC LIMIT 1",
    )
    .bind(account.to_string())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Covered { to_us: row.try_get(0)?, through_us: row.try_get(1)? }))
}

/// The charges of a region, by kind and account. One statement, so that it sees one state.
pub(crate) async fn load(
    connection: &mut AnyConnection,
    subject: &Subject,
    region: &Region,
) -> Result<BTreeMap<(Kind, AccountId), Charges>, Problem> {
    let mut statement = Statement { subject, sql: String::new(), values: Vec::new() };
    statement.add_all(region);
    let mut charges: BTreeMap<(Kind, AccountId), Charges> = BTreeMap::new();
    let mut query = sqlx::query(AssertSqlSafe(statement.sql));
    for value in statement.values {
        query = match value {
            Bound::Int(number) => query.bind(number),
            Bound::Text(text) => query.bind(text),
        };
    }
    for row in query.fetch_all(connection).await? {
        let kind = usize::try_from(row.try_get::<i64, _>(0)?).map_err(Problem::internal)?;
        let kind = Kind::ALL.get(kind).copied().unwrap_or(Kind::Correction);
        let account: AccountId = row.try_get::<String, _>(1)?.parse().map_err(Problem::internal)?;
        let sum = charges.entry((kind, account)).or_default();
        sum.calls = sum.calls.saturating_add(row.try_get(2)?);
        sum.billable_s = sum.billable_s.saturating_add(row.try_get(3)?);
        sum.cost = sum.cost.saturating_add(Amount::from_micros(row.try_get(4)?));
    }
    Ok(charges)
}

/// Sums over calls and corrections, joined by `UNION ALL`.
struct Statement<'a> {
    subject: &'a Subject,
    sql: String,
    values: Vec<Bound>,
}

/// From, included, to, excluded.
type Times = (i64, i64);

/// What is summed of a region.
struct Part<'a> {
    kind: Kind,
    /// Else taken off.
    adds: bool,
    table: &'static str,
    times: Times,
    /// With a `?` for each of its values.
    condition: &'a str,
    values: &'a [i64],
    /// Few rows, to be found by when they were posted.
    is_late: bool,
}

impl Statement<'_> {
    fn add_all(&mut self, region: &Region) {
        let Region { starts_us, from_us, to_us, through_us, covered } = *region;
        let covered = covered.unwrap_or(Covered { to_us: starts_us, through_us: i64::MIN });
        self.add_uncovered(Kind::Calls, (from_us, to_us), through_us);
        self.add_uncovered(Kind::Late, (covered.to_us, from_us), through_us);
        let times = (starts_us, covered.to_us);
        let values: &[i64] = &[covered.through_us, through_us];
        let (calls, corrections) = ("calls", "call_corrections");
        let posted = "posted_us > ? AND posted_us <= ?";
        let late = format!("{posted} AND {IS_LATE}");
        let part = Part {
            kind: Kind::Late,
            adds: true,
            table: calls,
            times,
            condition: &late,
            values,
            is_late: true,
        };
        self.add(&part);
        // Who was posted within a day of its admission, and after the former invoice, was admitted near it.
        let near = (starts_us.max(covered.through_us.saturating_sub(DAY_US)), covered.to_us);
        let in_time = format!("{posted} AND {IS_NOT_LATE}");
        self.add(&Part { times: near, condition: &in_time, is_late: false, ..part });
        // A call has what its last record says: its corrections are events of their own.
        let condition = "call_posted_us > ? AND call_posted_us <= ?";
        let part = Part { table: corrections, is_late: false, ..part };
        self.add(&Part { adds: false, condition, ..part });
        self.add(&Part { kind: Kind::Correction, condition: posted, ..part });
    }

    /// Calls of a time that no invoice covers, with their corrections up to `through_us`.
    fn add_uncovered(&mut self, kind: Kind, times: Times, through_us: i64) {
        let values: &[i64] = &[through_us, through_us];
        let (condition, is_late) = ("posted_us <= ?", false);
        let part = Part {
            kind,
            adds: true,
            table: "calls",
            times,
            condition,
            values: &values[..1],
            is_late,
        };
        self.add(&part);
        let condition = "call_posted_us <= ? AND posted_us > ?";
        self.add(&Part { adds: false, table: "call_corrections", condition, values, ..part });
    }

    fn add(&mut self, part: &Part<'_>) {
        let Part { kind, adds, table, times: (from_us, to_us), condition, values, is_late } = part;
        if from_us >= to_us {
            return;
        }
        if !self.sql.is_empty() {
            self.sql.push_str(" UNION ALL ");
        }
        let kind = Kind::ALL.iter().position(|known| known == kind).unwrap_or_default();
        let (sign, count) = if *adds { ("", "COUNT(*)") } else { ("-", "0") };
        // Writing to a string does not fail.
        let _infallible = write!(
            self.sql,
            "SELECT CAST({kind} AS BIGINT), account_id, CAST({count} AS BIGINT), {sign}CAST(SUM(billable_s) AS BIGINT), \
             {sign}CAST(SUM(cost) AS BIGINT) FROM {table} WHERE ",
        );
        let Subject { account, organization, currency } = *self.subject;
        let text = |id: AccountId| Bound::Text(id.to_string());
        if account.kind() == AccountKind::Organization {
            let whose = "organization_id = ? AND (billing_mode = 'consolidated' OR account_id = ?)";
            self.place(whose, [text(account), text(account)]);
        } else {
            self.place("account_id = ? AND billing_mode = 'isolated'", [text(account)]);
            if *is_late {
                self.place(" AND organization_id = ?", [text(organization)]);
            }
        }
        // With a sign no index on it is used: there is a better one.
        let times = if *is_late {
            " AND +admitted_us >= ? AND +admitted_us < ? AND "
        } else {
            " AND admitted_us >= ? AND admitted_us < ? AND "
        };
        self.place(times, [*from_us, *to_us].map(Bound::Int));
        self.place(condition, values.iter().copied().map(Bound::Int));
        self.place(" AND currency = ? GROUP BY account_id", [Bound::Text(currency.to_string())]);
    }

    /// Appends a text, its values in the places of `?`.
    fn place(&mut self, text: &str, values: impl IntoIterator<Item = Bound>) {
        let mut parts = text.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            let _infallible = write!(self.sql, "${}{part}", self.values.len());
        }
    }
}
