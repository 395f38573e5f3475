//! All listeners by TLS: what is refused at the start, and certificates replaced while it runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::command::shell;
use support::process::ORGANIZATION_KEY;
use support::tls::{Files, Issued, connect};
use support::wait::timed;
use support::{Account, Installation, Running, wait_until};

use crate::{BINARY, installation};

const SOON: Duration = Duration::from_secs(10);

/// An installation whose listeners all show the pair in `files`.
fn secured(files: &Files) -> Installation {
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    ["GATEWAY", "CONTROL_PLANE", "OPS"].iter().fold(installation(), |installation, listener| {
        installation
            .set(&format!("RINGFENCE_{listener}_TLS_CERT"), &path(&files.certificate))
            .set(&format!("RINGFENCE_{listener}_TLS_KEY"), &path(&files.key))
    })
}

fn listeners(running: &Running) -> [SocketAddr; 3] {
    [running.gateway, running.control_plane, running.ops]
}

#[test]
fn every_listener_serves_by_tls_and_the_printed_line_admits_a_call() {
    let directory = tempfile::tempdir().expect("a directory");
    let (files, issued) = (Files::within(directory.path()), Issued::valid());
    issued.install(&files);
    let running = secured(&files).start().by_tls(&issued.trusted());
    let account = Account::limited(&running, "secured", 1);
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &json!({"call_id": "a"})).expect(200);
    assert_eq!(stack.post("/v1/calls/admit", &json!({"call_id": "b"})).reason(409), "no_slot");
    stack.post("/v1/calls/release", &json!({"call_id": "a"})).expect(200);
    let metrics = running.ops().get("/metrics").text();
    for listener in ["gateway", "control_plane", "ops"] {
        let series =
            format!("ringfence_tls_certificate_expiry_seconds{{listener=\"{listener}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok());
        let expires_s: u64 = value.unwrap_or_else(|| unreachable!("{series} in\n{metrics}"));
        assert_eq!(expires_s, issued.expires_s());
    }

    let curl = || running.stdout().lines().find(|line| line.contains("curl")).map(str::to_owned);
    wait_until("the curl line", SOON, || curl().is_some());
    let environment = [("RINGFENCE_ORGANIZATION_KEY", ORGANIZATION_KEY)];
    let admitted = shell(&curl().expect("a line"), &environment);
    assert!(admitted.contains("\"admitted\":true"), "{admitted}");
    let stdout = running.stdout();
    assert_eq!(stdout.matches("  https://").count(), 3, "{stdout}");
    running.stop();
}

#[test]
fn every_listener_offers_http_1_1_and_refuses_clients_that_want_only_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let (files, issued) = (Files::within(directory.path()), Issued::valid());
    issued.install(&files);
    let running = secured(&files).start();
    for address in listeners(&running) {
        let both = issued.trusted_for(&["h2", "http/1.1"]);
        let connection = connect(address, &both).expect("shaken");
        assert_eq!(connection.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(connect(address, &issued.trusted_for(&["h2"])).is_err());
    }
    running.stop();
}

#[test]
fn plain_http_is_closed_by_every_listener_and_silence_after_some_seconds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (files, issued) = (Files::within(directory.path()), Issued::valid());
    issued.install(&files);
    let running = secured(&files).start().by_tls(&issued.trusted());
    let socket = |address| {
        let socket = TcpStream::connect(address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        socket
    };
    let ended = |mut socket: TcpStream| {
        let mut said = Vec::new();
        // A reset is an end as well.
        let end = socket.read_to_end(&mut said);
        let timed_out = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!timed_out && said.len() < 16, "{said:?}");
    };
    let silent = listeners(&running).map(socket);
    let (taken, ()) = timed(|| {
        for address in listeners(&running) {
            let mut plain = socket(address);
            plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
            ended(plain);
        }
    });
    assert!(taken < Duration::from_secs(10), "{taken:?}");
    running.gateway(ORGANIZATION_KEY).get("/v1/concurrency").expect(200);
    let (taken, _) = timed(|| silent.map(ended));
    assert!(taken < Duration::from_secs(20), "{taken:?}");
    assert_eq!(running.ops().get("/livez").status, 200);
    running.stop();
}

