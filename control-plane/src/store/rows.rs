//! Many rows by few statements. Statements come in few sizes, so each is prepared once.

use hub::id::AccountId;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::backend::Backend;

/// Rows per statement, largest first. The largest stays below SQLite's 32,766 parameters at
/// [`COLUMNS_MAX`] columns.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];
const COLUMNS_MAX: usize = 32;
const _: () = assert!(SIZES[0] * COLUMNS_MAX < 32_766);

/// A value of a row to be written.
pub(crate) enum Value<'a> {
    Int(i64),
    OptionalInt(Option<i64>),
    Text(&'a str),
    OwnedText(String),
    OptionalText(Option<&'a str>),
}

/// Writes `rows`, all of the same width: `before` is what stands before `VALUES`, `INSERT INTO t (…)`
/// mostly, and `after` what follows the values, often nothing.
pub(crate) async fn write(
    connection: &mut AnyConnection,
    before: &str,
    rows: &[Vec<Value<'_>>],
    after: &str,
) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let size = SIZES.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
        let (now, later) = rest.split_at(size);
        let values = placeholders(Backend::of(connection), now.len(), first.len());
        let sql = format!("{before} VALUES {values}{after}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in now.iter().flatten() {
            query = match value {
                Value::Int(number) => query.bind(*number),
                Value::OptionalInt(number) => query.bind(*number),
                Value::Text(text) => query.bind(*text),
                Value::OwnedText(text) => query.bind(text.as_str()),
                Value::OptionalText(text) => query.bind(*text),
            };
        }
        query.execute(&mut *connection).await?;
        rest = later;
    }
    Ok(())
}

/// Accounts named in one statement; shorter last lists are filled up, so it is prepared once.
const ACCOUNTS_PER_READ: usize = 64;

/// The rows that a statement finds of many accounts, which it ends before naming: `SELECT … WHERE id IN`.
pub(crate) async fn named(
    connection: &mut AnyConnection,
    statement: &str,
    accounts: &[AccountId],
) -> Result<Vec<AnyRow>, sqlx::Error> {
    let sql = format!("{statement} ({})", list(connection, ACCOUNTS_PER_READ));
    let mut found = Vec::with_capacity(accounts.len());
    for chunk in accounts.chunks(ACCOUNTS_PER_READ) {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
        for account in chunk.iter().cycle().take(ACCOUNTS_PER_READ) {
            query = query.bind(account.to_string());
        }
        found.append(&mut query.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

/// `$1,$2` for a list of two; on SQLite `?,?`.
pub(crate) fn list(connection: &AnyConnection, length: usize) -> String {
    let row = placeholders(Backend::of(connection), 1, length);
    row.trim_matches(['(', ')']).to_owned()
}

/// `($1,$2),($3,$4)` for two rows of two columns; on SQLite `(?,?),(?,?)`, because there a `$1` is a
/// name, and looking names up takes time in the square of their number.
fn placeholders(backend: Backend, rows: usize, columns: usize) -> String {
    let one = |index: usize| {
        if backend == Backend::Sqlite { "?".to_owned() } else { format!("${index}") }
    };
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns).map(|column| one(row * columns + column)).collect();
        format!("({})", places.join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_for_every_value() {
        assert_eq!(placeholders(Backend::Postgres, 2, 2), "($1,$2),($3,$4)");
        assert_eq!(placeholders(Backend::Sqlite, 2, 1), "(?),(?)");
    }
}
