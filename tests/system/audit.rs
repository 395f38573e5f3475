//! The audit is sealed while the process runs, and a command checks it, beside the process or alone.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use support::process::ORGANIZATION_KEY;
use support::{Account, Installation, wait_until};

use crate::{BINARY, installation};

const SEALED_WITHIN: Duration = Duration::from_secs(20);

fn verify(installation: &Installation, more: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(BINARY)
        .args(["audit", "verify"])
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
