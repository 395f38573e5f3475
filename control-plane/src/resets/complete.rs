//! `POST /v1/password-resets/complete`: sets another password by the link of a mail. Whoever may have
//! known the old one is out: all sessions and API tokens of the user end.

use axum::extract::State;
use hub::clock::now_us;
use hub::key::KeyHash;
use serde_json::json;

use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::keys::hex;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::users::password;
use crate::{sessions, tokens, users};

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("token", schema::characters(1..=values::TOKEN_BYTES_MAX).required().about("of the link")),
        ("password", schema::characters(password::CHARACTERS_MIN..=password::BYTES_MAX).required()),
    ]);
    Operation::new(
        "Set another password by a link",
        "The link counts once, for an hour. All sessions and API tokens of the user end.",
    )
    .body(body, json!({"token": "…", "password": "correct horse battery staple"}))
    .answers_nothing("It is set.")
    .refuses([Kind::UnknownReset])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let token = fields.required_secret("token", values::one_time_token);
    let password = fields.required_secret("password", |raw| {
        password::presented(raw).and_then(password::long_enough)
    });
    fields.finish()?;
    let hash = hex(KeyHash::of(token.unwrap_or_default().as_bytes()));
    {
        // Before any work is done for it.
        let mut connection = app.store.read().await?;
        super::user(&mut connection, &hash, now_us()).await?.ok_or_else(unknown)?;
    }
    let password_hash = app.passwords.hash(password.unwrap_or_default()).await?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let found = super::user(change.connection(), &hash, now_us).await?;
    let (user_id, email) = found.ok_or_else(unknown)?;
    change.act_as(&user_id);
    users::set_password(&mut change, &user_id, &password_hash).await?;
    sessions::end_all(change.connection(), &user_id, now_us).await?;
    tokens::end_all(change.connection(), &user_id).await?;
    change.audit(None, "password.reset", &user_id, None::<&()>, None::<&()>).await?;
    let answer = change.commit(Answer::no_content()).await?;
    app.attempts.succeeded(&email, request.source);
    Ok(answer)
}

fn unknown() -> Problem {
    Problem::new(
        Kind::UnknownReset,
        "the link was used or replaced, or its time is over: ask for another",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::mail::send;
    use crate::permission::Role;
    use crate::testing::Harness;
    use crate::testing::people::PASSWORD;

    const NEW: &str = "another battery staple";

    #[tokio::test]
    async fn a_forgotten_password_is_replaced_once_and_everything_of_before_ends() {
        let (harness, mut server) = Harness::with_mail().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let cookie = harness.sign_in("ana@example.com").await;
        let made = harness.send_by(&cookie, "POST", "/v1/me/tokens", json!({"name": "ci"})).await;
        let api_token = made.body["secret"].as_str().expect("a secret").to_owned();
        let body = json!({"email": "Ana@example.com"});
        let asked = harness.send("", "POST", "/v1/password-resets", body).await;
        assert_eq!((asked.status, asked.bytes.len()), (204, 0));
        send::next(&harness.plane.app).await.expect("sent");
        let mail = server.next().await;
        assert_eq!(mail.to, ["ana@example.com"]);
        let token = mail.token();
        let path = "/v1/password-resets/complete";
        let short = json!({"token": token, "password": "short"});
        let refused = harness.send("", "POST", path, short).await;
        assert_eq!(refused.status, 400);
        assert!(!refused.body.to_string().contains(&token), "{}", refused.body);
        let body = json!({"token": token, "password": NEW});
        assert_eq!(harness.send("", "POST", path, body.clone()).await.status, 204);
        assert_eq!(harness.get_by(&cookie, "/v1/me").await.status, 401);
        assert_eq!(harness.get(&api_token, "/v1/me").await.status, 401);
        for (password, status) in [(PASSWORD, 401), (NEW, 201)] {
            let body = json!({"email": "ana@example.com", "password": password});
            assert_eq!(harness.send("", "POST", "/v1/sessions", body).await.status, status);
        }
        let again = harness.send("", "POST", path, body).await;
        assert_eq!((again.status, &again.body["reason"]), (404, &json!("unknown_password_reset")));
        assert_eq!(harness.audit("password_reset").await, ["sent"]);
        assert_eq!(harness.audit("password").await, ["reset"]);
    }

    #[tokio::test]
    async fn nobody_learns_who_is_a_user_and_every_request_counts() {
        let (harness, mut server) = Harness::with_mail().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        for email in ["ana@example.com", "nobody@example.com"] {
            let mut statuses = Vec::new();
            for _ in 0..4 {
                let body = json!({"email": email});
                let asked = harness.send("", "POST", "/v1/password-resets", body).await;
                statuses.push((asked.status, asked.bytes.is_empty()));
                if asked.status == 429 {
                    assert!(asked.headers.contains_key("retry-after"));
                }
            }
            assert_eq!(statuses, [(204, true), (204, true), (204, true), (429, false)], "{email}");
        }
        while send::next(&harness.plane.app).await.expect("sent") != send::Outcome::Nothing {}
        assert_eq!(server.next().await.to, ["ana@example.com"], "once");
        assert!(server.is_empty());
    }

    #[tokio::test]
    async fn a_link_is_good_for_an_hour_and_a_later_one_replaces_it() {
        let (harness, mut server) = Harness::with_mail().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let body = json!({"email": "ana@example.com"});
            harness.send("", "POST", "/v1/password-resets", body).await;
            send::next(&harness.plane.app).await.expect("sent");
            tokens.push(server.next().await.token());
        }
        let path = "/v1/password-resets/complete";
        let complete = async |token: &str| {
            let body = json!({"token": token, "password": NEW});
            harness.send("", "POST", path, body).await.status
        };
        assert_eq!(complete(&tokens[0]).await, 404);
        harness.execute("UPDATE password_resets SET expires_us = 1").await;
        assert_eq!(complete(&tokens[1]).await, 404);
        let none = harness.send("", "POST", path, Value::Null).await;
        assert_eq!(crate::testing::named(&none.body), ["token", "password"]);
    }
}