#[test]
fn a_replaced_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let (files, first) = (Files::within(directory.path()), Issued::valid());
    first.install(&files);
    let running = secured(&files).start().by_tls(&first.trusted());
    let mut kept = running.gateway(ORGANIZATION_KEY);
    let mut probe = running.ops();
    kept.get("/v1/concurrency").expect(200);
    assert_eq!(probe.get("/livez").status, 200);

    let shown = |issued: &Issued| {
        let trusted = issued.trusted();
        listeners(&running).iter().all(|address| connect(*address, &trusted).is_ok())
    };
    let second = Issued::valid();
    second.install(&files);
    wait_until("it is noticed", SOON, || shown(&second));
    let third = Issued::valid();
    third.install(&files);
    running.hang_up();
    wait_until("SIGHUP is heard", Duration::from_secs(1), || shown(&third));
    assert!(!shown(&second) && !shown(&first));
    kept.get("/v1/concurrency").expect(200);
    assert_eq!(probe.get("/livez").status, 200);
    assert!(!running.stderr().contains("refused"), "{}", running.stderr());
    running.stop();
}

#[test]
fn a_broken_replacement_is_named_in_the_log_and_the_former_certificate_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let (files, first) = (Files::within(directory.path()), Issued::valid());
    first.install(&files);
    let running = secured(&files).start().by_tls(&first.trusted());
    let (other, expired) = (Issued::valid(), Issued::expired());
    let certificate = files.certificate.display();
    let key = files.key.display();
    for (new, why) in [
        ((first.certificate_pem(), other.key_pem()), format!("{key}: it does not belong")),
        ((expired.certificate_pem(), expired.key_pem()), format!("{certificate}: it expired at")),
        ((String::new(), first.key_pem()), format!("{certificate}: no certificate")),
        ((first.certificate_pem(), "x".to_owned()), format!("{key}: no private key")),
    ] {
        files.write(&new.0, &new.1);
        running.hang_up();
        let reason = format!("the former one stays in use: {why}");
        wait_until(&why, SOON, || running.stderr().matches(&reason).count() == 3);
        running.gateway(ORGANIZATION_KEY).get("/v1/concurrency").expect(200);
    }
    other.install(&files);
    wait_until("a good one is taken", SOON, || connect(running.ops, &other.trusted()).is_ok());
    let secret = first.key_pem();
    let secret = secret.lines().nth(1).expect("a line of the key");
    assert!(!running.stderr().contains(secret), "a key in the log");
    running.stop();
}

#[test]
fn files_that_cannot_be_served_are_refused_at_the_start_by_field_and_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::within(directory.path());
    let (valid, other, expired) = (Issued::valid(), Issued::valid(), Issued::expired());
    let (cert, key) = (files.certificate.display(), files.key.display());
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    for (pair, why) in [
        ((text, valid.key_pem()), format!("tls_cert = \"{cert}\" (environment RINGFENCE_")),
        ((valid.key_pem(), valid.key_pem()), "no certificate stands in it".to_owned()),
        ((expired.certificate_pem(), expired.key_pem()), "it expired at 2020-01-01".to_owned()),
        ((valid.certificate_pem(), other.key_pem()), format!("tls_key = \"{key}\"")),
        ((valid.certificate_pem(), other.key_pem()), format!("does not belong to {cert}")),
        ((valid.certificate_pem(), valid.certificate_pem()), "no private key".to_owned()),
    ] {
        files.write(&pair.0, &pair.1);
        let installation = secured(&files);
        let (status, said) = installation.start_refused();
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.matches(&why).count() >= 3, "{why} in {said}");
        assert!(!installation.directory().exists(), "nothing was started");
        let check = Command::new(BINARY)
            .args(["config", "check", "--gateway-tls-cert"])
            .arg(&files.certificate)
            .arg("--gateway-tls-key")
            .arg(&files.key)
            .env_clear()
            .output()
            .expect("the binary runs");
        assert_eq!(check.status.code(), Some(2));
    }
    std::fs::remove_file(&files.key).expect("removed");
    let (_, said) = secured(&files).start_refused();
    assert!(said.contains(&format!("ops_tls_key = \"{key}\"")), "{said}");
    assert!(said.contains("it cannot be read: No such file"), "{said}");
}

#[test]
fn a_stop_ends_every_idle_connection_by_close_notify() {
    let directory = tempfile::tempdir().expect("a directory");
    let (files, issued) = (Files::within(directory.path()), Issued::valid());
    issued.install(&files);
    let running = secured(&files).start();
    let connections = listeners(&running).map(|address| {
        let mut connection = connect(address, &issued.trusted()).expect("shaken");
        connection.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).expect("an answer");
        connection
    });
    running.ask_to_stop();
    for mut connection in connections {
        let mut rest = Vec::new();
        // Without `close_notify` this is an error.
        connection.read_to_end(&mut rest).expect("the end was said");
    }
    let (status, stderr) = running.ended();
    assert!(status.success(), "{stderr}");
}

#[test]
fn sighup_does_not_end_an_installation_without_certificates() {
    let running = installation().start();
    running.hang_up();
    running.gateway(ORGANIZATION_KEY).get("/v1/concurrency").expect(200);
    running.stop();
}
