//! Audit and ledger are sealed while the process runs, and commands check them, beside the process or alone.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::process::ORGANIZATION_KEY;
use support::{Account, Installation, wait_until};

use crate::{BINARY, installation};

const SEALED_WITHIN: Duration = Duration::from_secs(20);

fn verify(installation: &Installation, more: &[&str]) -> (Option<i32>, String, String) {
    verify_of("audit", installation, more)
}

fn verify_of(
    what: &str,
    installation: &Installation,
    more: &[&str],
) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(BINARY)
        .args([what, "verify"])
        .args(more)
        .env_clear()
        .env("RINGFENCE_DATA_DIR", installation.directory())
        .output()
        .expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn changes_are_sealed_and_the_command_says_whether_they_fit() {
    let installation = installation();
    let (status, _, why) = verify(&installation, &[]);
    assert_eq!(status, Some(3), "there is no database: {why}");
    let running = installation.start();
    Account::limited(&running, "one", 1);
    Account::limited(&running, "two", 1);
    let mut organization = running.control_plane(ORGANIZATION_KEY);
    wait_until("every entry is sealed", SEALED_WITHIN, || {
        let page: Value = organization.get("/v1/audit").expect(200);
        let entries = page["data"].as_array().expect("a list").clone();
        entries.len() >= 2 && entries.iter().all(|entry| entry["seal"].is_string())
    });
    let (status, kept, why) = verify(&installation, &[]);
    assert_eq!((status, why.as_str()), (Some(0), ""));
    let words: Vec<&str> = kept.split_ascii_whitespace().collect();
    let id = organization.get("/v1/organization").expect(200)["organization_id"].clone();
    assert_eq!((words.len(), words[0]), (3, id.as_str().expect("an id")), "{kept}");

    // What was done last is sealed by the stop.
    Account::limited(&running, "three", 1);
    running.stop();
    let file = installation.directory().join("kept");
    fs::write(&file, &kept).expect("written");
    let since = ["--since", file.to_str().expect("UTF-8")];
    let (status, later, why) = verify(&installation, &since);
    assert_eq!((status, why.as_str()), (Some(0), ""));
    assert_ne!(later, kept);

    let other = kept.replace(words[2], &"0".repeat(64));
    fs::write(&file, other).expect("written");
    let (status, _, why) = verify(&installation, &since);
    assert_eq!(status, Some(1), "{why}");
    assert!(why.contains(&format!("entry {}: has another seal", words[1])), "{why}");
    fs::write(&file, "no chain\n").expect("written");
    let (status, _, why) = verify(&installation, &since);
    assert!(status == Some(3) && why.contains("line 1"), "{status:?}: {why}");
    let (status, ..) = verify(&installation, &["--database-url", "mysql://x"]);
    assert_eq!(status, Some(2));
}

#[test]
fn money_is_sealed_and_the_command_says_whether_the_ledger_agrees() {
    let installation = installation();
    let (status, _, why) = verify_of("ledger", &installation, &[]);
    assert_eq!(status, Some(3), "there is no database: {why}");
    let running = installation.start();
    let account = Account::billed(&running, "one", 3, ("1.20", 60, 60));
    account.recharge(&running, "10.00").expect(200);
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &json!({"call_id": "a"})).expect(200);
    let end = json!({"call_id": "a", "billable_s": 61});
    assert_eq!(stack.post("/v1/calls/release", &end).expect(200)["cost"], "2.40");
    let mut kept = String::new();
    wait_until("recharge and charge are sealed", SEALED_WITHIN, || {
        let (status, head, why) = verify_of("ledger", &installation, &[]);
        assert_eq!(status, Some(0), "{why}");
        kept = head;
        kept.starts_with("ledger 2 ") && why.is_empty()
    });
    account.recharge(&running, "1.00").expect(200);
    running.stop();
    let file = installation.directory().join("kept");
    fs::write(&file, &kept).expect("written");
    let since = ["--since", file.to_str().expect("UTF-8")];
    let (status, later, why) = verify_of("ledger", &installation, &since);
    assert_eq!((status, why.as_str()), (Some(0), ""));
    assert!(later.starts_with("ledger 3 "), "what was done last is sealed by the stop: {later}");
    fs::write(&file, format!("ledger 2 {}\n", "0".repeat(64))).expect("written");
    let (status, _, why) = verify_of("ledger", &installation, &since);
    assert_eq!(status, Some(1), "{why}");
    assert!(why.contains("transaction 2 has another seal than it had"), "{why}");
}
