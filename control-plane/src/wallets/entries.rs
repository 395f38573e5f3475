//! `GET …/wallet/entries`: what moved a wallet's money, latest first. Readable also after the account
//! has changed to consolidated billing.

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::ledger::Cause;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::timestamp;

const SELECT: &str = "SELECT e.sequence, e.amount, e.balance_after, t.cause, t.reference, t.currency, t.posted_us \
     FROM ledger_accounts a JOIN ledger_entries e ON e.ledger_account_id = a.id \
     JOIN ledger_transactions t ON t.id = e.transaction_id \
     WHERE a.owner_id = $1 AND a.kind = 'wallet'";

/// One movement of a wallet's money.
#[derive(Serialize)]
pub(crate) struct Entry {
    /// Numbered within the wallet, from 1, without a gap.
    id: String,
    #[serde(skip)]
    sequence: i64,
    cause: String,
    /// A `call_id`, an `Idempotency-Key`, or the other account, by cause.
    reference: String,
    amount: String,
    balance_after: String,
    currency: String,
    created_at: String,
}

impl Entry {
    pub(super) fn schema() -> Schema {
        let causes = Cause::ALL.map(Cause::label);
        schema::answered([
            (
                "id",
                schema::pattern("^entry_[0-9]+$")
                    .about("numbered within the wallet, from 1, without a gap")
                    .example("entry_7"),
            ),
            ("cause", schema::labels(causes)),
            (
                "reference",
                schema::text()
                    .about("a `call_id`, an `Idempotency-Key` or another account, by cause"),
            ),
            ("amount", schema::money().about("below zero: it was taken out")),
            ("balance_after", schema::money()),
            ("currency", schema::currency()),
            ("created_at", schema::time()),
        ])
        .named("WalletEntry")
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let currency: Currency =
            row.try_get::<String, _>("currency")?.parse().map_err(Problem::internal)?;
        let money = |column| -> Result<String, sqlx::Error> {
            Ok(Amount::from_micros(row.try_get(column)?).in_currency(currency).to_string())
        };
        let sequence: i64 = row.try_get("sequence")?;
        Ok(Self {
            id: format!("entry_{sequence}"),
            sequence,
            cause: row.try_get("cause")?,
            reference: row.try_get("reference")?,
            amount: money("amount")?,
            balance_after: money("balance_after")?,
            currency: currency.to_string(),
            created_at: timestamp::text(row.try_get("posted_us")?),
        })
    }
}

/// The latest entry of a wallet.
pub(super) async fn latest(
    connection: &mut AnyConnection,
    owner: AccountId,
) -> Result<Entry, Problem> {
    let sql = format!("{SELECT} ORDER BY e.sequence DESC LIMIT 1");
    Entry::of_row(
        &sqlx::query(AssertSqlSafe(sql)).bind(owner.to_string()).fetch_one(connection).await?,
    )
}

pub(crate) fn describe() -> Operation {
    Operation::new("List a wallet's entries", "What moved its money, latest first.")
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Entry::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    let before = match window.after().map(str::parse::<i64>) {
        None => i64::MAX,
        Some(Ok(sequence)) => sequence,
        Some(Err(_)) => {
            query.refuse("cursor", "expected a next_cursor of an earlier answer");
            0
        }
    };
    query.finish()?;
    app.caught_up(request.access.organization()?).await;
    let mut connection = app.store.read().await?;
    let account = Account::load(&mut connection, request.access.account()?).await?;
    let sql = format!("{SELECT} AND e.sequence < $2 ORDER BY e.sequence DESC LIMIT $3");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(account.id.to_string())
        .bind(before)
        .bind(window.rows())
        .fetch_all(&mut *connection)
        .await?;
    let entries = rows.iter().map(Entry::of_row).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&Page::of(entries, &window, |entry| entry.sequence.to_string()))
}
