//! Tells the hub the whole configuration: at start, and again after a change that the hub could not
//! record. Repeating what the hub knows is harmless.

use hub::directory::{Change, Status};
use sqlx::Row as _;

use crate::App;
use crate::account::{Account, Organization};
use crate::keys;
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};

/// Rows read and told at a time.
const PAGE: i64 = 1_000;

/// Publishes every organization, account, wallet and key. The caller must be the only writer or
/// run before any: `everything` takes a writer's turn itself.
pub(crate) async fn everything(app: &App) -> Result<(), Problem> {
    let mut writing = app.store.write().await?;
    let connection = writing.connection();
    let mut after = String::new();
    loop {
        let page = Organization::every(connection, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id.to_string();
        tell(
            app,
            &page
                .iter()
                .map(|organization| Change::Organization(organization.config()))
                .collect::<Vec<_>>(),
        )?;
    }
    after.clear();
    loop {
        let page = Account::every(connection, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id.to_string();
        tell(app, &page.iter().map(account_change).collect::<Vec<_>>())?;
    }
    after.clear();
    loop {
        let page = Wallet::every(connection, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.owner.to_string();
        tell(app, &page.iter().map(|wallet| wallet_change(app, wallet)).collect::<Vec<_>>())?;
    }
    after.clear();
    loop {
        let rows = sqlx::query(
            "SELECT keys.id, hash, scope, account_id, organization_id, type, revoked_us FROM keys \
             LEFT JOIN accounts ON accounts.id = account_id WHERE keys.id > $1 ORDER BY keys.id LIMIT $2",
        )
            .bind(after.as_str())
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("id")?;
        tell(app, &rows.iter().map(keys::change).collect::<Result<Vec<_>, _>>()?)?;
    }
    writing.commit().await?;
    Ok(())
}

fn account_change(account: &Account) -> Change {
    match account.status {
        Status::Deleting => {
            Change::AccountGone { id: account.id, organization: account.organization }
        }
        Status::Active | Status::Suspended => Change::Account(account.config()),
    }
}

/// A hub with records that the ledger has yet to post remembers more than the ledger does.
fn wallet_change(app: &App, wallet: &Wallet) -> Change {
    let shard = wallet.organization.shard();
    let is_ahead = app.hub.last_record(shard) > app.progress.of(shard);
    Change::Wallet(if is_ahead { wallet.config() } else { wallet.restoring() })
}

fn tell(app: &App, changes: &[Change]) -> Result<(), Problem> {
    app.hub.publish(changes).map_err(|_| {
        Problem::new(Kind::HubUnavailable, "the hub cannot record the configuration now")
    })
}
