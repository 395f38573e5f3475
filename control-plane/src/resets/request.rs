//! `POST /v1/password-resets`: asks for a link by mail. The answer is the same, and the same work is
//! done for it, whether or not anybody has the e-mail: that is looked at when the mail is written.

use axum::extract::State;
use http::{HeaderValue, header};
use hub::clock::now_us;
use serde_json::json;

use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::mail::outbox;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::users;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Ask for a password reset",
        "A mail with a link goes to the user of the address. The answer is the same when there is none.",
    )
    .body(schema::asked([("email", schema::email().required())]), json!({"email": "ana@example.com"}))
    .answers_nothing("It is noted.")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let email = fields.required("email", users::email);
    fields.finish()?;
    let email = email.unwrap_or_default();
    // Never taken back: every request counts.
    app.resets.begin(&email, request.source, now_us()).map_err(|retry_after_s| {
        Problem::new(Kind::RateLimited, "too many password resets were asked for; try again later")
            .with("retry_after_s", retry_after_s)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    })?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    outbox::note(change.connection(), outbox::Kind::PasswordReset, &email, now_us).await?;
    change.commit(Answer::no_content()).await
}
