//! Starting and stopping: one process per directory, settings that are checked, a stop that loses
//! nothing.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::http::read_response;
use support::process::ORGANIZATION_KEY;
use support::wait::timed;
use support::{Account, Installation, wait_until};

use crate::{BINARY, installation};

#[test]
fn a_second_process_on_the_same_directory_refuses_and_the_first_goes_on() {
    let installation = installation();
    let running = installation.start();
    let (status, said) = installation.start_refused();
    assert!(!status.success());
    assert!(said.contains(&installation.directory().display().to_string()), "{said}");
    running.gateway(ORGANIZATION_KEY).get("/v1/concurrency").expect(200);
    running.stop();
}

#[test]
fn unknown_and_wrong_settings_are_all_named_and_nothing_starts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("ringfence.toml");
    fs::write(&file, "call_lease = 90\ngateway_listen = 7070\n").expect("a file");
    let installation = installation()
        .set("RINGFENCE_CONFIG", file.to_str().expect("UTF-8"))
        .set("RINGFENCE_OPPS_LISTEN", "x")
        .set("RINGFENCE_CURRENCY", "rupees");
    let (status, said) = installation.start_refused();
    assert_eq!(status.code(), Some(2), "{said}");
    for part in [
        "unknown setting call_lease",
        "call_lease_s",
        "line 1",
        "RINGFENCE_OPPS_LISTEN",
        "RINGFENCE_OPS_LISTEN",
        "\"rupees\"",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!installation.directory().exists(), "nothing was started");

    let check = Command::new(BINARY)
        .args(["config", "check", "--file"])
        .arg(&file)
        .env_clear()
        .output()
        .expect("the binary runs");
    assert_eq!(check.status.code(), Some(2));
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains("gateway_listen = \"7070\""), "{said}");
}

#[test]
fn config_check_shows_what_is_in_force_and_no_secret() {
    let check = Command::new(BINARY)
        .args(["config", "check", "--drain-s", "7"])
        .env_clear()
        .env("RINGFENCE_ORGANIZATION_KEY", ORGANIZATION_KEY)
        .output()
        .expect("the binary runs");
    assert!(check.status.success());
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("drain_s = 7    # flag --drain-s"), "{said}");
    assert!(said.contains("organization_key is set"), "{said}");
    assert!(!said.contains(ORGANIZATION_KEY), "{said}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for setting in ["GATEWAY", "CONTROL_PLANE", "OPS"] {
        let name = format!("RINGFENCE_{setting}_LISTEN");
        let (status, said) = installation().set(&name, &address).start_refused();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&address), "{said}");
    }
}

#[test]
fn sigterm_answers_what_is_in_flight_ends_with_zero_and_keeps_live_calls() {
    let installation = installation().set("RINGFENCE_GATEWAY_THREADS", "1");
    let running = installation.start();
    let account = Account::limited(&running, "kept", 10);
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &json!({"call_id": "kept"})).expect(200);

    let body = r#"{"call_id":"in-flight"}"#;
    let mut slow = TcpStream::connect(running.gateway).expect("a connection");
    let head = format!(
        "POST /v1/calls/admit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        account.key,
        body.len(),
        &body[..5]
    );
    slow.write_all(head.as_bytes()).expect("half a request");
    // The answer to a later request shows that the gateway's thread has read the half.
    stack.get("/v1/concurrency").expect(200);
    running.ask_to_stop();
    wait_until("it is not ready", Duration::from_secs(2), || {
        running
            .ops()
            .request("GET", "/readyz", &[], b"")
            .map_or(true, |answer| answer.status == 503)
    });
    slow.write_all(&body.as_bytes()[5..]).expect("the other half");
    let answer = read_response(&mut BufReader::new(slow)).expect("an answer while draining");
    assert!([200, 503].contains(&answer.status), "{}", answer.text());
    let (status, stderr) = running.ended();
    assert_eq!(status.code(), Some(0), "{stderr}");

    let running = installation.start();
    let expected = if answer.status == 200 { 2 } else { 1 };
    assert_eq!(account.in_use(&running), expected);
    running.stop();
}

#[test]
fn a_stop_takes_at_most_the_drain_and_a_second_signal_ends_it_at_once() {
    let running = installation().set("RINGFENCE_DRAIN_S", "30").start();
    let account = Account::limited(&running, "stuck", 10);
    let mut stuck = TcpStream::connect(running.gateway).expect("a connection");
    let head = format!(
        "POST /v1/calls/admit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 1000\r\n\r\n",
        account.key
    );
    stuck.write_all(head.as_bytes()).expect("a head");
    running.gateway(&account.key).get("/v1/concurrency").expect(200);
    let (taken, (status, _)) = timed(|| {
        running.ask_to_stop();
        wait_until("it drains", Duration::from_secs(2), || running.stderr().contains("stopping"));
        running.ask_to_stop();
        running.ended()
    });
    assert!(taken < Duration::from_secs(20), "{taken:?}");
    assert!(!status.success());
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let below = file.path().join("data");
    let installation = Installation::on(BINARY, &below);
    let (status, said) = installation.start_refused();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&below.display().to_string()), "{said}");
}
