//! `POST /v1/sub-accounts/{id}/suspend` and `…/reactivate`; the same of a workspace. Repeating either
//! changes nothing. A suspended
//! account starts no calls; what becomes of its live ones is `live_calls`: `drain` (they go on until
//! they end) or `end` (each renew is answered 410, so that its stack ends it; slot and hold count until
//! it is released or its lease runs out).

use axum::extract::State;
use http::StatusCode;
use hub::directory::{Change as Published, Status};
use serde_json::json;

use super::{Deed, Settings, Shown, note};
use crate::Shared;
use crate::account::{Account, LIVE_CALLS, Organization};
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::ledger::Wallet;
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;
use crate::webhooks::EventKind;

pub(crate) fn describe_suspend() -> Operation {
    let live_calls = schema::word(LIVE_CALLS).about(
        "drain: they go on until they end (unless said otherwise before); end: each renew is answered 410, so that its stack ends it",
    );
    describe("Suspend a sub-account", "No new call starts, within 500 ms at every gateway.")
        .body(schema::asked([("live_calls", live_calls)]), json!({"live_calls": "drain"}))
}

pub(crate) fn describe_reactivate() -> Operation {
    describe("Reactivate a sub-account", "Calls start again.")
}

fn describe(summary: &'static str, about: &str) -> Operation {
    Operation::new(summary, format!("{about} Repeating it changes nothing."))
        .body(schema::nothing(), json!({}))
        .answers(StatusCode::OK, "The sub-account as it is now.", Shown::schema())
        .tagged()
}

pub(crate) async fn suspend(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let asked = fields.optional("live_calls", values::word(LIVE_CALLS));
    fields.finish()?;
    let suspended = |account: &Account| match asked {
        Some(status) => status,
        None if account.status == Status::Active => Status::Suspended,
        None => account.status,
    };
    set(&app, &request, suspended, Deed::Suspended).await
}

pub(crate) async fn reactivate(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    set(&app, &request, |_| Status::Active, Deed::Reactivated).await
}

async fn set(
    app: &Shared,
    request: &Request,
    status: impl Fn(&Account) -> Status,
    deed: Deed,
) -> Result<Answer, Problem> {
    let id = request.access.account()?;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut account = Account::load(change.connection(), id).await?;
    let organization = Organization::load(change.connection(), account.organization).await?;
    let wallet = Wallet::find(change.connection(), id).await?;
    let before = Settings::of(&account, organization.currency);
    request.preconditions.check(&Tag::of(&before)?)?;
    let status = status(&account);
    if account.status != status {
        account.status = status;
        account.update(change.connection(), now_us).await?;
        let after = Settings::of(&account, organization.currency);
        note(&mut change, deed, &account, Some(&before), Some(&after)).await?;
        if status == Status::Ending {
            let live = app.hub.account_use(organization.id, id).await.map(|calls| calls.live);
            let data = json!({"live_calls": live, "cause": "suspended"});
            change.tell(EventKind::CallMustEnd, id, organization.id, &data)?;
        }
    }
    // Also when nothing changed: the hub may not have heard of it the last time.
    change.publish(Published::Account(account.config()));
    let shown = Shown::now(app, &account, organization.currency, wallet.as_ref()).await;
    change.commit(Answer::ok(&shown)?.tagged(&shown.tag()?)?).await
}

#[cfg(test)]
mod tests {
    use hub::directory::{Change, Status};
    use serde_json::{Value, json};

    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn suspending_and_reactivating_are_told_to_the_hub_and_may_be_repeated() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        for (verb, shown, status) in [
            ("suspend", "suspended", Status::Suspended),
            ("suspend", "suspended", Status::Suspended),
            ("reactivate", "active", Status::Active),
        ] {
            let path = format!("/v1/sub-accounts/{id}/{verb}");
            let answered = harness.send(&harness.organization, "POST", &path, Value::Null).await;
            assert_eq!((answered.status, &answered.body["status"]), (200, &json!(shown)));
            let last = harness.heard.lock().last().cloned();
            assert!(matches!(last, Some(Change::Account(account)) if account.status == status));
        }
        let path = format!("/v1/sub-accounts/{id}/suspend");
        let body = json!({"why": 1, "live_calls": "stop"});
        let refused = harness.send(&harness.organization, "POST", &path, body).await;
        assert_eq!(named(&refused.body), ["live_calls", "why"]);
    }

    #[tokio::test]
    async fn live_calls_drain_unless_they_are_to_end() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        for (verb, body, live_calls, status) in [
            ("suspend", Value::Null, json!("drain"), Status::Suspended),
            ("suspend", json!({"live_calls": "end"}), json!("end"), Status::Ending),
            ("suspend", Value::Null, json!("end"), Status::Ending),
            ("suspend", json!({"live_calls": "drain"}), json!("drain"), Status::Suspended),
            ("suspend", json!({"live_calls": "end"}), json!("end"), Status::Ending),
            ("reactivate", Value::Null, Value::Null, Status::Active),
        ] {
            let path = format!("/v1/sub-accounts/{id}/{verb}");
            let answered = harness.send(&harness.organization, "POST", &path, body).await;
            assert_eq!((answered.status, &answered.body["live_calls"]), (200, &live_calls));
            let path = format!("/v1/sub-accounts/{id}");
            let read = harness.get(&harness.organization, &path).await;
            assert_eq!(read.body["live_calls"], live_calls);
            let last = harness.heard.lock().last().cloned();
            assert!(matches!(last, Some(Change::Account(account)) if account.status == status));
        }
    }
}
