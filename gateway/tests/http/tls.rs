//! The same by TLS: nothing is answered earlier, nobody is hurt by who cannot speak it, and ends are
//! said.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway::http::{Settings, Tls};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion};
use support::tls::{Issued, TlsStream, connect};

use crate::client::Client;
use crate::world::{ELASTIC, TEN, Watch, World, elastic, ten, wait_until};

/// A world that shows a certificate, and a client that trusts it.
struct Secured {
    world: World,
    tls: Tls,
    trusted: Arc<ClientConfig>,
}

impl Secured {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let issued = Issued::valid();
        let tls: Tls = Arc::new(ArcSwap::from_pointee(issued.shown()));
        let world = World::with(|settings| {
            settings.tls = Some(Arc::clone(&tls));
            change(settings);
        });
        Self { world, tls, trusted: issued.trusted() }
    }

    fn client(&self, key: &str) -> Client<TlsStream> {
        Client::over(connect(self.world.address(), &self.trusted).expect("shaken"), key)
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.world.address()).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        socket
    }
}

/// Whether the server said that it ends, rather than being cut off.
fn ends_with_close_notify(client: &mut Client<TlsStream>) -> bool {
    match client.stream().read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
            false
        }
    }
}

#[test]
fn by_tls_too_an_answer_is_never_seen_before_the_hub_has_recorded_what_it_tells() {
    let secured = Secured::new(|_| {});
    let mut client = secured.client(ELASTIC);
    for number in 1..=500 {
        let body = format!(r#"{{"call_id":"c{number}"}}"#);
        assert_eq!(client.post("/v1/calls/admit", &body).status, 200);
        assert_eq!(secured.world.recorded(elastic()), number);
    }
}

#[test]
fn versions_1_2_and_1_3_are_spoken() {
    let issued = Issued::valid();
    let tls: Tls = Arc::new(ArcSwap::from_pointee(issued.shown()));
    let world = World::with(|settings| settings.tls = Some(tls));
    for (version, spoken) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let trusted = issued.trusted_over(&[version]);
        let mut client = Client::over(connect(world.address(), &trusted).expect("shaken"), TEN);
        assert_eq!(client.get("/v1/concurrency").status, 200);
        assert_eq!(client.stream().conn.protocol_version(), Some(spoken));
    }
}

#[test]
fn pipelined_requests_and_what_is_malformed_after_them_are_answered_in_order() {
    let secured = Secured::new(|_| {});
    let mut client = secured.client(ELASTIC);
    let request = |number| {
        let body = format!(r#"{{"call_id":"c{number}"}}"#);
        client.request("/v1/calls/admit", "", body.as_bytes())
    };
    let mut bytes: Vec<u8> = (0..100).flat_map(request).collect();
    bytes.extend_from_slice(b"nonsense\r\n\r\n");
    client.send(bytes).expect("sent");
    for number in 0..100 {
        assert_eq!(client.reply().json()["call_id"], format!("c{number}"));
    }
    assert_eq!(client.reply().status, 400);
    assert!(ends_with_close_notify(&mut client));
    assert_eq!(secured.world.recorded(elastic()), 100);
}

#[test]
fn a_request_in_records_of_one_byte_is_answered() {
    let secured = Secured::new(|_| {});
    let mut client = secured.client(TEN);
    for byte in client.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#) {
        client.send([byte]).expect("sent");
    }
    assert_eq!(client.reply().status, 200);
}

