//! The first start: what it prints is enough, and is printed once.

use serde_json::Value;
use support::command::shell;
use support::process::ORGANIZATION_KEY;
use support::{Installation, Running};

use crate::{BINARY, installation};

fn curl_lines(running: &Running) -> Vec<String> {
    let stdout = running.stdout();
    stdout
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_printed_line_admits_a_call_and_the_keys_are_printed_once() {
    let installation = Installation::without_keys(BINARY);
    let running = installation.start();
    // The last of the lines is printed after those that say where it listens.
    support::wait_until("the curl line", std::time::Duration::from_secs(5), || {
        !curl_lines(&running).is_empty()
    });
    let lines = curl_lines(&running);
    let admitted: Value =
        serde_json::from_str(&shell(lines.last().expect("a line"), &[])).expect("JSON");
    assert_eq!(admitted["admitted"], true, "{admitted}");
    let first = running.stdout();
    let keys: Vec<&str> = first
        .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .filter(|word| word.starts_with("rf_live_"))
        .collect();
    assert!(keys.len() >= 2, "{first}");
    let stderr = running.stderr();
    assert!(keys.iter().all(|key| !stderr.contains(key)), "a key in the log");
    running.stop();

    let running = installation.start();
    let mut gateway = running.gateway(keys.last().expect("two keys"));
    assert_eq!(gateway.get("/v1/calls/first-call").expect(200)["state"], "live");
    assert!(!running.stdout().contains("rf_live_"), "{}", running.stdout());
    running.stop();
}

#[test]
fn keys_from_the_environment_are_named_never_printed() {
    let running = installation().start();
    support::wait_until("the curl line", std::time::Duration::from_secs(5), || {
        !curl_lines(&running).is_empty()
    });
    assert!(!running.stdout().contains(ORGANIZATION_KEY), "{}", running.stdout());
    let lines = curl_lines(&running);
    let environment = [("RINGFENCE_ORGANIZATION_KEY", ORGANIZATION_KEY)];
    let admitted = shell(lines.last().expect("a line"), &environment);
    assert!(admitted.contains("\"admitted\":true"), "{admitted}");
    running.stop();
}

#[test]
fn another_key_in_the_environment_replaces_the_former() {
    let installation = installation();
    installation.start().stop();
    let other = "another-organization-key-0123456789abcdef";
    let installation = installation.set("RINGFENCE_ORGANIZATION_KEY", other);
    let running = installation.start();
    let former = running.gateway(ORGANIZATION_KEY).get("/v1/concurrency");
    assert_eq!(former.reason(401), "unauthenticated");
    assert_eq!(former.header("www-authenticate").map(|value| &value[..5]), Some("Basic"));
    running.gateway(other).get("/v1/concurrency").expect(200);
    running.stop();
}
