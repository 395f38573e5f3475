//! Issues what is due by itself: the months that are over, of organizations that want it, some days after they
//! ended. A month that was missed is caught up; of several control planes none issues what another has.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hub::clock::{SECOND_US, now_us};
use hub::id::AccountId;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::Row as _;

use super::issue::{self, Asked};
use super::terms::Terms;
use super::{account, charges};
use crate::App;
use crate::answer::Answer;
use crate::problem::{Kind, Problem};
use crate::usage::interval::Interval;

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_mins(1);
/// Organizations, and wallets of one, that are read at a time.
const AT_ONCE: i64 = 256;
/// How often an invoice is prepared anew when others issue for the same account meanwhile.
const TRIES_MAX: usize = 3;
const DAY_US: i64 = 86_400 * SECOND_US;

/// Issues until `shutdown`; what is left waits for the next start.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut shutdown = pin!(shutdown);
    loop {
        // What a stop interrupts is not committed, and is done after the next start.
        let issued = tokio::select! {
            _ = &mut shutdown => return,
            issued = issue_due(app, now_us()) => issued,
        };
        match issued {
            Ok(0) => {}
            Ok(invoices) => {
                tracing::info!(invoices, "invoices of months that are over were issued");
            }
            Err(problem) => {
                tracing::warn!(?problem, "invoices that are due could not be issued; trying again");
            }
        }
        tokio::select! {
            _ = &mut shutdown => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Issues everything that is due at `now_us`; how many invoices that were.
pub(crate) async fn issue_due(app: &App, now_us: i64) -> Result<u64, Problem> {
    let (mut issued, mut after) = (0_u64, String::new());
    loop {
        let rows = {
            let mut connection = app.store.read().await?;
            sqlx::query(
                "SELECT organization_id FROM invoicing WHERE automatic = 1 AND done_us < $1 \
                 AND organization_id > $2 ORDER BY organization_id LIMIT $3",
            )
            .bind(now_us)
            .bind(after.as_str())
            .bind(AT_ONCE)
            .fetch_all(&mut *connection)
            .await?
        };
        let Some(last) = rows.last() else { return Ok(issued) };
        after = last.try_get(0)?;
        for row in &rows {
            let organization = account(row, "organization_id")?;
            while let Some(invoices) = issue_month(app, organization, now_us).await? {
                issued = issued.saturating_add(invoices);
            }
        }
    }
}

/// Issues the next month of an organization, if it is due; how many invoices that were.
async fn issue_month(
    app: &App,
    organization: AccountId,
    now_us: i64,
) -> Result<Option<u64>, Problem> {
    let mut connection = app.store.read().await?;
    let terms = Terms::load(&mut connection, organization).await?;
    drop(connection);
    let from_us = terms.done_us;
    let to_us = end_of_month(from_us, &terms.settings.time_zone)?;
    let wait_us = i64::from(terms.settings.issue_after_days).saturating_mul(DAY_US);
    if !terms.automatic || to_us.saturating_add(wait_us) > now_us {
        return Ok(None);
    }
    app.caught_up(organization).await;
    let mut issued = 0;
    let mut account = Some(organization);
    while let Some(subject) = account {
        let asked = Asked { organization, account: subject, from_us, to_us };
        issued += u64::from(issue_one(app, asked).await?);
        account = next_wallet(app, organization, subject).await?;
    }
    let mut writing = app.store.write().await?;
    sqlx::query("UPDATE invoicing SET done_us = $1 WHERE organization_id = $2 AND done_us = $3")
        .bind(to_us)
        .bind(organization.to_string())
        .bind(from_us)
        .execute(writing.connection())
        .await?;
    writing.commit().await?;
    Ok(Some(issued))
}

/// The account after another one, in the order of their ids but with the organization first, that has a wallet
/// of its own or had one.
async fn next_wallet(
    app: &App,
    organization: AccountId,
    after: AccountId,
) -> Result<Option<AccountId>, Problem> {
    let after = if after == organization { String::new() } else { after.to_string() };
    let mut connection = app.store.read().await?;
    let row = sqlx::query(
        "SELECT account_id FROM wallets WHERE organization_id = $1 AND account_id > $2 AND account_id <> $1 \
         ORDER BY account_id LIMIT 1",
    )
    .bind(organization.to_string())
    .bind(after)
    .fetch_optional(&mut *connection)
    .await?;
    row.map(|row| account(&row, "account_id")).transpose()
}

/// Issues an invoice of what of a month is not invoiced; whether there was any.
async fn issue_one(app: &App, month: Asked) -> Result<bool, Problem> {
    for _ in 0..TRIES_MAX {
        let prepared = {
            let mut connection = app.store.read().await?;
            let covered = charges::covered(&mut connection, month.account).await?;
            let from_us = covered.map_or(month.from_us, |covered| covered.to_us.max(month.from_us));
            if from_us >= month.to_us {
                return Ok(false);
            }
            issue::prepare(&mut connection, Asked { from_us, ..month }).await
        };
        let prepared = match prepared {
            Err(problem) if problem.is(Kind::NothingToInvoice) => return Ok(false),
            // By somebody else, since it was looked at.
            Err(problem) if problem.is(Kind::PeriodInvoiced) => continue,
            prepared => prepared?,
        };
        let mut change = app.begin_own().await?;
        if issue::issue(&mut change, prepared).await?.is_some() {
            change.commit(Answer::no_content()).await?;
            return Ok(true);
        }
    }
    Err(Problem::new(Kind::Busy, "others issue invoices of this account; try again"))
}

/// When the month ends in which an instant lies.
fn end_of_month(us: i64, time_zone: &str) -> Result<i64, Problem> {
    let zone = TimeZone::get(time_zone).map_err(Problem::internal)?;
    let at = Timestamp::from_microsecond(us).map_err(Problem::internal)?.to_zoned(zone);
    Ok(Interval::Month.after(&at).map_err(Problem::internal)?.as_microsecond())
}