#[test]
fn a_long_batch_waits_for_its_reader_and_others_are_answered_meanwhile() {
    let secured = Secured::new(|settings| settings.threads = 1);
    let mut long = secured.client(ELASTIC);
    let line = |number: usize| format!("{{\"op\":\"admit\",\"call_id\":\"c{number}\"}}\n");
    let body: String = (0..10_000).map(line).collect();
    let request = long.request("/v1/calls/batch", "", body.as_bytes());
    let mut other = secured.client(TEN);
    long.send(request).expect("sent");
    for number in 0..10 {
        let body = format!(r#"{{"call_id":"o{number}"}}"#);
        assert_eq!(other.post("/v1/calls/admit", &body).status, 200);
    }
    let reply = long.reply();
    assert_eq!(reply.body.lines().count(), 10_000);
    for (number, line) in reply.body.lines().enumerate() {
        assert!(line.contains(&format!("\"c{number}\"")), "{line}");
    }
    assert_eq!(long.get("/v1/concurrency").status, 200);
}

#[test]
fn a_client_that_never_reads_is_stopped_and_then_closed() {
    let secured = Secured::new(|settings| {
        settings.threads = 1;
        settings.write_s = 1;
    });
    let mut flood = secured.client(ELASTIC);
    let request = flood.request("/v1/calls/admit", "", br#"{"call_id":"same"}"#).repeat(64);
    let began = Watch::start();
    let mut sent = 0;
    while flood.send(&request).is_ok() {
        sent += request.len();
        assert!(began.elapsed() < Duration::from_secs(15), "still open after {sent} bytes");
    }
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    wait_until(Duration::from_secs(5), || secured.world.server().connections() == 0);
    assert_eq!(secured.client(TEN).get("/v1/concurrency").status, 200);
}

#[test]
fn plain_http_and_noise_are_closed_at_once_and_hurt_nobody() {
    let secured = Secured::new(|settings| settings.threads = 1);
    let mut kept = secured.client(TEN);
    let request = kept.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    let noise = vec![0x16; 4096];
    let began = Watch::start();
    for bytes in [request, noise] {
        let mut socket = secured.socket();
        socket.write_all(&bytes).expect("sent");
        let mut answer = Vec::new();
        // An alert at most, then the end; a reset tells the same.
        let _reset = socket.read_to_end(&mut answer);
        assert!(answer.len() < 16 && !answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(kept.get("/v1/concurrency").status, 200);
    assert_eq!(secured.world.recorded(ten()), 0);
    wait_until(Duration::from_secs(5), || secured.world.server().connections() == 1);
    assert_eq!(secured.world.server().tally().handshakes_failed(), 2);
}

#[test]
fn a_handshake_that_does_not_end_in_time_closes_the_connection_however_it_drips() {
    let secured = Secured::new(|settings| settings.header_s = 1);
    let mut silent = secured.socket();
    let mut dripping = secured.socket();
    let began = Watch::start();
    // A record of a handshake that is announced as long, and comes byte by byte.
    dripping.write_all(&[0x16, 0x03, 0x01, 0x20, 0x00, 0x01]).expect("sent");
    while dripping.write_all(&[0]).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "still open");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("the end");
    assert_eq!(secured.world.server().tally().connections_timed_out(), 2);
}

#[test]
fn after_a_replacement_new_connections_see_the_new_certificate_and_old_ones_go_on() {
    let secured = Secured::new(|_| {});
    let mut old = secured.client(TEN);
    assert_eq!(old.get("/v1/concurrency").status, 200);
    let other = Issued::valid();
    secured.tls.store(Arc::new(other.shown()));
    assert!(connect(secured.world.address(), &secured.trusted).is_err(), "the former is shown");
    let new = connect(secured.world.address(), &other.trusted()).expect("shaken");
    let shown = new.conn.peer_certificates().and_then(<[_]>::first).cloned();
    assert_eq!(shown, Some(other.der()));
    assert_eq!(Client::over(new, TEN).get("/v1/concurrency").status, 200);
    assert_eq!(old.get("/v1/concurrency").status, 200);
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_answer() {
    let secured = Secured::new(|_| {});
    let mut client = secured.client(TEN);
    let request = client.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    client.send(request).expect("sent");
    client.stream().conn.send_close_notify();
    client.stream().flush().expect("sent");
    assert_eq!(client.reply().status, 200);
    assert!(ends_with_close_notify(&mut client));
}

#[test]
fn idle_connections_and_drained_ones_are_ended_by_close_notify() {
    let mut secured = Secured::new(|settings| {
        settings.threads = 1;
        settings.idle_s = 1;
    });
    let mut idle = secured.client(TEN);
    assert_eq!(idle.get("/v1/concurrency").status, 200);
    assert!(ends_with_close_notify(&mut idle), "after the idle limit");

    let mut waiting = secured.client(TEN);
    let mut busy = secured.client(TEN);
    assert_eq!(waiting.get("/v1/concurrency").status, 200);
    let request = busy.request("/v1/calls/admit", "", br#"{"call_id":"a"}"#);
    let (first, rest) = request.split_at(request.len() - 1);
    busy.send(first).expect("sent");
    // The answer to a later request shows that the first part has been read.
    assert_eq!(secured.client(TEN).get("/v1/concurrency").status, 200);
    let _never_shakes_hands = secured.socket();
    let rest = rest.to_vec();
    let finishing = std::thread::spawn(move || {
        assert!(ends_with_close_notify(&mut waiting), "drained while idle");
        busy.send(rest).expect("sent");
        assert_eq!(busy.reply().json()["reason"], "draining");
        assert!(ends_with_close_notify(&mut busy), "drained after its answer");
    });
    let began = Watch::start();
    secured.world.drain(Duration::from_secs(30));
    assert!(began.elapsed() < Duration::from_secs(20), "a handshake is not waited for");
    finishing.join().expect("every end was said");
}
