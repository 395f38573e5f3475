//! Bad input: the right status, every bad field named, and nobody else affected.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::http::read_response;
use support::wait::timed;
use support::{Account, Client, Running};

use crate::installation;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn post(stack: &mut Client, path: &str, content_type: &str, body: &[u8]) -> support::Response {
    let headers = [("Content-Type", content_type)];
    stack.request("POST", path, &headers, body).expect("an answer")
}

fn setup() -> (Running, Account) {
    let running = installation().start();
    let account = Account::limited(&running, "strict", 50);
    (running, account)
}

#[test]
fn every_wrong_field_is_refused_and_named() {
    let (running, account) = setup();
    let mut stack = running.gateway(&account.key);
    let long = "x".repeat(129);
    let longer = "x".repeat(256);
    let wrong: &[(&str, Value)] = &[
        ("call_id", json!("")),
        ("call_id", json!(long)),
        ("call_id", json!("with space")),
        ("call_id", json!("nicht-ascii-ä")),
        ("call_id", json!("control\u{7f}")),
        ("call_id", json!(7)),
        ("call_id", json!(null)),
        ("call_id", json!(["a"])),
        ("direction", json!("sideways")),
        ("direction", json!("OUTBOUND")),
        ("from", json!(longer)),
        ("to", json!(longer)),
        ("agent_id", json!(longer)),
        ("source", json!(longer)),
        ("requested_s", json!(0)),
        ("requested_s", json!(86_401)),
        ("requested_s", json!(-1)),
        ("requested_s", json!(1.5)),
        ("requested_s", json!("ten")),
        ("requested_s", json!(18_446_744_073_709_551_615_u64)),
        ("lease_s", json!(9)),
        ("lease_s", json!(14_401)),
        ("lease_s", json!(true)),
        ("colour", json!("red")),
    ];
    for (field, value) in wrong {
        let mut body = json!({"call_id": "good"});
        body[field] = value.clone();
        let answer = stack.post("/v1/calls/admit", &body);
        assert_eq!(answer.reason(400), "invalid_request", "{body}");
        assert!(answer.text().contains(field), "{field} in {}", answer.text());
    }
    let missing = stack.post("/v1/calls/admit", &json!({"to": "+911"}));
    assert_eq!(missing.reason(400), "invalid_request");
    assert!(missing.text().contains("call_id"), "{}", missing.text());

    let several = json!({"call_id": "", "direction": "up", "requested_s": 0, "lease_s": 1, "x": 1});
    let answer = stack.post("/v1/calls/admit", &several);
    assert_eq!(answer.reason(400), "invalid_request");
    for field in ["call_id", "direction", "requested_s", "lease_s", "\"x\""] {
        assert!(answer.text().contains(field), "{field} in {}", answer.text());
    }
    assert_eq!(account.in_use(&running), 0);
    running.stop();
}

#[test]
fn values_at_their_limits_are_accepted() {
    let (running, account) = setup();
    let mut stack = running.gateway(&account.key);
    for body in [
        json!({"call_id": "x".repeat(128)}),
        json!({"call_id": "!"}),
        json!({"call_id": "a/b@c;d=e", "requested_s": 1}),
        json!({"call_id": "d1", "requested_s": 86_400}),
        json!({"call_id": "l1", "lease_s": 10}),
        json!({"call_id": "l2", "lease_s": 14_400}),
        json!({"call_id": "in", "direction": "inbound", "from": "+91 22", "to": "sip:ä@x"}),
    ] {
        stack.post("/v1/calls/admit", &body).expect(200);
    }
    let path = "/v1/calls/a%2Fb%40c%3Bd%3De";
    assert_eq!(stack.get(path).expect(200)["call_id"], "a/b@c;d=e");
    running.stop();
}

#[test]
fn what_is_not_one_request_body_is_refused() {
    let (running, account) = setup();
    let mut stack = running.gateway(&account.key);
    let admit = "/v1/calls/admit";
    let json_bodies: &[&[u8]] = &[
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"\"call_id\"",
        b"{\"call_id\":\"a\"",
        b"{\"call_id\":\"a\"} x",
        b"{\"call_id\":\"a\",\"call_id\":\"b\"}",
        b"{\"call_id\":\"a\",\"to\":\"\xff\xfe\"}",
        b"{\"call_id\":{\"a\":1}}",
    ];
    for body in json_bodies {
        let answer = post(&mut stack, admit, "application/json", body);
        assert_eq!(answer.reason(400), "invalid_request", "{}", String::from_utf8_lossy(body));
    }
    let form = "application/x-www-form-urlencoded";
    for body in ["call_id=a&call_id=b", "call_id=%ff", "call_id=a&colour=red", ""] {
        let answer = post(&mut stack, admit, form, body.as_bytes());
        assert_eq!(answer.reason(400), "invalid_request", "{body}");
    }
    let both = post(&mut stack, "/v1/calls/admit?call_id=a", form, b"call_id=a");
    assert_eq!(both.reason(400), "invalid_request");
    assert_eq!(account.in_use(&running), 0);

    // The same request as JSON, form and query.
    post(&mut stack, admit, "application/json", b"{\"call_id\":\"j\"}").expect(200);
    post(&mut stack, admit, form, b"call_id=f&to=%2B911").expect(200);
    stack.request("POST", "/v1/calls/admit?call_id=q", &[], b"").expect("an answer").expect(200);
    assert_eq!(account.in_use(&running), 3);
    running.stop();
}

