//! `DELETE /v1/sub-accounts/{id}` and `…/workspaces/{id}`: gone for good, in two steps. First the account is marked, its keys
//! revoked and its resources deleted, and the hub ends its calls (`?force=true` where it has any). Then, when their charges
//! are posted, what is left of its own wallet goes where `?balance=` says: `refund` (paid back
//! outside Ringfence) or `forfeit` (kept as revenue), and it is closed. The ledger stays and what calls
//! came to: they are the organization's books. What they say of people goes ([`erase`]).

use std::time::Duration;

use axum::extract::State;
use hub::clock::boot_us;
use hub::directory::Change as Published;
use hub::id::AccountId;
use hub::money::Amount;
use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::{Deed, Settings, erase, note};
use crate::account::{Account, Organization, floors};
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, values};
use crate::keys;
use crate::ledger::{self, Cause, Kind as Place, Transaction, Wallet};
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::wallets::attempts;
use crate::{App, Shared, counters, members, resources, webhooks};

/// How long the answer waits for the last charges; the deletion goes on without it.
const LAST_CHARGES_PATIENCE: Duration = Duration::from_secs(2);
/// How soon it is asked again whether gateways have ended the account's calls.
const CALLS_END_PAUSE: Duration = Duration::from_millis(50);

/// Where money goes that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposal {
    Refund,
    Forfeit,
}

impl Disposal {
    const WORDS: &'static [(&'static str, Self)] =
        &[("refund", Self::Refund), ("forfeit", Self::Forfeit)];
}

/// What becomes of an account's live calls and of its money.
pub(crate) struct Terms {
    force: bool,
    disposal: Option<Disposal>,
}

impl Terms {
    /// What [`Terms::read`] reads.
    pub(crate) fn parameters() -> [(&'static str, Schema); 2] {
        [
            ("force", schema::flag().by_default(false).about("end live calls")),
            ("balance", schema::word(Disposal::WORDS).about("what becomes of money that is left: `refund` is paid back outside Ringfence, `forfeit` is kept as revenue")),
        ]
    }

    /// Reads `force` and `balance`.
    pub(crate) fn read(query: &mut Fields) -> Self {
        Self {
            force: query.optional("force", values::flag).unwrap_or(false),
            disposal: query.optional("balance", values::word(Disposal::WORDS)),
        }
    }
}

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Delete a sub-account",
        "For good: its keys stop at once, its floor is free at once. With live calls it takes `force=true`, which ends them; with money left on its wallet it takes `balance`. The ledger stays, and what its calls came to: they are the organization's books. Names, people, resources and whom its calls were with are erased, some minutes later at most where there are many calls.",
    )
    .query(Terms::parameters())
    .body(schema::nothing(), json!({}))
    .answers_nothing("It is gone.")
    .refuses([Kind::LiveCalls, Kind::BalanceLeft])
        .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let terms = Terms::read(&mut query);
    query.finish()?;
    request.body()?.finish()?;
    carry_out(&app, &request, &terms, Answer::no_content()).await
}

