//! All rows of one database into another, whichever they are. Rows are numbers and texts in every
//! table, so no table needs code of its own.

use futures_util::TryStreamExt as _;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::CopyError;
use crate::store::rows::{self, Value};
use crate::store::schema::{self, Holds, TABLES};

/// Rows that are read before they are written.
const ROWS_AT_ONCE: usize = 1_024;

/// One value of a row, whatever its column is called.
enum Cell {
    Number(Option<i64>),
    Text(Option<String>),
}

impl Cell {
    fn read(row: &AnyRow, index: usize, holds: Holds) -> Result<Self, sqlx::Error> {
        Ok(match holds {
            Holds::Number => Self::Number(row.try_get(index)?),
            Holds::Text => Self::Text(row.try_get(index)?),
        })
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Number(number) => Value::OptionalInt(*number),
            Self::Text(text) => Value::OptionalText(text.as_deref()),
        }
    }
}

/// Replaces what a new schema holds by the rows of `from`, whose schema has the same version. Tables
/// that `from` does not have are left alone.
pub(super) async fn copy(
    from: &mut AnyConnection,
    to: &mut AnyConnection,
) -> Result<Vec<(&'static str, u64)>, CopyError> {
    for table in TABLES.into_iter().rev() {
        if !schema::columns(to, table).await?.is_empty() {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *to).await?;
        }
    }
    let mut copied = Vec::new();
    for table in TABLES {
        let columns = schema::columns(from, table).await?;
        if !columns.is_empty() {
            copied.push((table, copy_table(from, to, table, &columns).await?));
        }
    }
    Ok(copied)
}

async fn copy_table(
    from: &mut AnyConnection,
    to: &mut AnyConnection,
    table: &str,
    columns: &[(String, Holds)],
) -> Result<u64, CopyError> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let select = AssertSqlSafe(format!("SELECT {names} FROM {table}"));
    let insert = format!("INSERT INTO {table} ({names})");
    let mut count = 0;
    let mut stream = sqlx::query(select).fetch(from);
    let mut read: Vec<Vec<Cell>> = Vec::with_capacity(ROWS_AT_ONCE);
    loop {
        let row = stream.try_next().await?;
        let is_last = row.is_none();
        if let Some(row) = row {
            let cells = columns.iter().enumerate();
            let cells = cells.map(|(index, (_, holds))| Cell::read(&row, index, *holds));
            read.push(cells.collect::<Result<_, _>>()?);
        }
        if is_last || read.len() == ROWS_AT_ONCE {
            let values: Vec<Vec<Value<'_>>> =
                read.iter().map(|cells| cells.iter().map(Cell::value).collect()).collect();
            rows::write(to, &insert, &values, "").await?;
            count += read.len() as u64;
            read.clear();
        }
        if is_last {
            return Ok(count);
        }
    }
}

/// Rows of each table.
pub(super) async fn count(
    connection: &mut AnyConnection,
) -> Result<Vec<(&'static str, u64)>, CopyError> {
    let mut counted = Vec::new();
    for table in TABLES {
        if schema::columns(connection, table).await?.is_empty() {
            continue;
        }
        let count = AssertSqlSafe(format!("SELECT CAST(COUNT(*) AS BIGINT) FROM {table}"));
        let row = sqlx::query(count).fetch_one(&mut *connection).await?;
        counted.push((table, row.try_get::<i64, _>(0)?.unsigned_abs()));
    }
    Ok(counted)
}
