//! Invitations by mail, over a server that takes, puts off or refuses them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;
use crate::permission::Role;
use crate::testing::mail::UNKNOWN;
use crate::testing::people::PASSWORD;
use crate::testing::{Harness, text};

async fn invite(harness: &Harness, email: &str) -> Value {
    let body = json!({"email": email, "role": "admin"});
    let made = harness.send(&harness.organization, "POST", "/v1/invitations", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

async fn outcome(harness: &Harness) -> Outcome {
    next(&harness.plane.app).await.expect("the outbox is readable")
}

#[tokio::test]
async fn an_invitation_is_mailed_with_a_link_of_its_own_and_either_link_accepts() {
    let (harness, mut server) = Harness::with_mail().await;
    for (email, by_mail) in [("ana@example.com", true), ("bob@example.com", false)] {
        let made = invite(&harness, email).await;
        let answered = text(&made["token"]);
        assert_eq!(
            made["link"],
            json!(format!("https://calls.example.com/accept-invitation#token={answered}"))
        );
        assert_eq!(outcome(&harness).await, Outcome::Done);
        let mail = server.next().await;
        assert_eq!(mail.to, [email]);
        for part in [
            "From: Ringfence <calls@example.com>",
            "Subject: Invitation to First organization",
            "https://calls.example.com/accept-invitation#token=",
        ] {
            assert!(mail.text.contains(part), "{part} in {}", mail.text);
        }
        assert_ne!(mail.token(), answered);
        let token = if by_mail { mail.token() } else { answered };
        let body = json!({"token": token, "name": "Somebody", "password": PASSWORD});
        let accepted = harness.send("", "POST", "/v1/invitations/accept", body).await;
        assert_eq!(accepted.status, 201, "{}", accepted.body);
        let body = json!({"token": mail.token(), "name": "Somebody", "password": PASSWORD});
        assert_eq!(harness.send("", "POST", "/v1/invitations/accept", body).await.status, 404);
    }
    assert_eq!(outcome(&harness).await, Outcome::Nothing);
    assert!(server.is_empty());
}

#[tokio::test]
async fn a_mail_that_is_put_off_is_tried_again_and_the_request_never_waited() {
    let (harness, mut server) = Harness::with_mail().await;
    server.put_off.store(2, Ordering::Release);
    invite(&harness, "ana@example.com").await;
    for _ in 0..2 {
        assert_eq!(outcome(&harness).await, Outcome::Postponed);
        assert_eq!(outcome(&harness).await, Outcome::Nothing, "not before its pause is over");
        harness.execute("UPDATE mails SET next_us = 1").await;
    }
    assert_eq!(outcome(&harness).await, Outcome::Done);
    assert_eq!(server.next().await.to, ["ana@example.com"]);
    assert_eq!(outcome(&harness).await, Outcome::Nothing);
}

#[tokio::test]
async fn no_mail_is_given_up_because_the_server_is_away() {
    let (harness, server) = Harness::with_mail().await;
    drop(server);
    invite(&harness, "ana@example.com").await;
    assert_eq!(outcome(&harness).await, Outcome::Away);
    assert_eq!(outcome(&harness).await, Outcome::Nothing, "not before its pause is over");
    harness.execute("UPDATE mails SET next_us = 1").await;
    assert_eq!(outcome(&harness).await, Outcome::Away);
}

#[tokio::test]
async fn a_mail_is_given_up_when_it_is_refused_or_its_time_is_over() {
    let (harness, server) = Harness::with_mail().await;
    invite(&harness, UNKNOWN).await;
    assert_eq!(outcome(&harness).await, Outcome::Done);
    server.put_off.store(1, Ordering::Release);
    invite(&harness, "ana@example.com").await;
    harness.execute("UPDATE mails SET created_us = 1, attempts = 1000").await;
    assert_eq!(outcome(&harness).await, Outcome::Done);
    assert_eq!(outcome(&harness).await, Outcome::Nothing);
    let made = invite(&harness, "bob@example.com").await;
    let path = format!("/v1/invitations/{}", text(&made["invitation_id"]));
    harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
    assert_eq!(outcome(&harness).await, Outcome::Done, "what it was about is gone");
    assert_eq!(outcome(&harness).await, Outcome::Nothing);
    assert!(server.is_empty());
}

#[tokio::test]
async fn nothing_that_waits_holds_a_secret_and_one_of_several_senders_sends() {
    let (harness, mut server) = Harness::with_mail().await;
    harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
    let body = json!({"email": "ana@example.com"});
    harness.send("", "POST", "/v1/password-resets", body).await;
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let plane = harness.plane.clone();
        sending.spawn(async move { next(&plane.app).await.expect("readable") });
    }
    sending.join_all().await;
    let token = server.next().await.token();
    assert!(server.is_empty());
    for file in std::fs::read_dir(harness.directory.path()).expect("a directory") {
        let path = file.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("readable");
            let mut windows = bytes.windows(token.len());
            assert!(!windows.any(|window| window == token.as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn without_a_server_mail_is_logged_and_invitations_go_on() {
    let harness = Harness::new().await;
    let made = invite(&harness, "ana@example.com").await;
    assert!(text(&made["link"]).ends_with(&text(&made["token"])));
    assert_eq!(outcome(&harness).await, Outcome::Done);
    assert_eq!(outcome(&harness).await, Outcome::Nothing);
}