/// Deletes the sub-account that the request is about.
pub(crate) async fn carry_out(
    app: &Shared,
    request: &Request,
    terms: &Terms,
    answer: Answer,
) -> Result<Answer, Problem> {
    let Terms { force, disposal } = *terms;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    // What calls have cost by now is posted before the balance is looked at.
    app.caught_up(organization).await;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    let owner = Organization::load(change.connection(), organization).await?;
    let before = Settings::of(&account, owner.currency);
    request.preconditions.check(&Tag::of(&before)?)?;
    let calls = app.hub.account_use(organization, id).await;
    if calls.is_none() && !force {
        return Err(Problem::new(
            Kind::HubUnavailable,
            "the hub does not say whether the account has live calls; nothing was changed",
        ));
    }
    let live = calls.unwrap_or_default().live;
    if live > 0 && !force {
        let detail = format!(
            "the account has {live} live calls; end them first, or delete with ?force=true, which ends them"
        );
        return Err(Problem::new(Kind::LiveCalls, detail).with("live_calls", live));
    }
    if let Some(wallet) = Wallet::find(change.connection(), id).await?
        && wallet.balance() > Amount::ZERO
        && disposal.is_none()
    {
        let balance = wallet.balance().in_currency(wallet.currency).to_string();
        let detail = format!(
            "the wallet holds {balance} {}; say what becomes of it: ?balance=refund or ?balance=forfeit",
            wallet.currency
        );
        return Err(Problem::new(Kind::BalanceLeft, detail)
            .with("balance", balance)
            .with("currency", wallet.currency.code()));
    }
    floors::free(change.connection(), id, organization).await?;
    mark(change.connection(), id, disposal, now_us).await?;
    for hash in revoke_keys(change.connection(), id, organization, now_us).await? {
        change.publish(hash);
    }
    for gone in resources::forget(change.connection(), id, now_us).await? {
        change.publish(gone);
    }
    members::forget(change.connection(), id).await?;
    attempts::forget(change.connection(), id, now_us).await?;
    webhooks::forget(change.connection(), id).await?;
    erase::at_once(change.connection(), id).await?;
    change.publish(Published::AccountGone { id, organization });
    note(&mut change, Deed::Deleted, &account, Some(&before), None).await?;
    let answer = change.commit(answer).await?;
    if !is_settled(app, organization, id, LAST_CHARGES_PATIENCE).await
        || finish(app, id).await.is_err()
    {
        app.deletions_pending.store(true, std::sync::atomic::Ordering::Release);
    }
    Ok(answer)
}

/// Finishes the deletions that were begun, each once the last charges of its calls are posted. True
/// when none is left.
pub(crate) async fn finish_all(app: &App) -> Result<bool, Problem> {
    let mut connection = app.store.read().await?;
    let rows = sqlx::query("SELECT id, organization_id FROM accounts WHERE status = 'deleting'")
        .fetch_all(&mut *connection)
        .await?;
    drop(connection);
    let mut all = true;
    for row in rows {
        let id = |column| -> Result<AccountId, Problem> {
            row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
        };
        let (id, organization) = (id("id")?, id("organization_id")?);
        if is_settled(app, organization, id, Duration::ZERO).await {
            finish(app, id).await?;
        } else {
            all = false;
        }
    }
    Ok(all)
}

/// Whether no call of the account is left at the hub, nor a charge that is not posted.
async fn is_settled(app: &App, organization: AccountId, id: AccountId, patience: Duration) -> bool {
    let end_us = boot_us() + i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
    loop {
        let live = app.hub.account_use(organization, id).await.map(|calls| calls.live);
        let left_us = (end_us - boot_us()).max(0);
        let left = Duration::from_micros(left_us.unsigned_abs());
        if live == Some(0) {
            return app.progress.caught_up(&app.hub, organization, left).await;
        }
        if live.is_none() || left.is_zero() {
            return false;
        }
        tokio::time::sleep(CALLS_END_PAUSE.min(left)).await;
    }
}

/// Posts where the rest of the money goes, and closes the account.
async fn finish(app: &App, id: AccountId) -> Result<(), Problem> {
    let mut writing = app.store.write().await?;
    let connection = writing.connection();
    let row = sqlx::query("SELECT disposal FROM accounts WHERE id = $1 AND status = 'deleting'")
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let now_us = hub::clock::now_us();
    let disposal: Option<String> = row.try_get(0)?;
    if let Some(wallet) = Wallet::find(connection, id).await?
        && wallet.balance() > Amount::ZERO
    {
        // Money that came back after the question was asked is paid back.
        let (cause, to) = match disposal.as_deref() {
            Some("forfeit") => (Cause::Forfeit, Place::Revenue),
            _ => (Cause::Refund, Place::External),
        };
        let rest = Transaction::moving(
            cause,
            id.to_string(),
            wallet.currency,
            wallet.balance(),
            (id, Place::Wallet),
            (id, to),
        );
        ledger::post(connection, &[rest], now_us).await?;
    }
    // From here on what calls cost is no matter of its wallet any more.
    let closing = counters::next(connection, "closing", 1).await?;
    sqlx::query(
        "UPDATE accounts SET status = 'deleted', updated_us = $1, closing = $2 WHERE id = $3",
    )
    .bind(now_us)
    .bind(closing)
    .bind(id.to_string())
    .execute(connection)
    .await?;
    writing.commit().await?;
    app.erasures_pending.store(true, std::sync::atomic::Ordering::Release);
    Ok(())
}

