//! `POST /v1/sub-accounts/{id}/suspend` and `…/reactivate`. Repeating either changes nothing.

use axum::extract::State;
use hub::directory::{Change as Published, Status};

use super::{Settings, Shown};
use crate::Shared;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::change::Begun;
use crate::ledger::Wallet;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) async fn suspend(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    set(&app, &request, Status::Suspended, "sub_account.suspended").await
}

pub(crate) async fn reactivate(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    set(&app, &request, Status::Active, "sub_account.reactivated").await
}

async fn set(
    app: &Shared,
    request: &Request,
    status: Status,
    action: &'static str,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let id = request.access.account()?;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut account = Account::load(change.connection(), id).await?;
    let organization = Organization::load(change.connection(), account.organization).await?;
    let wallet = Wallet::find(change.connection(), id).await?;
    if account.status != status {
        let before = Settings::of(&account, organization.currency);
        account.status = status;
        account.update(change.connection(), now_us).await?;
        let after = Settings::of(&account, organization.currency);
        change
            .audit(Some(organization.id), action, &id.to_string(), Some(&before), Some(&after))
            .await?;
    }
    // Also when nothing changed: the hub may not have heard of it the last time.
    change.publish(Published::Account(account.config()));
    let shown = Shown::now(app, &account, organization.currency, wallet.as_ref()).await;
    change.commit(Answer::ok(&shown)?).await
}

#[cfg(test)]
mod tests {
    use hub::directory::{Change, Status};
    use serde_json::{Value, json};

    use crate::testing::Harness;

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
        let refused = harness.send(&harness.organization, "POST", &path, json!({"why": 1})).await;
        assert_eq!(refused.status, 400);
    }
}
