//! `PATCH …/wallet`: from where on its balance is low.

use axum::extract::State;
use http::StatusCode;
use hub::money::Amount;
use serde_json::json;

use super::Shown;
use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    let low_balance = schema::amount(Amount::MAX)
        .or_null()
        .about("webhooks are told when the balance sinks to it; null: not at all");
    Operation::new("Change a wallet", "Says from where on its balance is low.")
        .body(schema::asked([("low_balance", low_balance)]), json!({"low_balance": "100"}))
        .answers(StatusCode::OK, "The wallet.", Shown::schema())
        .refuses([Kind::ConsolidatedBilling])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let low_balance = fields.given("low_balance", values::amount_above_zero);
    fields.finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let account = Account::load(change.connection(), id).await?;
    let before = super::own(change.connection(), &account).await?;
    let after = Wallet { low_balance: low_balance.merged(before.low_balance), ..before };
    sqlx::query("UPDATE wallets SET low_balance = $1 WHERE account_id = $2")
        .bind(after.low_balance.map(Amount::micros))
        .bind(id.to_string())
        .execute(change.connection())
        .await?;
    let (was, shown) = (Shown::now(&app, &before).await, Shown::now(&app, &after).await);
    change
        .audit(Some(organization), "wallet.updated", &id.to_string(), Some(&was), Some(&shown))
        .await?;
    change.commit(Answer::ok(&shown)?).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn the_line_of_a_low_balance_is_set_and_removed() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/wallet");
        for (body, shown) in [
            (json!({"low_balance": "12.5"}), json!("12.50")),
            (json!({}), json!("12.50")),
            (json!({"low_balance": null}), Value::Null),
        ] {
            let answered = harness.send(&harness.organization, "PATCH", &path, body).await;
            assert_eq!((answered.status, &answered.body["low_balance"]), (200, &shown));
            let read = harness.get(&harness.organization, &path).await;
            assert_eq!(read.body["low_balance"], shown);
        }
        let body = json!({"low_balance": "-1"});
        let refused = harness.send(&harness.organization, "PATCH", &path, body).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["low_balance".into()]));
    }
}