async fn mark(
    connection: &mut AnyConnection,
    id: AccountId,
    disposal: Option<Disposal>,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE accounts SET status = 'deleting', disposal = $1, updated_us = $2 WHERE id = $3",
    )
    .bind(disposal.map(|disposal| crate::account::word(Disposal::WORDS, &disposal)))
    .bind(now_us)
    .bind(id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

async fn revoke_keys(
    connection: &mut AnyConnection,
    id: AccountId,
    organization: AccountId,
    now_us: i64,
) -> Result<Vec<Published>, Problem> {
    let rows = sqlx::query("UPDATE keys SET revoked_us = $1 WHERE account_id = $2 AND revoked_us IS NULL RETURNING hash")
        .bind(now_us)
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let hash = keys::of_hex(&row.try_get::<String, _>(0)?)?;
            Ok(Published::KeyGone { hash, organization: Some(organization) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use hub::directory::Change;
    use serde_json::{Value, json};

    use crate::testing::Harness;

    #[tokio::test]
    async fn a_deleted_account_is_gone_with_its_keys_and_its_floor() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(100).await;
        let path = format!("/v1/sub-accounts/{id}");
        let deleted = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!((deleted.status, deleted.bytes.len()), (204, 0));
        assert_eq!(harness.get(&harness.organization, &path).await.status, 404);
        assert_eq!(harness.get(&key, &path).await.status, 401);
        assert_eq!(
            harness.send(&harness.organization, "DELETE", &path, Value::Null).await.status,
            404
        );
        harness.isolated(100).await;
        let heard = harness.heard.lock();
        assert!(heard.iter().any(|change| matches!(change, Change::AccountGone { id: gone, .. } if gone.to_string() == id)));
        assert!(heard.iter().any(|change| matches!(change, Change::KeyGone { .. })));
    }

    #[tokio::test]
    async fn money_left_must_be_disposed_of_and_the_ledger_says_where_it_went() {
        let harness = Harness::new().await;
        for disposal in ["refund", "forfeit"] {
            let (id, _) = harness.isolated(1).await;
            harness.recharge(&id, "12.5").await;
            let path = format!("/v1/sub-accounts/{id}");
            let refused = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
            assert_eq!((refused.status, &refused.body["balance"]), (409, &json!("12.50")));
            let path = format!("{path}?balance={disposal}&force=true");
            assert_eq!(
                harness.send(&harness.organization, "DELETE", &path, Value::Null).await.status,
                204
            );
            harness.assert_ledger_balances().await;
        }
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}?balance=burn&force=maybe");
        let refused = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!(crate::testing::named(&refused.body), ["force", "balance"]);
    }

    #[tokio::test]
    async fn live_calls_are_ended_only_by_force() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let account = id.parse().expect("an id");
        harness.admit(&crate::testing::calls::call(account, "live", None), "0");
        let path = format!("/v1/sub-accounts/{id}");
        let refused = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!((refused.status, &refused.body["live_calls"]), (409, &json!(1)));
        let path = format!("{path}?force=true");
        assert_eq!(
            harness.send(&harness.organization, "DELETE", &path, Value::Null).await.status,
            204
        );
        assert_eq!(harness.get(&harness.organization, &path).await.status, 404);
    }
}
