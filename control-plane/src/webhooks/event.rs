//! What webhooks are told of, and how an event becomes deliveries.

use hub::id::AccountId;
use serde::Serialize;
use serde_json::{Value as Json, json};
use sqlx::{AnyConnection, Row as _};

use super::{PENDING_MAX, schedule};
use crate::id::new_id;
use crate::problem::Problem;
use crate::store::rows::{self, Value};
use crate::timestamp;

/// A kind of event, by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    CallCompleted,
    CallCorrected,
    CallMustEnd,
    AccountCreated,
    AccountUpdated,
    AccountSuspended,
    AccountReactivated,
    AccountDeleted,
    KeyCreated,
    KeyRotated,
    KeyRevoked,
    BalanceLow,
    BalanceEmpty,
    BudgetReached,
    RechargeWanted,
    LimitReached,
    InvoiceIssued,
    CreditNoteIssued,
    Test,
}

impl EventKind {
    /// All that can be subscribed to. A test is sent to whom it tests.
    pub(crate) const ALL: [Self; 18] = [
        Self::CallCompleted,
        Self::CallCorrected,
        Self::CallMustEnd,
        Self::AccountCreated,
        Self::AccountUpdated,
        Self::AccountSuspended,
        Self::AccountReactivated,
        Self::AccountDeleted,
        Self::KeyCreated,
        Self::KeyRotated,
        Self::KeyRevoked,
        Self::BalanceLow,
        Self::BalanceEmpty,
        Self::BudgetReached,
        Self::RechargeWanted,
        Self::LimitReached,
        Self::InvoiceIssued,
        Self::CreditNoteIssued,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CallCompleted => "call.completed",
            Self::CallCorrected => "call.corrected",
            Self::CallMustEnd => "call.must_end",
            Self::AccountCreated => "account.created",
            Self::AccountUpdated => "account.updated",
            Self::AccountSuspended => "account.suspended",
            Self::AccountReactivated => "account.reactivated",
            Self::AccountDeleted => "account.deleted",
            Self::KeyCreated => "api_key.created",
            Self::KeyRotated => "api_key.rotated",
            Self::KeyRevoked => "api_key.revoked",
            Self::BalanceLow => "balance.low",
            Self::BalanceEmpty => "balance.empty",
            Self::BudgetReached => "budget.reached",
            Self::RechargeWanted => "recharge.wanted",
            Self::LimitReached => "limit.reached",
            Self::InvoiceIssued => "invoice.issued",
            Self::CreditNoteIssued => "credit_note.issued",
            Self::Test => "webhook.test",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that happened to an account.
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) account: AccountId,
    pub(crate) organization: AccountId,
    pub(crate) data: Json,
}

impl Event {
    pub(crate) fn new(
        kind: EventKind,
        account: AccountId,
        organization: AccountId,
        data: &impl Serialize,
    ) -> Result<Self, Problem> {
        let data = serde_json::to_value(data).map_err(Problem::internal)?;
        Ok(Self { kind, account, organization, data })
    }

    /// What is sent: `type`, `timestamp` and `data` as Standard Webhooks names them.
    pub(super) fn body(&self, now_us: i64) -> String {
        json!({
            "type": self.kind.name(),
            "timestamp": timestamp::exact(now_us),
            "organization_id": self.organization.to_string(),
            "account_id": self.account.to_string(),
            "data": self.data,
        })
        .to_string()
    }
}

/// The kinds out of their column.
pub(super) fn of_text(list: &str) -> Result<Vec<EventKind>, Problem> {
    let names: Vec<String> = serde_json::from_str(list).map_err(Problem::internal)?;
    Ok(names.iter().filter_map(|name| EventKind::named(name)).collect())
}

/// As they stand there.
pub(super) fn text(kinds: &[EventKind]) -> String {
    json!(kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>()).to_string()
}

/// Stores events, in order, once for every active webhook of their account or organization that wants
/// them; for how many in all.
pub(crate) async fn store(
    connection: &mut AnyConnection,
    events: &[Event],
    now_us: i64,
) -> Result<usize, Problem> {
    let mut stored = 0;
    for event in events {
        for webhook in wanting(connection, event.kind, event.account, event.organization).await? {
            stored += usize::from(deliver(connection, &webhook, event, now_us).await?.is_some());
        }
    }
    Ok(stored)
}

/// The active webhooks of an account and its organization that want events of a kind.
pub(crate) async fn wanting(
    connection: &mut AnyConnection,
    kind: EventKind,
    account: AccountId,
    organization: AccountId,
) -> Result<Vec<String>, Problem> {
    let rows = sqlx::query(
        "SELECT id, events FROM webhooks WHERE account_id IN ($1, $2) AND is_active = 1",
    )
    .bind(account.to_string())
    .bind(organization.to_string())
    .fetch_all(connection)
    .await?;
    let mut wanting = Vec::new();
    for row in rows {
        if of_text(&row.try_get::<String, _>("events")?)?.contains(&kind) {
            wanting.push(row.try_get("id")?);
        }
    }
    Ok(wanting)
}

/// Stores an event for one webhook, unless too many wait there.
pub(super) async fn deliver(
    connection: &mut AnyConnection,
    webhook: &str,
    event: &Event,
    now_us: i64,
) -> Result<Option<String>, Problem> {
    let taken = sqlx::query(
        "UPDATE webhooks SET pending = pending + 1, \
         due_us = CASE WHEN due_us < $1 THEN due_us ELSE $1 END WHERE id = $2 AND pending < $3",
    )
    .bind(now_us)
    .bind(webhook)
    .bind(PENDING_MAX)
    .execute(&mut *connection)
    .await?;
    if taken.rows_affected() == 0 {
        sqlx::query("UPDATE webhooks SET dropped = dropped + 1 WHERE id = $1")
            .bind(webhook)
            .execute(connection)
            .await?;
        return Ok(None);
    }
    let id = new_id("msg", now_us);
    let row = vec![
        Value::Text(&id),
        Value::Text(webhook),
        Value::Text(event.kind.name()),
        Value::OwnedText(event.body(now_us)),
        Value::Text(schedule::PENDING),
        Value::Int(0),
        Value::Int(now_us),
        Value::Int(now_us),
    ];
    rows::write(
        connection,
        "INSERT INTO webhook_deliveries (id, webhook_id, event, body, status, tries, due_us, created_us)",
        &[row],
        "",
    )
    .await?;
    Ok(Some(id))
}
