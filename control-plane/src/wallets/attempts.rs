//! Attempts to recharge a wallet: a wallet with `auto_recharge` whose balance is at its line asks whoever
//! takes payments for money, by a webhook event, and waits. One attempt of a wallet is open at a time, by a
//! unique index; it ends when a recharge names it, when it is declined, or when it is canceled, and never by
//! itself: an answer that is late is never taken for none, and nothing is asked for twice. Takes no money.

use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::Serialize;
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::App;
use crate::account::{Account, word};
use crate::audit;
use crate::change::Change;
use crate::description::schema::{self, Schema};
use crate::fields::{Raw, values};
use crate::id::new_id;
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};
use crate::timestamp;
use crate::webhooks::{Event, EventKind, event};

pub(crate) mod close;
pub(crate) mod list;
pub(crate) mod open;
#[cfg(test)]
mod tests;

const PREFIX: &str = "rca";
/// The longest id that is looked for.
const ID_BYTES_MAX: usize = 64;
const COLUMNS: &str = "SELECT id, account_id, organization_id, currency, amount, balance, status, reason, recharged, \
     opened_us, closed_us FROM recharge_attempts";

/// When a wallet asks for money, and for how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AutoRecharge {
    pub(crate) below: Amount,
    pub(crate) amount: Amount,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Settled,
    Declined,
    Canceled,
}

impl Status {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("open", Self::Open),
        ("settled", Self::Settled),
        ("declined", Self::Declined),
        ("canceled", Self::Canceled),
    ];

    /// As the audit names what brought it there; contents of `wallet.…` outlive an account.
    const fn action(self) -> &'static str {
        match self {
            Self::Open => "wallet.recharge_wanted",
            Self::Settled => "wallet.recharge_settled",
            Self::Declined => "wallet.recharge_declined",
            Self::Canceled => "wallet.recharge_canceled",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    account: AccountId,
    organization: AccountId,
    currency: Currency,
    amount: Amount,
    balance: Amount,
    status: Status,
    reason: Option<String>,
    recharged: Option<Amount>,
    opened_us: i64,
    closed_us: Option<i64>,
}

/// As answers and the audit show it.
#[derive(Clone, Serialize)]
pub(crate) struct Shown {
    attempt_id: String,
    account: String,
    status: &'static str,
    amount: String,
    currency: String,
    /// When it was opened.
    balance: String,
    recharged: Option<String>,
    reason: Option<String>,
    opened_at: String,
    closed_at: Option<String>,
    /// How long it was or has been open.
    age_s: i64,
}

impl Shown {
    pub(crate) fn schema() -> Schema {
        schema::answered([
            ("attempt_id", schema::id(PREFIX)),
            ("account", schema::any_account_id().about("whose wallet it is")),
            ("status", schema::word(Status::WORDS)),
            ("amount", schema::money().about("what was asked for")),
            ("currency", schema::currency()),
            ("balance", schema::money().about("when it was opened")),
            (
                "recharged",
                schema::money().or_null().about("what the recharge that settled it added"),
            ),
            ("reason", schema::text().or_null().about("why it was declined or canceled")),
            ("opened_at", schema::time()),
            ("closed_at", schema::time().or_null().about("null while it is open")),
            ("age_s", schema::count().about("how long it has been open, or was")),
        ])
        .named("RechargeAttempt")
    }
}

impl Attempt {
    /// One of a wallet, whatever became of it.
    pub(crate) async fn find(
        connection: &mut AnyConnection,
        account: AccountId,
        id: &str,
    ) -> Result<Self, Problem> {
        let sql = format!("{COLUMNS} WHERE id = $1 AND account_id = $2");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(account.to_string())
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(Self::of_row).transpose()?.ok_or_else(|| {
            Problem::new(Kind::UnknownRechargeAttempt, "the wallet has no such recharge attempt")
        })
    }

    /// The one that is open.
    pub(crate) async fn open_of(
        connection: &mut AnyConnection,
        account: AccountId,
    ) -> Result<Option<Self>, Problem> {
        let sql = format!("{COLUMNS} WHERE account_id = $1 AND status = 'open'");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(account.to_string())
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(Self::of_row).transpose()
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let id = |column| -> Result<AccountId, Problem> {
            row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
        };
        let status: String = row.try_get("status")?;
        let status = Status::WORDS.iter().find(|(word, _)| *word == status);
        Ok(Self {
            id: row.try_get("id")?,
            account: id("account_id")?,
            organization: id("organization_id")?,
            currency: row.try_get::<String, _>("currency")?.parse().map_err(Problem::internal)?,
            amount: Amount::from_micros(row.try_get("amount")?),
            balance: Amount::from_micros(row.try_get("balance")?),
            status: status
                .map(|(_, status)| *status)
                .ok_or_else(|| Problem::internal("a recharge attempt of no known status"))?,
            reason: row.try_get("reason")?,
            recharged: row.try_get::<Option<i64>, _>("recharged")?.map(Amount::from_micros),
            opened_us: row.try_get("opened_us")?,
            closed_us: row.try_get("closed_us")?,
        })
    }

