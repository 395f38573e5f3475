//! The answer gate: one turn, one flush, one send; and nothing told that was not recorded.

use std::io::Read;
use std::net::TcpStream;

use crate::world::{ELASTIC, TEN, World, elastic, ten};

#[test]
fn an_answer_is_never_seen_before_the_hub_has_recorded_what_it_tells() {
    let world = World::new();
    let mut client = world.client(ELASTIC);
    for number in 1..=500 {
        let body = format!(r#"{{"call_id":"c{number}"}}"#);
        assert_eq!(client.post("/v1/calls/admit", &body).status, 200);
        assert_eq!(world.recorded(elastic()), number);
    }
}

#[test]
fn sixteen_pipelined_requests_are_answered_in_order_by_one_send() {
    let world = World::new();
    let mut client = world.client(ELASTIC);
    let body = |number| format!(r#"{{"call_id":"c{number}"}}"#);
    for number in 0..16 {
        client.post("/v1/calls/admit", &body(number));
    }
    let requests: Vec<u8> = (0..16)
        .flat_map(|number| client.request("/v1/calls/release", "", body(number).as_bytes()))
        .collect();
    let mut stream = TcpStream::connect(world.address()).expect("connected");
    std::io::Write::write_all(&mut stream, &requests).expect("sent");
    // One read gets what one send sent: 16 answers of more than 400 bytes.
    let mut buffer = vec![0; 64 * 1024];
    let read = stream.read(&mut buffer).expect("answers");
    let text = String::from_utf8_lossy(&buffer[..read]);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 16, "{text}");
    let places: Vec<_> = (0..16).map(|number| text.find(&format!("\"c{number}\""))).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
}

#[test]
fn pipelined_answers_are_sent_also_when_what_follows_is_malformed() {
    let world = World::new();
    let mut client = world.client(TEN);
    let mut bytes = client.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    bytes.extend_from_slice(b"nonsense\r\n\r\n");
    client.send(bytes).expect("sent");
    assert_eq!(client.reply().status, 200);
    assert_eq!(client.reply().status, 400);
    assert!(client.is_ended());
    assert_eq!(world.recorded(ten()), 1);
}
