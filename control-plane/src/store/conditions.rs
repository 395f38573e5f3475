//! The conditions of a query whose filters are optional, with their values. Texts of conditions come
//! from the source, values from anywhere.

use std::fmt::Write as _;

use futures_util::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};

pub(crate) enum Bound {
    Int(i64),
    Text(String),
}

/// All of them hold.
#[derive(Default)]
pub(crate) struct Conditions {
    sql: String,
    values: Vec<Bound>,
}

impl Conditions {
    /// Adds a condition with a `?` for each of its values.
    pub(crate) fn and(&mut self, condition: &'static str, values: impl IntoIterator<Item = Bound>) {
        self.sql.push_str(if self.sql.is_empty() { "WHERE (" } else { " AND (" });
        let mut parts = condition.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            // Writing to a string does not fail.
            let _infallible = write!(self.sql, "${}{part}", self.values.len());
        }
        self.sql.push(')');
    }

    /// The same for a filter that may not be given.
    pub(crate) fn and_given<const N: usize>(
        &mut self,
        condition: &'static str,
        values: Option<[Bound; N]>,
    ) {
        if let Some(values) = values {
            self.and(condition, values);
        }
    }

    /// The rows of `{select} WHERE … {tail}`.
    pub(crate) async fn rows(
        &self,
        connection: &mut AnyConnection,
        select: &str,
        tail: &str,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        self.query(select, tail).fetch_all(connection).await
    }

    /// The same, one row after the other as they come, until `each` fails.
    pub(crate) async fn each<E: From<sqlx::Error>>(
        &self,
        connection: &mut AnyConnection,
        select: &str,
        tail: &str,
        mut each: impl FnMut(&AnyRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = self.query(select, tail).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            each(&row)?;
        }
        Ok(())
    }

    fn query(&self, select: &str, tail: &str) -> Query<'_, Any, AnyArguments> {
        let mut query = sqlx::query(AssertSqlSafe(format!("{select} {} {tail}", self.sql)));
        for value in &self.values {
            query = match value {
                Bound::Int(number) => query.bind(*number),
                Bound::Text(text) => query.bind(text.as_str()),
            };
        }
        query
    }
}

/// A text in which `LIKE … ESCAPE '!'` finds no wildcard.
pub(crate) fn literal(text: &str) -> String {
    literal_after(text, '!')
}

/// The same with another escape; a backslash is PostgreSQL's own.
pub(crate) fn literal_after(text: &str, escape: char) -> String {
    let mut literal = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_') || character == escape {
            literal.push(escape);
        }
        literal.push(character);
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_the_order_of_their_conditions() {
        let mut conditions = Conditions::default();
        conditions.and("a = ?", [Bound::Int(1)]);
        conditions.and("b IS NULL", []);
        conditions.and("c = ? OR d = ?", [Bound::Int(2), Bound::Text("x".to_owned())]);
        assert_eq!(conditions.sql, "WHERE (a = $1) AND (b IS NULL) AND (c = $2 OR d = $3)");
        assert_eq!(conditions.values.len(), 3);
        assert_eq!(literal("50%_!"), "50!%!_!!");
        assert_eq!(literal_after(r"50%_!\", '\\'), r"50\%\_!\\");
    }
}
