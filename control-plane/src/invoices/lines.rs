//! The lines of an issued invoice: written with it, read a page at a time or whole.

use hub::money::{Amount, Currency};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::charges::Kind;
use super::draft::Line;
use super::{account, kind_word, minutes};
use crate::description::schema::{self, Schema};
use crate::problem::Problem;
use crate::store::rows::{self, Value};

/// Lines read by one statement.
const AT_ONCE: i64 = 1_000;

/// A line as answers show it.
#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(skip)]
    pub(crate) place: i64,
    pub(crate) kind: &'static str,
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) calls: i64,
    pub(crate) billable_s: i64,
    pub(crate) minutes: String,
    /// What the calls were charged, exactly.
    pub(crate) charged: String,
    /// The same in whole minor units.
    pub(crate) amount: String,
}

impl Shown {
    pub(crate) fn schema() -> Schema {
        let seconds = schema::number();
        schema::answered([
            ("kind", schema::word(Kind::WORDS).about("calls: of the period; late: of an earlier one, on no invoice so far; correction: of calls on an earlier invoice")),
            ("account", schema::any_account_id()),
            ("name", schema::text().example("Acme Corp")),
            ("calls", schema::count()),
            ("billable_s", seconds.about("below zero where corrections took off")),
            ("minutes", schema::money().example("1.52")),
            ("charged", schema::money().about("what the calls were charged, exactly")),
            ("amount", schema::money().about("the same in whole minor units")),
        ])
        .named("InvoiceLine")
    }

    fn of(line: &Line, place: i64, currency: Currency) -> Self {
        let text = |amount: Amount| amount.in_currency(currency).to_string();
        Self {
            place,
            kind: kind_word(line.kind),
            account: line.account.to_string(),
            name: line.name.clone(),
            calls: line.calls,
            billable_s: line.billable_s,
            minutes: minutes(line.billable_s),
            charged: text(line.charged),
            amount: text(line.amount),
        }
    }
}

pub(crate) async fn store(
    connection: &mut AnyConnection,
    invoice_id: &str,
    lines: &[Line],
) -> Result<(), sqlx::Error> {
    let row = |(place, line): (i64, &Line)| {
        vec![
            Value::OwnedText(invoice_id.to_owned()),
            Value::Int(place),
            Value::Text(kind_word(line.kind)),
            Value::OwnedText(line.account.to_string()),
            Value::OwnedText(line.name.clone()),
            Value::Int(line.calls),
            Value::Int(line.billable_s),
            Value::Int(line.charged.micros()),
            Value::Int(line.amount.micros()),
        ]
    };
    let rows: Vec<Vec<Value<'_>>> = (1..).zip(lines).map(row).collect();
    rows::write(
        connection,
        "INSERT INTO invoice_lines (invoice_id, line, kind, account_id, name, calls, billable_s, charged, amount)",
        &rows,
        "",
    )
    .await
}

/// At most so many lines that follow a place.
pub(crate) async fn after(
    connection: &mut AnyConnection,
    invoice_id: &str,
    currency: Currency,
    place: i64,
    most: i64,
) -> Result<Vec<Shown>, Problem> {
    let rows = sqlx::query(
        "SELECT line, kind, account_id, name, calls, billable_s, charged, amount FROM invoice_lines \
         WHERE invoice_id = $1 AND line > $2 ORDER BY line LIMIT $3",
    )
    .bind(invoice_id)
    .bind(place)
    .bind(most)
    .fetch_all(connection)
    .await?;
    let shown = |row: &AnyRow| Ok(Shown::of(&of_row(row)?, row.try_get("line")?, currency));
    rows.iter().map(shown).collect()
}

/// All of them: [`super::LINES_MAX`] at most.
pub(crate) async fn all(
    connection: &mut AnyConnection,
    invoice_id: &str,
    currency: Currency,
) -> Result<Vec<Shown>, Problem> {
    let mut lines = Vec::new();
    loop {
        let place = lines.last().map_or(0, |line: &Shown| line.place);
        let more = after(connection, invoice_id, currency, place, AT_ONCE).await?;
        if more.is_empty() {
            return Ok(lines);
        }
        lines.extend(more);
    }
}

fn of_row(row: &AnyRow) -> Result<Line, Problem> {
    let kind: String = row.try_get("kind")?;
    let known = Kind::WORDS.iter().find(|(word, _)| *word == kind);
    let (_, kind) = known.ok_or_else(|| Problem::internal(format!("a line of kind {kind:?}")))?;
    Ok(Line {
        kind: *kind,
        account: account(row, "account_id")?,
        name: row.try_get("name")?,
        calls: row.try_get("calls")?,
        billable_s: row.try_get("billable_s")?,
        charged: Amount::from_micros(row.try_get("charged")?),
        amount: Amount::from_micros(row.try_get("amount")?),
    })
}
