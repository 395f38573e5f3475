//! `PATCH …/members/{user_id}`: another role for a member. The Owner stays the Owner until the
//! ownership is transferred.

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::json;

use super::{Member, Named};
use crate::Shared;
use crate::account::word;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::permission::Role;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Change a member's role", "Counts from the member's next request. The Owner stays the Owner until the ownership is transferred.")
        .body(
            schema::asked([("role", schema::word(&Role::WORDS[1..]).required())]),
            json!({"role": "viewer"}),
        )
        .answers(StatusCode::OK, "The member as it is now.", Member::schema())
        .refuses([Kind::OwnerRequired])
        .tagged()
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { user_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    // An Owner is made by a transfer only.
    let role = fields.required("role", values::word(&Role::WORDS[1..]));
    fields.finish()?;
    let role = word(Role::WORDS, &role.unwrap_or(Role::Viewer));
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let before = Member::load(change.connection(), account, &user_id).await?;
    request.preconditions.check(&before.tag()?)?;
    before.refuse_owner()?;
    sqlx::query("UPDATE memberships SET role = $1 WHERE account_id = $2 AND user_id = $3")
        .bind(role)
        .bind(account.to_string())
        .bind(user_id.as_str())
        .execute(change.connection())
        .await?;
    let after = Member::load(change.connection(), account, &user_id).await?;
    change
        .audit(Some(organization), "member.updated", &user_id, Some(&before), Some(&after))
        .await?;
    change.commit(Answer::ok(&after)?.tagged(&after.tag()?)?).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::permission::Role;
    use crate::testing::Harness;

    #[tokio::test]
    async fn another_role_counts_from_the_next_request_and_a_removal_too() {
        let harness = Harness::new().await;
        let organization = harness.organization_id.clone();
        let ana = harness.user("ana@example.com", &organization, Role::Admin).await;
        let cookie = harness.sign_in("ana@example.com").await;
        assert_eq!(harness.get_by(&cookie, "/v1/members").await.status, 200);
        let path = format!("/v1/members/{ana}");
        let body = json!({"role": "viewer"});
        let patched = harness.send(&harness.organization, "PATCH", &path, body).await;
        assert_eq!((patched.status, &patched.body["role"]), (200, &json!("viewer")));
        assert_eq!(harness.get_by(&cookie, "/v1/members").await.status, 403);
        assert_eq!(harness.get_by(&cookie, "/v1/organization").await.status, 200);
        let gone = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
        assert_eq!(harness.get_by(&cookie, "/v1/organization").await.status, 403);
        let again = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!((again.status, &again.body["reason"]), (404, &json!("unknown_member")));
        assert_eq!(harness.audit("member").await, ["updated", "removed"]);
    }

    #[tokio::test]
    async fn members_of_an_account_are_not_those_of_its_organization() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let ana = harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let bob = harness.user("bob@example.com", &id, Role::Admin).await;
        let (above, below) = ("/v1/members".to_owned(), format!("/v1/sub-accounts/{id}/members"));
        for (path, user, other) in [(&above, &ana, &bob), (&below, &bob, &ana)] {
            let listed = harness.get(&harness.organization, path).await;
            assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1), "{path}");
            assert_eq!(listed.body["data"][0]["user_id"], json!(user));
            let body = json!({"role": "member"});
            let path = format!("{path}/{other}");
            let refused = harness.send(&harness.organization, "PATCH", &path, body).await;
            assert_eq!((refused.status, &refused.body["reason"]), (404, &json!("unknown_member")));
        }
    }

    #[tokio::test]
    async fn a_deleted_account_has_no_members_any_more() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let (other, _) = harness.isolated(1).await;
        harness.user("bob@example.com", &id, Role::Admin).await;
        harness.user("carol@example.com", &id, Role::Admin).await;
        harness.user("carol@example.com", &other, Role::Viewer).await;
        let bob = harness.sign_in("bob@example.com").await;
        let carol = harness.sign_in("carol@example.com").await;
        let path = format!("/v1/sub-accounts/{id}");
        assert_eq!(harness.get_by(&bob, &path).await.status, 200);
        let gone = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
        let me = harness.get_by(&carol, "/v1/me").await;
        assert_eq!((me.status, &me.body["memberships"][0]["account"]), (200, &json!(other)));
        assert_eq!(me.body["memberships"].as_array().map(Vec::len), Some(1));
        assert_eq!(harness.get_by(&carol, &path).await.status, 404);
        assert_eq!(harness.get_by(&bob, "/v1/me").await.status, 401, "of nothing else");
    }
}
