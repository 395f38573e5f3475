//! Very many connections, and clients that do not read.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use support::wait::timed;
use support::{Account, wait_until};

use crate::installation;

const IDLE: usize = 10_000;
/// Connections opened at once: well below the kernel's queue of each listener.
const BURST: usize = 500;

#[test]
fn ten_thousand_idle_connections_slow_nobody() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(IDLE).expect("few") + 1_000;
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= wanted),
        "this test needs a hard limit of {wanted} open files (ulimit -Hn): {limit:?}"
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
        .expect("below the hard limit");
    let running = installation().start();
    let account = Account::limited(&running, "busy", 10);
    let mut stack = running.gateway(&account.key);
    let mut idle = Vec::with_capacity(IDLE);
    while idle.len() < IDLE {
        for _ in 0..BURST {
            idle.push(TcpStream::connect(running.gateway).expect("a connection"));
        }
        // The kernel's queue of connections holds so many; the next burst waits for the server.
        stack.get("/v1/concurrency").expect(200);
        running.gateway(&account.key).get("/v1/concurrency").expect(200);
    }
    for call in 0..500 {
        let body = json!({"call_id": format!("c{call}")});
        let (taken, answer) = timed(|| stack.post("/v1/calls/admit", &body));
        answer.expect(200);
        assert!(taken < Duration::from_secs(10), "{taken:?}");
        stack.post("/v1/calls/release", &body).expect(200);
    }
    drop(idle);
    running.gateway(&account.key).get("/v1/concurrency").expect(200);
    running.stop();
}

#[test]
fn a_client_that_pipelines_and_never_reads_is_held_back_and_others_go_on() {
    let running = installation().start();
    let account = Account::limited(&running, "pipelined", 10);
    let mut greedy = TcpStream::connect(running.gateway).expect("a connection");
    greedy.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let request = format!(
        "GET /v1/concurrency HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        account.key
    )
    .repeat(100);
    let mut sent = 0;
    while sent < 256 * 1024 * 1024 && greedy.write_all(request.as_bytes()).is_ok() {
        sent += request.len();
    }
    assert!(sent < 256 * 1024 * 1024, "nothing held the client back");
    wait_until("others are served", Duration::from_secs(2), || {
        running.gateway(&account.key).get("/v1/concurrency").status == 200
    });
    running.stop();
}