    /// Opens one and tells webhooks; none where nobody listens. The wallet has none that is open.
    pub(crate) async fn open(
        connection: &mut AnyConnection,
        wallet: &Wallet,
        amount: Amount,
        now_us: i64,
    ) -> Result<Option<Self>, Problem> {
        let attempt = Self {
            id: new_id(PREFIX, now_us),
            account: wallet.owner,
            organization: wallet.organization,
            currency: wallet.currency,
            amount,
            balance: wallet.balance(),
            status: Status::Open,
            reason: None,
            recharged: None,
            opened_us: now_us,
            closed_us: None,
        };
        let shown = attempt.shown(now_us);
        let wanted = json!({"attempt_id": shown.attempt_id, "amount": shown.amount, "currency": shown.currency,
            "balance": shown.balance});
        let kind = EventKind::RechargeWanted;
        let event = Event::new(kind, attempt.account, attempt.organization, &wanted)?;
        if event::store(connection, &[event], now_us).await? == 0 {
            return Ok(None);
        }
        sqlx::query(
            "INSERT INTO recharge_attempts (id, account_id, organization_id, currency, amount, balance, status, opened_us) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(attempt.id.as_str())
        .bind(attempt.account.to_string())
        .bind(attempt.organization.to_string())
        .bind(attempt.currency.code())
        .bind(amount.micros())
        .bind(attempt.balance.micros())
        .bind(word(Status::WORDS, &Status::Open))
        .bind(now_us)
        .execute(connection)
        .await?;
        Ok(Some(attempt))
    }

    /// Ends one that is open, once: 409 where it has ended. The wallet asks again when its balance has been
    /// above its line, or at once where the attempt brought money.
    async fn close(
        &mut self,
        connection: &mut AnyConnection,
        now_us: i64,
        (status, reason, recharged): (Status, Option<String>, Option<Amount>),
    ) -> Result<(), Problem> {
        if self.status != Status::Open {
            return Err(self.is_closed());
        }
        (self.status, self.reason, self.recharged) = (status, reason, recharged);
        self.closed_us = Some(now_us);
        sqlx::query(
            "UPDATE recharge_attempts SET status = $1, reason = $2, recharged = $3, closed_us = $4 WHERE id = $5",
        )
        .bind(word(Status::WORDS, &status))
        .bind(self.reason.as_deref())
        .bind(recharged.map(Amount::micros))
        .bind(now_us)
        .bind(self.id.as_str())
        .execute(&mut *connection)
        .await?;
        let wallet = Wallet::load(connection, self.account).await?;
        let is_above =
            wallet.watch.recharge.is_none_or(|recharge| wallet.balance() > recharge.below);
        arm(connection, &wallet, status == Status::Settled || is_above).await
    }

    /// Ends one of a wallet, with its audit row; as it is shown then.
    async fn end(
        change: &mut Change<'_>,
        (account, id): (AccountId, &str),
        how: (Status, Option<String>, Option<Amount>),
    ) -> Result<Shown, Problem> {
        let now_us = change.now_us;
        let mut attempt = Self::find(change.connection(), account, id).await?;
        let before = attempt.shown(now_us);
        attempt.close(change.connection(), now_us, how).await?;
        let after = attempt.shown(now_us);
        let organization = Some(attempt.organization);
        let action = attempt.action();
        change.audit(organization, action, &attempt.id, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// Notes whose money a recharge is, before that comes: the wallet may ask for more then.
    pub(super) async fn settle(
        change: &mut Change<'_>,
        of: (AccountId, &str),
        recharged: Amount,
    ) -> Result<Shown, Problem> {
        Self::end(change, of, (Status::Settled, None, Some(recharged))).await
    }

    fn is_closed(&self) -> Problem {
        let status = word(Status::WORDS, &self.status);
        let closed_at = self.closed_us.map(timestamp::text).unwrap_or_default();
        let detail = match self.status {
            Status::Settled => {
                format!("the attempt was settled at {closed_at}: its money is in the wallet")
            }
            _ => format!(
                "the attempt was {status} at {closed_at}; money that was taken for it all the same is added by a recharge that does not name it"
            ),
        };
        Problem::new(Kind::RechargeAttemptClosed, detail)
            .with("attempt_status", status)
            .with("closed_at", closed_at)
    }

    pub(super) fn action(&self) -> &'static str {
        self.status.action()
    }

    pub(super) fn shown(&self, now_us: i64) -> Shown {
        let text = |amount: Amount| amount.in_currency(self.currency).to_string();
        let age_us = self.closed_us.unwrap_or(now_us).saturating_sub(self.opened_us);
        Shown {
            attempt_id: self.id.clone(),
            account: self.account.to_string(),
            status: word(Status::WORDS, &self.status),
            amount: text(self.amount),
            currency: self.currency.to_string(),
            balance: text(self.balance),
            recharged: self.recharged.map(text),
            reason: self.reason.clone(),
            opened_at: timestamp::text(self.opened_us),
            closed_at: self.closed_us.map(timestamp::text),
            age_s: age_us.max(0) / hub::clock::SECOND_US,
        }
    }
}

/// Looks at a wallet whose balance or whose line has changed: asks for money where it is at its line, and
/// has it ask again once it has been above.
pub(super) async fn look(
    connection: &mut AnyConnection,
    wallet: &Wallet,
    now_us: i64,
) -> Result<(), Problem> {
    let Some(recharge) = wallet.watch.recharge else { return Ok(()) };
    if wallet.balance() > recharge.below {
        return arm(connection, wallet, true).await;
    }
    if !wallet.watch.is_armed || Attempt::open_of(connection, wallet.owner).await?.is_some() {
        return Ok(());
    }
    // Late charges of an account that is gone, or has another wallet now, ask for nothing.
    match Account::load(connection, wallet.owner).await {
        Ok(account) if account.billing == Billing::Isolated => {}
        Ok(_) => return Ok(()),
        Err(problem) if problem.is(Kind::UnknownAccount) => return Ok(()),
        Err(problem) => return Err(problem),
    }
    let Some(attempt) = Attempt::open(connection, wallet, recharge.amount, now_us).await? else {
        return Ok(());
    };
    let row = audit::Row {
        organization: Some(wallet.organization),
        account: Some(wallet.owner),
        at_us: now_us,
        actor: "ringfence",
        action: attempt.action(),
        subject: &attempt.id,
        before: None,
        after: Some(serde_json::to_string(&attempt.shown(now_us)).map_err(Problem::internal)?),
    };
    Ok(audit::write(connection, &row).await?)
}

async fn arm(
    connection: &mut AnyConnection,
    wallet: &Wallet,
    is_armed: bool,
) -> Result<(), Problem> {
    if wallet.watch.is_armed != is_armed {
        sqlx::query("UPDATE wallets SET recharge_armed = $1 WHERE account_id = $2")
            .bind(i64::from(is_armed))
            .bind(wallet.owner.to_string())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// A deleted account wants nothing any more.
pub(crate) async fn forget(
    connection: &mut AnyConnection,
    account: AccountId,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE recharge_attempts SET status = 'canceled', closed_us = $1 WHERE account_id = $2 AND status = 'open'",
    )
    .bind(now_us)
    .bind(account.to_string())
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE wallets SET recharge_below = NULL, recharge_amount = NULL, low_balances = NULL WHERE account_id = $1")
        .bind(account.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Says how old the oldest open attempt is, so that somebody looks when payments are not answered.
pub(crate) async fn measure(app: &App, now_us: i64) -> Result<(), Problem> {
    let mut connection = app.store.read().await?;
    let row = sqlx::query("SELECT MIN(opened_us) FROM recharge_attempts WHERE status = 'open'")
        .fetch_one(&mut *connection)
        .await?;
    let opened_us: Option<i64> = row.try_get(0)?;
    let age_s =
        opened_us.map_or(0, |opened_us| (now_us - opened_us).max(0) / hub::clock::SECOND_US);
    let age_s = u32::try_from(age_s).unwrap_or(u32::MAX);
    metrics::gauge!("ringfence_recharge_attempt_oldest_seconds").set(f64::from(age_s));
    Ok(())
}

/// Reads the id of an attempt.
pub(super) fn id(raw: &Raw) -> Result<String, String> {
    let id = values::text(raw).ok().filter(|id| id.len() <= ID_BYTES_MAX);
    id.filter(|id| id.starts_with(PREFIX))
        .ok_or_else(|| "expected the id of a recharge attempt, rca_…".to_owned())
}

/// Nobody would hear of an attempt.
pub(super) fn nobody_listens() -> Problem {
    Problem::new(
        Kind::NobodyListens,
        "no webhook of the organization or the account takes recharge.wanted: subscribe whoever takes payments by POST /v1/user-webhooks first",
    )
}
