//! `PATCH /sub-accounts/{id}`: another name, other slots, or both.

use axum::extract::State;
use http::StatusCode;
use serde_json::json;

use super::concurrency;
use super::refusal::Refusal;
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::problem::Kind;
use crate::request::Request;
use crate::sub_accounts::patch::{Patch, carry_out};

pub(crate) fn describe() -> Operation {
    let name = ("name", schema::name().or_null());
    Operation::new("Change a sub-account", "Its name, its slots, or both.")
        .body(
            schema::asked_leniently([name].into_iter().chain(concurrency::members())),
            json!({"min_concurrency": 5, "max_concurrency": 20}),
        )
        .answers(
            StatusCode::OK,
            "Done.",
            schema::answered([
                ("message", schema::labels(["success"])),
                ("state", schema::labels(["updated"])),
            ]),
        )
        .refuses([Kind::OverAllocation, Kind::PreconditionFailed])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let mut fields = request.lenient_body()?;
    let name = fields.given("name", values::name).value();
    let allocation = concurrency::read(&mut fields);
    fields.finish()?;
    if name.is_none() && allocation.is_absent() {
        return Err(Refusal::NoFields);
    }
    let patch = Patch { name, allocation, ..Patch::default() };
    let done = |_: &_| Answer::ok(&json!({"message": "success", "state": "updated"}));
    Ok(carry_out(&app, &request, patch, done).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::compatibility::account;
    use crate::testing::{Harness, text};

    #[tokio::test]
    async fn what_is_given_is_changed_and_the_native_api_shows_it() {
        let harness = Harness::new().await;
        let made = account(&harness, json!({"min_concurrency": 5, "max_concurrency": 20})).await;
        for (body, shown) in [
            (json!({"name": "new"}), json!(["new", 5, 20])),
            (json!({"max_concurrency": 30, "metadata": {"x": 1}}), json!(["new", 5, 30])),
            (json!({"min_concurrency": 6, "name": null}), json!(["new", 6, 30])),
            (json!({"max_concurrency": null}), json!(["new", 6, null])),
            (json!({"allow_concurrent_calls": 8}), json!(["new", 8, 8])),
            (
                json!({"name": "last", "min_concurrency": 0, "max_concurrency": 0}),
                json!(["last", 0, 0]),
            ),
        ] {
            let changed =
                harness.send(&harness.organization, "PATCH", &made.path, body.clone()).await;
            assert_eq!(
                (changed.status, changed.body),
                (200, json!({"message": "success", "state": "updated"})),
                "{body}"
            );
            let read = harness.get(&harness.organization, &made.native_path).await;
            let names = ["name", "min_concurrency", "max_concurrency"];
            assert_eq!(json!(names.map(|name| read.body[name].clone())), shown, "{body}");
        }
    }

    #[tokio::test]
    async fn refusals_have_the_documented_bodies() {
        let harness = Harness::new().await;
        account(&harness, json!({"allow_concurrent_calls": 85})).await;
        let made = account(&harness, json!({"allow_concurrent_calls": 5})).await;
        let key = &harness.organization;
        let details =
            json!({"requested": 50, "available": 15, "account_limit": 100, "subaccount_usage": 85});
        for body in [
            json!({"allow_concurrent_calls": 50}),
            json!({"min_concurrency": 50, "max_concurrency": null}),
        ] {
            let over = harness.send(key, "PATCH", &made.path, body).await;
            let expected = json!({"message": "Concurrency limit exceeded", "details": details});
            assert_eq!((over.status, over.body), (400, expected));
        }
        let nothing = json!({"error": "No valid fields provided", "status": "failure"});
        for body in [json!({}), Value::Null, json!({"name": null, "colour": 1})] {
            let refused = harness.send(key, "PATCH", &made.path, body).await;
            assert_eq!((refused.status, refused.body), (400, nothing.clone()));
        }
        let above = harness.send(key, "PATCH", &made.path, json!({"min_concurrency": 6})).await;
        assert_eq!((above.status, &above.body["error"]), (400, &json!(400)));
        assert!(text(&above.body["message"]).contains("above the cap (5)"), "{}", above.body);
        let forbidden = harness.send(&made.key, "PATCH", &made.path, json!({"name": "mine"})).await;
        let message = "Forbidden: only organization admins can manage sub-account concurrency";
        assert_eq!((forbidden.status, forbidden.body), (403, json!({"message": message})));
        let unknown = "/sub-accounts/0192f0c4-1234-5678-9abc-def013579bdf";
        let missing = harness.send(key, "PATCH", unknown, json!({"name": "x"})).await;
        assert_eq!((missing.status, &missing.body["error"]), (404, &json!(404)));
    }
}
