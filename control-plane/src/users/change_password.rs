//! `POST /v1/me/password`: another password for the user who has signed in and knows the present one.
//! Its other sessions end; API tokens stay, they are listed and revoked by themselves.

use axum::extract::State;
use serde_json::json;

use super::password;
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;
use crate::sessions;

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        (
            "password",
            schema::characters(1..=password::BYTES_MAX).required().about("the present one"),
        ),
        (
            "new_password",
            schema::characters(password::CHARACTERS_MIN..=password::BYTES_MAX).required(),
        ),
    ]);
    Operation::new("Change one's password", "All other sessions of the user end.")
        .body(body, json!({"password": "…", "new_password": "correct horse battery staple"}))
        .answers_nothing("It is changed.")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let present = fields.required_secret("password", password::presented);
    let new = fields.required_secret("new_password", |raw| {
        password::presented(raw).and_then(password::long_enough)
    });
    fields.finish()?;
    let user = request.access.user()?;
    sessions::create::authenticate(&app, &request, user.email.clone(), present.unwrap_or_default())
        .await?;
    let hash = app.passwords.hash(new.unwrap_or_default()).await?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    super::set_password(&mut change, &user.id, &hash).await?;
    sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2")
        .bind(user.id.as_str())
        .bind(request.access.principal.id.as_str())
        .execute(change.connection())
        .await?;
    change.audit(None, "password.changed", &user.id, None::<&()>, None::<&()>).await?;
    change.commit(Answer::no_content()).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::permission::Role;
    use crate::testing::people::PASSWORD;
    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn who_knows_the_password_sets_another_and_other_sessions_end() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Viewer).await;
        let [cookie, other] =
            [harness.sign_in("ana@example.com").await, harness.sign_in("ana@example.com").await];
        let path = "/v1/me/password";
        let short = json!({"password": PASSWORD, "new_password": "short"});
        let refused = harness.send_by(&cookie, "POST", path, short).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["new_password".to_owned()]));
        let wrong = json!({"password": "wrong password", "new_password": "another password"});
        assert_eq!(harness.send_by(&cookie, "POST", path, wrong).await.status, 401);
        let body = json!({"password": PASSWORD, "new_password": "another password"});
        let changed = harness.send_by(&cookie, "POST", path, body).await;
        assert_eq!(changed.status, 204, "{}", changed.body);
        assert_eq!(harness.get_by(&cookie, "/v1/me").await.status, 200);
        assert_eq!(harness.get_by(&other, "/v1/me").await.status, 401);
        for (password, status) in [(PASSWORD, 401), ("another password", 201)] {
            let body = json!({"email": "ana@example.com", "password": password});
            assert_eq!(harness.send("", "POST", "/v1/sessions", body).await.status, status);
        }
        assert_eq!(harness.audit("password").await, ["changed"]);
    }
}
