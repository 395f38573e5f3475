//! `DELETE /sub-accounts/{id}`. Live calls and money that is left need the native API's `?force=true`
//! and `?balance=refund|forfeit` here too: they are not given away silently.

use axum::extract::State;
use http::StatusCode;
use serde_json::json;

use super::refusal::Refusal;
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::problem::Kind;
use crate::request::Request;
use crate::sub_accounts::delete::{Terms, carry_out};

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Delete a sub-account",
        "Live calls and money that is left take `force=true` and `balance` here too.",
    )
    .query(Terms::parameters())
    .answers(
        StatusCode::OK,
        "Done.",
        schema::answered([
            ("message", schema::labels(["success"])),
            ("state", schema::labels(["deleted"])),
        ]),
    )
    .refuses([Kind::LiveCalls, Kind::BalanceLeft, Kind::PreconditionFailed])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let mut query = request.lenient_query();
    let terms = Terms::read(&mut query);
    query.finish()?;
    let done = Answer::ok(&json!({"message": "success", "state": "deleted"}))?;
    Ok(carry_out(&app, &request, &terms, done).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Harness;
    use crate::testing::compatibility::{account, uuid_path};

    #[tokio::test]
    async fn a_deleted_account_is_gone_on_both_surfaces_with_its_key() {
        let harness = Harness::new().await;
        let made = account(&harness, json!({"allow_concurrent_calls": 100})).await;
        let json = [("content-type", "application/json")];
        let by_itself = harness.send_with(&made.key, "DELETE", &made.path, &json, Vec::new()).await;
        assert_eq!((by_itself.status, &by_itself.body["error"]), (403, &json!(403)));
        let deleted =
            harness.send_with(&harness.organization, "DELETE", &made.path, &json, Vec::new()).await;
        let body = json!({"message": "success", "state": "deleted"});
        assert_eq!((deleted.status, deleted.body), (200, body));
        assert_eq!(harness.get(&harness.organization, &made.native_path).await.status, 404);
        let again =
            harness.send_with(&harness.organization, "DELETE", &made.path, &json, Vec::new()).await;
        assert_eq!((again.status, &again.body["error"]), (404, &json!(404)));
        let unknown = harness.get(&made.key, "/user/me").await;
        let body = json!({"error": 401, "message": "Access denied"});
        assert_eq!((unknown.status, unknown.body), (401, body));
        account(&harness, json!({"allow_concurrent_calls": 100})).await;
    }

    #[tokio::test]
    async fn money_that_is_left_is_not_given_away_silently() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        harness.recharge(&id, "12.5").await;
        let path = uuid_path(&id);
        let refused =
            harness.send_with(&harness.organization, "DELETE", &path, &[], Vec::new()).await;
        assert_eq!((refused.status, &refused.body["error"]), (409, &json!(409)));
        assert!(refused.body["message"].as_str().is_some_and(|said| said.contains("12.50 INR")));
        let path = format!("{path}?balance=refund&reason=moved");
        let deleted =
            harness.send_with(&harness.organization, "DELETE", &path, &[], Vec::new()).await;
        assert_eq!(deleted.status, 200);
        harness.assert_ledger_balances().await;
    }
}