#[test]
fn keys_and_paths_that_are_not_known_are_refused_without_saying_more() {
    let (running, account) = setup();
    for key in ["", "no-such-key", &"k".repeat(4_000)] {
        let answer = running.gateway(key).post("/v1/calls/admit", &json!({"call_id": "a"}));
        assert_eq!(answer.reason(401), "unauthenticated");
        assert!(answer.header("www-authenticate").is_some());
    }
    let other = Account::limited(&running, "other", 5);
    let mut stack = running.gateway(&account.key);
    let foreign = json!({"call_id": "a", "account": other.id});
    let absent = json!({"call_id": "a", "account": "sa_01h9xyz0000000000000000000"});
    let foreign = stack.post("/v1/calls/admit", &foreign);
    let absent = stack.post("/v1/calls/admit", &absent);
    assert_eq!(foreign.reason(404), "unknown_account");
    assert_eq!(absent.reason(404), "unknown_account");
    assert_eq!(stack.get("/v1/calls/none").reason(404), "unknown_call");
    let release = stack.post("/v1/calls/release", &json!({"call_id": "never-seen"}));
    assert_eq!(release.reason(404), "unknown_call");
    assert_eq!(stack.get("/v1/nothing-here").status, 404);
    assert!([404, 405].contains(&stack.delete("/v1/calls/admit").status));
    running.stop();
}

#[test]
fn large_and_endless_bodies_are_cut_off() {
    let (running, account) = setup();
    let large = vec![b'x'; 1024 * 1024];
    let answer = running.gateway(&account.key).request("POST", "/v1/calls/admit", &[JSON], &large);
    // The answer, or a closed connection when it was sent before everything was read.
    if let Ok(answer) = answer {
        assert_eq!(answer.reason(413), "too_large");
    }
    let just_above = vec![b' '; 16 * 1024 + 1];
    let answer =
        running.gateway(&account.key).request("POST", "/v1/calls/admit", &[JSON], &just_above);
    assert_eq!(answer.expect("an answer").reason(413), "too_large");

    let mut endless = TcpStream::connect(running.gateway).expect("a connection");
    endless.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    let head = format!(
        "POST /v1/calls/admit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        account.key
    );
    endless.write_all(head.as_bytes()).expect("a head");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
    let mut sent = 0;
    while sent < 16 * 1024 * 1024 && endless.write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 16 * 1024 * 1024, "an endless body was read");
    running.gateway(&account.key).post("/v1/calls/admit", &json!({"call_id": "a"})).expect(200);
    running.stop();
}

/// Bytes of a head that never ends, sent one at a time.
fn slow_head(running: &Running) -> (Duration, bool) {
    let mut slow = TcpStream::connect(running.gateway).expect("a connection");
    slow.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let (taken, closed) = timed(|| {
        for byte in b"POST /v1/calls/admit HTTP/1.1\r\nX-Slow: ".iter().chain([b'x'; 60].iter()) {
            if slow.write_all(&[*byte]).is_err() {
                return true;
            }
            let read = slow.read(&mut [0; 1_024]);
            if !read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                return true;
            }
        }
        false
    });
    (taken, closed)
}

#[test]
fn a_head_sent_byte_by_byte_is_cut_off_after_five_seconds() {
    let (running, _) = setup();
    let (taken, closed) = slow_head(&running);
    assert!(closed, "still open after {taken:?}");
    // A busy machine is slow to notice; a head that is never cut off takes twenty seconds.
    assert!(taken > Duration::from_secs(3) && taken < Duration::from_secs(15), "{taken:?}");
    running.stop();
}

#[test]
fn heads_beyond_the_limits_are_refused() {
    let (running, account) = setup();
    let many = "X-Many: x\r\n".repeat(100);
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    for (name, lines) in [("many", many), ("long", long)] {
        let request = format!("GET /v1/concurrency HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        let mut stream = TcpStream::connect(running.gateway).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        // It may be answered and closed before it has been read.
        let _cut = stream.write_all(request.as_bytes());
        if let Ok(answer) = read_response(&mut BufReader::new(stream)) {
            assert!([400, 431].contains(&answer.status), "{name}: {}", answer.status);
        }
    }
    running.gateway(&account.key).get("/v1/concurrency").expect(200);
    running.stop();
}

#[test]
fn another_clients_admits_go_on_while_others_misbehave() {
    let (running, account) = setup();
    let running = Arc::new(running);
    let done = Arc::new(AtomicBool::new(false));
    let offenders: Vec<_> = (0..4)
        .map(|number| {
            let (running, done) = (Arc::clone(&running), Arc::clone(&done));
            let key = account.key.clone();
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut stack = running.gateway(&key);
                    let large = vec![b'{'; 200_000];
                    let body: &[u8] = if number % 2 == 0 { &large } else { b"{\"call_id\":" };
                    // Whatever it is answered, the others must not notice.
                    let _answer = stack.request("POST", "/v1/calls/admit", &[JSON], body);
                }
            })
        })
        .collect();
    let mut stack = running.gateway(&account.key);
    for call in 0..300 {
        let body = json!({"call_id": format!("c{call}")});
        let (taken, answer) = timed(|| stack.post("/v1/calls/admit", &body));
        answer.expect(200);
        assert!(taken < Duration::from_secs(10), "{taken:?}");
        stack.post("/v1/calls/release", &body).expect(200);
    }
    done.store(true, Ordering::Relaxed);
    for offender in offenders {
        offender.join().expect("an offender fails");
    }
    Arc::into_inner(running).expect("the offenders are gone").stop();
}
