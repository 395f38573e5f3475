//! The ledger accounts of wallets: opened with the wallet, read and written a batch at a time.

use std::collections::{BTreeMap, BTreeSet};

use hub::id::AccountId;
use hub::money::Currency;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{Kind, LedgerError, Place};
use crate::store::rows::{self, Value};

/// Wallets read by one statement; shorter last lists are filled up, so it is prepared once.
const OWNERS_PER_READ: usize = 64;

const KINDS: [(&str, Kind); 5] = [
    ("wallet", Kind::Wallet),
    ("external", Kind::External),
    ("revenue", Kind::Revenue),
    ("debt", Kind::Debt),
    ("closed", Kind::Closed),
];
/// Of [`KINDS`], those that every wallet has.
const OF_EVERY_WALLET: usize = 4;

/// A ledger account and what it comes to.
pub(super) struct LedgerAccount {
    pub(super) id: i64,
    pub(super) currency: Currency,
    pub(super) balance: i64,
    pub(super) entries: i64,
    pub(super) touched: bool,
}

/// Opens a wallet with its ledger accounts, all at zero.
pub(crate) async fn open_wallet(
    connection: &mut AnyConnection,
    owner: AccountId,
    organization: AccountId,
    currency: Currency,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO wallets (account_id, organization_id, currency, escrow, posted, sequence) VALUES ($1, $2, $3, 0, 0, $4)",
    )
    .bind(owner.to_string())
    .bind(organization.to_string())
    .bind(currency.code())
    .bind(now_us)
    .execute(&mut *connection)
    .await?;
    let kinds: Vec<Kind> = KINDS.iter().take(OF_EVERY_WALLET).map(|(_, kind)| *kind).collect();
    open(connection, owner, currency, &kinds).await
}

/// Opens an organization's ledger account of late charges of closed accounts, if it has none.
pub(crate) async fn open_closed(
    connection: &mut AnyConnection,
    organization: AccountId,
    currency: Currency,
) -> Result<(), sqlx::Error> {
    let known = sqlx::query("SELECT 1 FROM ledger_accounts WHERE owner_id = $1 AND kind = $2")
        .bind(organization.to_string())
        .bind(word(Kind::Closed))
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_some() {
        return Ok(());
    }
    open(connection, organization, currency, &[Kind::Closed]).await
}

async fn open(
    connection: &mut AnyConnection,
    owner: AccountId,
    currency: Currency,
    kinds: &[Kind],
) -> Result<(), sqlx::Error> {
    let count = i64::try_from(kinds.len()).unwrap_or(i64::MAX);
    let first = crate::counters::next(connection, "ledger_account", count).await?;
    let accounts = (first..).zip(kinds).map(|(id, kind)| {
        vec![
            Value::Int(id),
            Value::OwnedText(owner.to_string()),
            Value::Text(word(*kind)),
            Value::Text(currency.code()),
            Value::Int(0),
            Value::Int(0),
        ]
    });
    rows::write(
        connection,
        "INSERT INTO ledger_accounts (id, owner_id, kind, currency, balance, entries)",
        &accounts.collect::<Vec<_>>(),
        "",
    )
    .await
}

/// The ledger accounts at these places; others of the same wallets may be among them.
pub(super) async fn load(
    connection: &mut AnyConnection,
    places: impl Iterator<Item = Place>,
) -> Result<BTreeMap<Place, LedgerAccount>, LedgerError> {
    let (owners, kinds): (BTreeSet<AccountId>, BTreeSet<Kind>) = places.unzip();
    let kinds = kinds.into_iter().map(|kind| format!("'{}'", word(kind)));
    let sql = format!(
        "SELECT id, owner_id, kind, currency, balance, entries FROM ledger_accounts \
         WHERE owner_id IN ({}) AND kind IN ({})",
        rows::list(connection, OWNERS_PER_READ),
        kinds.collect::<Vec<_>>().join(","),
    );
    let mut accounts = BTreeMap::new();
    for chunk in owners.into_iter().collect::<Vec<_>>().chunks(OWNERS_PER_READ) {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
        for owner in chunk.iter().cycle().take(OWNERS_PER_READ) {
            query = query.bind(owner.to_string());
        }
        for row in query.fetch_all(&mut *connection).await? {
            let unreadable = || sqlx::Error::Decode("a ledger account cannot be read".into());
            let kind: String = row.try_get("kind")?;
            let (_, kind) =
                KINDS.into_iter().find(|(word, _)| *word == kind).ok_or_else(unreadable)?;
            let owner = row.try_get::<String, _>("owner_id")?.parse().map_err(|_| unreadable())?;
            let account = LedgerAccount {
                id: row.try_get("id")?,
                currency: row
                    .try_get::<String, _>("currency")?
                    .parse()
                    .map_err(|_| unreadable())?,
                balance: row.try_get("balance")?,
                entries: row.try_get("entries")?,
                touched: false,
            };
            accounts.insert((owner, kind), account);
        }
    }
    Ok(accounts)
}

/// Writes balances and numbers of entries.
pub(super) async fn write_balances(
    connection: &mut AnyConnection,
    accounts: impl Iterator<Item = &LedgerAccount>,
) -> Result<(), sqlx::Error> {
    let row = |account: &LedgerAccount| {
        vec![Value::Int(account.id), Value::Int(account.balance), Value::Int(account.entries)]
    };
    rows::write(
        connection,
        "UPDATE ledger_accounts SET balance = fresh.column2, entries = fresh.column3 FROM (",
        &accounts.map(row).collect::<Vec<_>>(),
        ") AS fresh WHERE id = fresh.column1",
    )
    .await
}

fn word(kind: Kind) -> &'static str {
    KINDS.into_iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word)
}
