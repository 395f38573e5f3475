//! Requests that are wrong: each gets its status or a closed connection, and names what is wrong.

use crate::world::{TEN, World, ten};

/// A body with one member replaced or added.
fn admit_with(name: &str, value: &str) -> String {
    match name {
        "call_id" => format!(r#"{{"call_id":{value}}}"#),
        _ => format!(r#"{{"call_id":"x","{name}":{value}}}"#),
    }
}

#[test]
fn every_wrong_field_of_an_admit_is_named_with_its_value() {
    let world = World::new();
    let mut client = world.client(TEN);
    let long = format!("\"{}\"", "x".repeat(256));
    let id_129 = format!("\"{}\"", "x".repeat(129));
    let wrong = [
        ("call_id", "\"\""),
        ("call_id", "\"a b\""),
        ("call_id", "\"é\""),
        ("call_id", &id_129),
        ("call_id", "7"),
        ("call_id", "null"),
        ("account", "\"sa_nonsense\""),
        ("account", "1"),
        ("direction", "\"sideways\""),
        ("direction", "true"),
        ("from", &long),
        ("from", "\"a\\u0007b\""),
        ("to", "[1]"),
        ("agent_id", "{}"),
        ("source", "1.5"),
        ("requested_s", "0"),
        ("requested_s", "86401"),
        ("requested_s", "-1"),
        ("requested_s", "1.0"),
        ("requested_s", "1e2"),
        ("requested_s", "\"\""),
        ("requested_s", "\" 5\""),
        ("requested_s", "99999999999999999999"),
        ("requested_s", "true"),
        ("lease_s", "9"),
        ("lease_s", "14401"),
        ("lease_s", "\"ten\""),
        ("token", "\"t\""),
        ("colour", "1"),
        ("status", "\"404\""),
        ("op", "\"admit\""),
    ];
    for (name, value) in wrong {
        let reply = client.post("/v1/calls/admit", &admit_with(name, value));
        assert_eq!(reply.status, 400, "{name}={value}: {reply:?}");
        assert_eq!(reply.bad_fields(), [name], "{value}");
        assert_eq!(reply.json()["reason"], "invalid_request");
    }
    let reply = client.post("/v1/calls/admit", r#"{"call_id":"x","requested_s":"86401"}"#);
    let problem = "\"86401\" is out of range; expected a whole number from 1 to 86400";
    assert_eq!(reply.json()["errors"][0]["problem"], problem);
    assert_eq!(world.recorded(ten()), 0);
}

#[test]
fn values_at_the_limits_are_accepted() {
    let world = World::new();
    let mut client = world.client(TEN);
    let right = [
        ("call_id", format!("\"{}\"", "~".repeat(128))),
        ("from", format!("\"{}\"", "x".repeat(255))),
        ("requested_s", "1".into()),
        ("requested_s", "86400".into()),
        ("requested_s", "\"86400\"".into()),
        ("lease_s", "10".into()),
        ("lease_s", "14400".into()),
        ("to", "null".into()),
    ];
    for (name, value) in right {
        let reply = client.post("/v1/calls/admit", &admit_with(name, &value));
        assert_eq!(reply.status, 200, "{name}={value}: {reply:?}");
    }
}

#[test]
fn every_wrong_field_of_the_other_operations_is_named() {
    let world = World::new();
    let mut client = world.client(TEN);
    let costs = format!("\"{}\"", "x".repeat(4095));
    let release = |member: &str| format!(r#"{{"call_id":"x",{member}}}"#);
    for (target, body, named) in [
        ("release", release(r#""outcome":"finished""#), "outcome"),
        ("release", release(r#""billable_s":-1"#), "billable_s"),
        ("release", release(r#""billable_s":2592001"#), "billable_s"),
        ("release", release(&format!("\"costs\":{costs}")), "costs"),
        ("release", release(r#""requested_s":5"#), "requested_s"),
        ("renew", release(r#""lease_s":50"#), "lease_s"),
        ("answer", release(r#""token":"x""#), "token"),
        ("answer", "{}".into(), "call_id"),
        ("reconcile", r#"{"live":[]}"#.into(), "source"),
        ("reconcile", r#"{"source":"","live":[]}"#.into(), "source"),
        ("reconcile", r#"{"source":"s","live":"a"}"#.into(), "live"),
        ("reconcile", r#"{"source":"s","live":[],"complete":"yes"}"#.into(), "complete"),
    ] {
        let reply = client.post(&format!("/v1/calls/{target}"), &body);
        assert_eq!((reply.status, reply.bad_fields()), (400, vec![named.to_owned()]), "{body}");
    }
    for (target, named) in [
        ("/v1/calls?state=ended", "state"),
        ("/v1/calls?limit=0", "limit"),
        ("/v1/calls?limit=1001", "limit"),
        ("/v1/calls?cursor=xyz", "cursor"),
        ("/v1/calls?call_id=x", "call_id"),
        ("/v1/calls/x?source=s", "source"),
        ("/v1/calls/%ff", "path"),
        ("/v1/calls/a%20b", "call_id"),
        ("/v1/concurrency?account=%zz", "account"),
    ] {
        let reply = client.get(target);
        assert_eq!((reply.status, reply.bad_fields()), (400, vec![named.to_owned()]), "{target}");
    }
}

#[test]
fn all_bad_fields_are_named_at_once() {
    let world = World::new();
    let body = r#"{"direction":"up","requested_s":0,"lease_s":1,"x":1,"to":1,"to":2}"#;
    let reply = world.client(TEN).post("/v1/calls/admit", body);
    let named = ["call_id", "direction", "lease_s", "requested_s", "to", "to", "x"];
    assert_eq!(reply.bad_fields(), named);
    for name in named {
        assert!(reply.json()["message"].as_str().expect("text").contains(name));
    }
}

#[test]
fn a_field_in_query_and_body_or_twice_in_one_is_refused() {
    let world = World::new();
    let mut client = world.client(TEN);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let reply = client.post("/v1/calls/admit?call_id=a", r#"{"call_id":"a"}"#);
    assert_eq!((reply.status, reply.bad_fields()), (400, vec!["call_id".to_owned()]));
    let reply = client.post_with("/v1/calls/admit?call_id=a", form, b"to=1&to=2&call_id=a");
    assert_eq!(reply.bad_fields(), ["call_id", "to"]);
    assert_eq!(client.post_with("/v1/calls/admit?call_id=a", form, b"to=1").status, 200);
}

#[test]
fn a_token_is_never_repeated_in_an_error() {
    let world = World::new();
    let secret = format!("s3cret{}", "x".repeat(300));
    let body = format!(r#"{{"call_id":"a","token":"{secret}"}}"#);
    let reply = world.client(TEN).post("/v1/calls/renew", &body);
    assert_eq!((reply.status, reply.bad_fields()), (400, vec!["token".to_owned()]));
    assert!(!reply.body.contains("s3cret"), "{reply:?}");
}

#[test]
fn bodies_are_read_by_type_and_by_their_first_byte() {
    let world = World::new();
    let mut client = world.client(TEN);
    let mut status =
        |headers: &str, body: &[u8]| client.post_with("/v1/calls/admit", headers, body).status;
    assert_eq!(status("", b"{\"call_id\":\"a\"}"), 200);
    assert_eq!(status("", b" \n{\"call_id\":\"a\"}"), 200);
    assert_eq!(status("", b"call_id=a"), 200);
    assert_eq!(status("Content-Type: text/plain\r\n", b"call_id=a"), 200);
    assert_eq!(
        status("Content-Type: Application/JSON; charset=utf-8\r\n", b"{\"call_id\":\"a\"}"),
        200
    );
    assert_eq!(status("Content-Type: application/json\r\n", b"call_id=a"), 400);
    assert_eq!(status("Content-Type: application/json\r\n", b""), 400);
    assert_eq!(status("Content-Type: text/xml\r\n", b"<a/>"), 400);
    for body in [
        &b"{\"call_id\":\"\xff\"}"[..],
        b"call_id=\xff",
        b"call_id=%C3",
        b"{\"call_id\":\"a\"",
        b"{\"call_id\":\"a\"}}",
        b"{\"call_id\":\"\\ud800\"}",
        b"[]",
        b"null",
        b"{\"call_id\":\"a\",}",
    ] {
        assert_eq!(status("", body), 400, "{body:?}");
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_the_connection_closed() {
    let world = World::new();
    let mut client = world.client(TEN);
    let padded = |length: usize| {
        let body = r#"{"call_id":"a"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(client.post("/v1/calls/admit", &padded(16 * 1024)).status, 200);
    let reply = client.post("/v1/calls/admit", &padded(16 * 1024 + 1));
    assert_eq!((reply.status, &reply.json()["sip_code"]), (413, &513.into()));
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(client.is_ended());

    // The client may find the connection closed while it is still sending.
    let mut client = world.client(TEN);
    let request = client.request("/v1/calls/admit", "", &vec![b'x'; 1024 * 1024]);
    let sent = client.send(request);
    match client.try_reply() {
        Ok(Some(reply)) => assert_eq!(reply.status, 413),
        other => assert!(sent.is_err() || other.is_err(), "{other:?}"),
    }
    let mut client = world.client(TEN);
    let head = "POST /v1/calls/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 8388609\r\n";
    client.send(format!("{head}Authorization: Bearer {TEN}\r\n\r\n")).expect("sent");
    assert_eq!(client.reply().status, 413);
}

#[test]
fn an_endless_chunked_body_is_refused_at_the_limit() {
    let world = World::new();
    let mut client = world.client(TEN);
    let head = "POST /v1/calls/admit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    client.send(format!("{head}Authorization: Bearer {TEN}\r\n\r\n")).expect("sent");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let ended = (0..10_000).any(|_| client.send(&chunk).is_err());
    assert!(ended, "ten megabytes were taken");
}

#[test]
fn malformed_and_oversized_headers_get_their_status() {
    let world = World::new();
    let status = |request: String| {
        let mut client = world.client("");
        client.send(request).expect("sent");
        client.reply().status
    };
    assert_eq!(status("nonsense\r\n\r\n".into()), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nno colon\r\n\r\n".into()), 400);
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(17 * 1024));
    assert_eq!(status(large), 431);
    let lines = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(status(lines(64)), 404);
    assert_eq!(status(lines(65)), 431);
    assert_eq!(status(lines(200)), 431);
}

#[test]
fn a_request_that_ends_early_gets_no_call() {
    let world = World::new();
    let mut client = world.client(TEN);
    let request = client.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    client.send(&request[..request.len() - 1]).expect("sent");
    client.end();
    match client.try_reply() {
        Ok(reply) => assert!(reply.is_none_or(|reply| reply.status == 400)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert_eq!(world.recorded(ten()), 0);
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answer() {
    let world = World::new();
    let mut client = world.client(TEN);
    let request = client.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    client.send(request).expect("sent");
    client.end();
    assert_eq!(client.reply().status, 200);
    assert!(client.is_ended());
}
