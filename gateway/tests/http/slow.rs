//! Clients that are slow or silent: they end by themselves, and nobody else notices.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::world::{ELASTIC, TEN, Watch, World, wait_until};

fn quick() -> World {
    World::with(|settings| {
        settings.threads = 1;
        settings.header_s = 1;
        settings.body_s = 1;
        settings.write_s = 1;
        settings.idle_s = 2;
    })
}

#[test]
fn a_header_that_does_not_end_in_time_closes_the_connection_however_it_drips() {
    let world = quick();
    let mut client = world.client("");
    let began = Watch::start();
    client.send("GET / HTTP/1.1\r\n").expect("sent");
    // One byte more than every 100 ms does not buy more time.
    while client.send("X").is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "still open");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(world.server().tally().connections_timed_out(), 1);
}

#[test]
fn a_body_that_does_not_end_in_time_closes_the_connection() {
    let world = quick();
    let mut client = world.client(TEN);
    let began = Watch::start();
    let request = client.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    client.send(&request[..request.len() - 1]).expect("sent");
    assert!(client.is_ended());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn an_idle_connection_is_closed_after_the_idle_limit_and_not_before() {
    let world = quick();
    let mut client = world.client(TEN);
    let began = Watch::start();
    let mut last = Watch::start();
    while began.elapsed() < Duration::from_secs(3) {
        last = Watch::start();
        assert_eq!(client.get("/v1/concurrency").status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(client.is_ended());
    assert!(last.elapsed() >= Duration::from_secs(2), "{:?}", last.elapsed());
}

#[test]
fn a_client_that_pipelines_and_never_reads_is_stopped_and_then_closed() {
    let world = quick();
    let mut flood = world.client(ELASTIC);
    let request = flood.request("/v1/calls/admit", "", br#"{"call_id":"same"}"#).repeat(64);
    let began = Watch::start();
    let mut sent = 0;
    while flood.send(&request).is_ok() {
        sent += request.len();
        assert!(began.elapsed() < Duration::from_secs(15), "still open after {sent} bytes");
    }
    // The kernel's buffers are all that it could fill.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    wait_until(Duration::from_secs(5), || world.server().connections() == 0);
    assert_eq!(world.client(TEN).get("/v1/concurrency").status, 200);
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once_and_room_comes_back() {
    let world = World::with(|settings| settings.connections_max = 2);
    let mut kept = [world.client(TEN), world.client(TEN)];
    assert!(kept.iter_mut().all(|client| client.get("/v1/concurrency").status == 200));
    assert!(world.client(TEN).is_ended());
    assert_eq!(world.server().tally().connections_refused(), 1);
    let [first, mut second] = kept;
    drop(first);
    wait_until(Duration::from_secs(5), || world.server().connections() == 1);
    assert_eq!(world.client(TEN).get("/v1/concurrency").status, 200);
    assert_eq!(second.get("/v1/concurrency").status, 200);
}

#[test]
fn two_servers_cannot_share_a_port() {
    let world = World::new();
    let settings =
        gateway::http::Settings { listen: world.address(), ..gateway::http::Settings::default() };
    let engine = std::sync::Arc::clone(&world.engine);
    let error = gateway::http::Server::start(engine, settings).err().expect("refused");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let mut stream = TcpStream::connect(world.address()).expect("the first still listens");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
}
