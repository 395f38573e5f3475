//! What the log says of mail where no server is set.

use serde_json::json;
use support::process::ORGANIZATION_KEY;
use support::{Running, wait_until};

use crate::installation;
use crate::several::SOON;

/// Invites somebody, and returns the token that the answer shows.
fn invite(running: &Running) -> String {
    let body = json!({"email": "ana@example.com", "role": "admin"});
    let made = running.control_plane(ORGANIZATION_KEY).post("/v1/invitations", &body).expect(201);
    wait_until("the mail is written", SOON, || {
        running.stderr().lines().any(|line| line.contains("a mail, not sent"))
    });
    assert!(running.stderr().contains("ana@example.com"));
    made["token"].as_str().expect("a token").to_owned()
}

#[test]
fn the_log_says_that_there_was_a_mail_and_shows_a_link_only_where_that_is_asked_for() {
    let running = installation().start();
    let token = invite(&running);
    assert!(!running.stderr().contains("#token="), "a link is a secret");
    assert!(!running.stderr().contains(&token));
    running.stop();

    let running = installation()
        .set("RINGFENCE_MAILER", "log-links")
        .set("RINGFENCE_PUBLIC_URL", "https://calls.example.com")
        .start();
    let token = invite(&running);
    assert!(running.stderr().contains("https://calls.example.com/accept-invitation#token="));
    assert!(!running.stderr().contains(&token), "the mail has a link of its own");
    running.stop();
}

#[test]
fn a_mail_server_needs_all_of_its_settings_and_its_login_is_never_shown() {
    let (status, said) = installation()
        .set("RINGFENCE_MAILER", "smtp")
        .set("RINGFENCE_SMTP_URL", "smtps://calls:not-to-be-seen@mail.example.com")
        .start_refused();
    assert_eq!(status.code(), Some(2), "{said}");
    for part in ["mail_from is unset", "public_url is unset"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let (status, said) = installation()
        .set("RINGFENCE_MAILER", "smtp")
        .set("RINGFENCE_SMTP_URL", "smtp://calls:not-to-be-seen@mail.example.com")
        .start_refused();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("plain text") && !said.contains("not-to-be-seen"), "{said}");
}
