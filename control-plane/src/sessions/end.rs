//! `DELETE /v1/sessions/current` and `DELETE /v1/sessions`: the session of the request ends, or all
//! sessions of its user.

use axum::extract::State;
use serde::Serialize;
use serde_json::json;

use super::cookie;
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

/// What the audit says of a session.
#[derive(Serialize)]
struct Audited<'a> {
    session_id: &'a str,
}

pub(crate) fn describe_current() -> Operation {
    describe("Sign out", "The session of the request ends.")
}

pub(crate) fn describe_all() -> Operation {
    describe("Sign out everywhere", "All sessions of the user end.")
}

fn describe(summary: &'static str, about: &str) -> Operation {
    Operation::new(summary, about)
        .body(schema::nothing(), json!({}))
        .answers_nothing("Ended.")
        .with_header("Set-Cookie", schema::text().about("removes the cookie"))
}

pub(crate) async fn current(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let user = request.access.user()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let id = &request.access.principal.id;
    sqlx::query("DELETE FROM sessions WHERE id = $1")
        .bind(id.as_str())
        .execute(change.connection())
        .await?;
    let before = Audited { session_id: id };
    change.audit(None, "session.ended", &user.id, Some(&before), None::<&Audited>).await?;
    let forgotten = cookie::header("", 0, app.serves_tls)?;
    Ok(change.commit(Answer::no_content()).await?.with_cookie(forgotten))
}

pub(crate) async fn all(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let user = request.access.user()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    super::end_all(change.connection(), &user.id, now_us).await?;
    change.audit(None, "sessions.ended", &user.id, None::<&()>, None::<&()>).await?;
    let forgotten = cookie::header("", 0, app.serves_tls)?;
    Ok(change.commit(Answer::no_content()).await?.with_cookie(forgotten))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::permission::Role;
    use crate::testing::Harness;

    #[tokio::test]
    async fn one_session_ends_or_all_of_the_user_and_nobody_elses() {
        let harness = Harness::new().await;
        for email in ["ana@example.com", "bob@example.com"] {
            harness.user(email, &harness.organization_id, Role::Viewer).await;
        }
        let [first, second, third] = [
            harness.sign_in("ana@example.com").await,
            harness.sign_in("ana@example.com").await,
            harness.sign_in("ana@example.com").await,
        ];
        let other = harness.sign_in("bob@example.com").await;
        let ended = harness.send_by(&first, "DELETE", "/v1/sessions/current", Value::Null).await;
        assert_eq!(ended.status, 204, "{}", ended.body);
        assert!(ended.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
        assert_eq!(harness.get_by(&first, "/v1/me").await.status, 401);
        assert_eq!(harness.get_by(&second, "/v1/me").await.status, 200);
        let ended = harness.send_by(&second, "DELETE", "/v1/sessions", Value::Null).await;
        assert_eq!(ended.status, 204, "{}", ended.body);
        for (cookie, status) in [(&second, 401), (&third, 401), (&other, 200)] {
            assert_eq!(harness.get_by(cookie, "/v1/me").await.status, status);
        }
        let audit = harness.audit("session").await;
        assert_eq!(audit, ["created", "created", "created", "created", "ended"]);
    }
}
