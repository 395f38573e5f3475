//! `POST /v1/members/{user_id}/transfer-ownership`: the member becomes the Owner, and who was it an
//! Admin. At no moment are there two, or none.

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::json;
use sqlx::Row as _;

use super::{Member, Named};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Transfer the ownership",
        "The member becomes the Owner, and who was it an Admin.",
    )
    .body(schema::nothing(), json!({}))
    .answers(StatusCode::OK, "The new Owner.", Member::schema())
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { user_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let organization = request.access.organization()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    // Its turn has come: of two transfers at once the second is asked by an Admin.
    request.access.refuse_former_owner(change.connection(), organization).await?;
    let before = Member::load(change.connection(), organization, &user_id).await?;
    let former = sqlx::query(
        "UPDATE memberships SET role = 'admin' WHERE account_id = $1 AND role = 'owner' RETURNING user_id",
    )
    .bind(organization.to_string())
    .fetch_optional(change.connection())
    .await?;
    sqlx::query("UPDATE memberships SET role = 'owner' WHERE account_id = $1 AND user_id = $2")
        .bind(organization.to_string())
        .bind(user_id.as_str())
        .execute(change.connection())
        .await?;
    if let Some(row) = former {
        let former: String = row.try_get("user_id")?;
        if former != user_id {
            let after = Member::load(change.connection(), organization, &former).await?;
            change
                .audit(Some(organization), "member.updated", &former, None::<&Member>, Some(&after))
                .await?;
        }
    }
    let after = Member::load(change.connection(), organization, &user_id).await?;
    change
        .audit(Some(organization), "ownership.transferred", &user_id, Some(&before), Some(&after))
        .await?;
    change.commit(Answer::ok(&after)?).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::permission::Role;
    use crate::testing::Harness;

    #[tokio::test]
    async fn the_owner_alone_gives_the_ownership_away_and_is_an_admin_then() {
        let harness = Harness::new().await;
        let organization = harness.organization_id.clone();
        let ana = harness.user("ana@example.com", &organization, Role::Owner).await;
        let bob = harness.user("bob@example.com", &organization, Role::Viewer).await;
        let owner = harness.sign_in("ana@example.com").await;
        for (method, path, body) in [
            ("DELETE", format!("/v1/members/{ana}"), Value::Null),
            ("PATCH", format!("/v1/members/{ana}"), json!({"role": "admin"})),
        ] {
            let refused = harness.send(&harness.organization, method, &path, body).await;
            assert_eq!((refused.status, &refused.body["reason"]), (409, &json!("owner_required")));
        }
        let unknown = "/v1/members/user_unknown/transfer-ownership";
        assert_eq!(harness.send_by(&owner, "POST", unknown, Value::Null).await.status, 404);
        let path = format!("/v1/members/{bob}/transfer-ownership");
        let moved = harness.send_by(&owner, "POST", &path, Value::Null).await;
        assert_eq!((moved.status, &moved.body["role"]), (200, &json!("owner")), "{}", moved.body);
        let refused = harness.send_by(&owner, "POST", &path, Value::Null).await;
        assert_eq!(refused.status, 403, "an Admin by now");
        let listed = harness.get_by(&owner, "/v1/members").await;
        for member in listed.body["data"].as_array().expect("members") {
            let role = if member["user_id"] == json!(bob) { "owner" } else { "admin" };
            assert_eq!(member["role"], json!(role));
        }
    }

    #[tokio::test]
    async fn of_transfers_at_once_one_owner_comes_out() {
        let harness = std::sync::Arc::new(Harness::new().await);
        let organization = harness.organization_id.clone();
        harness.user("ana@example.com", &organization, Role::Owner).await;
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..8 {
            let email = format!("member{number}@example.com");
            let id = harness.user(&email, &organization, Role::Member).await;
            let harness = std::sync::Arc::clone(&harness);
            requests.spawn(async move {
                let path = format!("/v1/members/{id}/transfer-ownership");
                harness.send(&harness.organization, "POST", &path, Value::Null).await.status
            });
        }
        assert!(requests.join_all().await.iter().all(|status| *status == 200));
        let listed = harness.get(&harness.organization, "/v1/members").await;
        let members = listed.body["data"].as_array().expect("members");
        let owners = members.iter().filter(|member| member["role"] == json!("owner")).count();
        assert_eq!(owners, 1, "{}", listed.body);
    }
}
