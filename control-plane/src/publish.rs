//! Reads the configuration as the hub is told it: all of it, or what concerns one shard. Tells it to a
//! hub that keeps it in memory, at start and again after a change that could not be recorded there.
//! Repeating what the hub knows is harmless.

use hub::directory::{Change, Status};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::App;
use crate::account::{Account, Organization};
use crate::decks;
use crate::keys;
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};
use crate::resources;

/// Rows read and told at a time.
const PAGE: i64 = 1_000;

/// Publishes every organization, account, resource, wallet and key. The caller must be the only writer or
/// run before any: `everything` takes a writer's turn itself.
pub(crate) async fn everything(app: &App) -> Result<(), Problem> {
    let mut writing = app.store.write().await?;
    let mut reading = Reading::new(None);
    loop {
        let changes =
            reading.page(writing.connection(), |wallet| wallet_change(app, wallet)).await?;
        if changes.is_empty() {
            break;
        }
        app.hub.tell(&changes).await.map_err(|_| {
            Problem::new(Kind::HubUnavailable, "the hub cannot record the configuration now")
        })?;
    }
    writing.commit().await?;
    Ok(())
}

/// A hub with records that the ledger has yet to post remembers more than the ledger does.
fn wallet_change(app: &App, wallet: &Wallet) -> Change {
    let shard = wallet.organization.shard();
    let position = app.hub.position(shard).unwrap_or_default();
    let is_ahead = position.last_record > app.progress.of(shard, &position);
    Change::Wallet(if is_ahead { wallet.config() } else { wallet.restoring() })
}

/// What is read, in the order in which it is told: who refers to something comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    DeckParts,
    Decks,
    Organizations,
    Accounts,
    Resources,
    Wallets,
    Keys,
}

/// A reading of the configuration, page by page. In one transaction that excludes writers it is the
/// configuration of one instant.
pub(crate) struct Reading {
    shard: Option<u8>,
    part: Option<Part>,
    after: String,
}

impl Reading {
    /// Of one shard, or of all.
    pub(crate) const fn new(shard: Option<u8>) -> Self {
        Self { shard, part: Some(Part::DeckParts), after: String::new() }
    }

    /// The next changes; none: that was all. `told` says how the hub is told of a wallet.
    pub(crate) async fn page(
        &mut self,
        connection: &mut AnyConnection,
        told: impl Fn(&Wallet) -> Change,
    ) -> Result<Vec<Change>, Problem> {
        while let Some(part) = self.part {
            let (shard, after) = (self.shard, self.after.as_str());
            let (last, changes) = match part {
                Part::DeckParts => decks::parts_after(connection, shard, after).await?,
                Part::Decks => decks::decks_after(connection, shard, after, PAGE).await?,
                Part::Organizations => {
                    let page = Organization::every(connection, shard, after, PAGE).await?;
                    let last = page.last().map(|organization| organization.id.to_string());
                    let change = |it: &Organization| Change::Organization(it.config());
                    (last, page.iter().map(change).collect())
                }
                Part::Accounts => {
                    let page = Account::every(connection, shard, after, PAGE).await?;
                    let last = page.last().map(|account| account.id.to_string());
                    (last, page.iter().map(account_change).collect())
                }
                Part::Resources => resources::after(connection, shard, after, PAGE).await?,
                Part::Wallets => {
                    let page = Wallet::every(connection, shard, after, PAGE).await?;
                    let last = page.last().map(|wallet| wallet.owner.to_string());
                    (last, page.iter().map(&told).collect())
                }
                Part::Keys => keys_after(connection, shard, after).await?,
            };
            if let Some(last) = last {
                self.after = last;
                return Ok(changes);
            }
            self.after.clear();
            self.part = match part {
                Part::DeckParts => Some(Part::Decks),
                Part::Decks => Some(Part::Organizations),
                Part::Organizations => Some(Part::Accounts),
                Part::Accounts => Some(Part::Resources),
                Part::Resources => Some(Part::Wallets),
                Part::Wallets => Some(Part::Keys),
                Part::Keys => None,
            };
        }
        Ok(Vec::new())
    }

    /// Everything that is left.
    pub(crate) async fn rest(
        mut self,
        connection: &mut AnyConnection,
        told: impl Fn(&Wallet) -> Change,
    ) -> Result<Vec<Change>, Problem> {
        let mut all = Vec::new();
        loop {
            let changes = self.page(connection, &told).await?;
            if changes.is_empty() {
                return Ok(all);
            }
            all.extend(changes);
        }
    }
}

/// A page of rows in the order of their ids, of a table whose rows have an organization and are kept for some
/// time when they are deleted. A shard's directory is told anew as a whole, where what is not named is
/// gone; who remembers more is also told what is.
pub(crate) async fn told_after(
    connection: &mut AnyConnection,
    select: &str,
    shard: Option<u8>,
    after: &str,
    limit: i64,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    let of_shard = match shard {
        None => "",
        Some(_) => {
            " AND deleted_us IS NULL AND organization_id IN (SELECT id FROM organizations WHERE shard = $3)"
        }
    };
    let sql = format!("{select} WHERE id > $1{of_shard} ORDER BY id LIMIT $2");
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit);
    if let Some(shard) = shard {
        query = query.bind(i64::from(shard));
    }
    query.fetch_all(connection).await
}

fn account_change(account: &Account) -> Change {
    match account.status {
        Status::Deleting => {
            Change::AccountGone { id: account.id, organization: account.organization }
        }
        Status::Active | Status::Suspended | Status::Ending => Change::Account(account.config()),
    }
}

/// A page of keys, and the id of the last. A shard's directory is told anew as a whole, where a key
/// that is not named is gone; who remembers more is also told which are.
async fn keys_after(
    connection: &mut AnyConnection,
    shard: Option<u8>,
    after: &str,
) -> Result<(Option<String>, Vec<Change>), Problem> {
    let of_shard = match shard {
        None => "",
        Some(0) => {
            " AND k.revoked_us IS NULL AND (k.account_id IS NULL OR \
             a.organization_id IN (SELECT id FROM organizations WHERE shard = $3))"
        }
        Some(_) => {
            " AND k.revoked_us IS NULL AND a.organization_id IN (SELECT id FROM organizations WHERE shard = $3)"
        }
    };
    let sql = format!(
        "SELECT k.id, k.hash, k.scope, k.account_id, k.type, k.revoked_us, k.expires_us, a.organization_id \
         FROM keys k LEFT JOIN accounts a ON a.id = k.account_id \
         WHERE k.id > $1{of_shard} ORDER BY k.id LIMIT $2"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(PAGE);
    if let Some(shard) = shard {
        query = query.bind(i64::from(shard));
    }
    let rows = query.fetch_all(connection).await?;
    let last = rows.last().map(|row| row.try_get("id")).transpose()?;
    Ok((last, rows.iter().map(keys::change).collect::<Result<_, _>>()?))
}
