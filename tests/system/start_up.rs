//! A start with much to recover is quick.

use std::fmt::Write;
use std::time::Duration;

use support::wait::timed;
use support::{Account, Client, say};

use crate::installation;

/// Live calls, tombstones, and the time that a start may take. Unoptimized builds get a tenth of the
/// work: `make bench-startup` measures the real thing.
const fn scale() -> (usize, usize, Duration) {
    if cfg!(debug_assertions) {
        (10_000, 100_000, Duration::from_secs(5))
    } else {
        (100_000, 1_000_000, Duration::from_secs(2))
    }
}

/// Sends `count` operations in batches; every one must succeed.
fn batches(stack: &mut Client, count: usize, line: impl Fn(&mut String, usize)) {
    const BATCH: usize = 5_000;
    for first in (0..count).step_by(BATCH) {
        let mut body = String::new();
        for number in first..count.min(first + BATCH) {
            line(&mut body, number);
        }
        let headers = [("Content-Type", "application/x-ndjson")];
        let answer =
            stack.request("POST", "/v1/calls/batch", &headers, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let refused = text.lines().find(|line| line.contains("\"reason\""));
        assert_eq!(refused, None);
        assert_eq!(text.lines().count(), body.lines().count());
    }
}

#[test]
fn a_large_directory_opens_in_time() {
    let (live, tombstones, time_max) = scale();
    let installation = installation()
        .set("RINGFENCE_CONCURRENCY_TOTAL", "1000000")
        .set("RINGFENCE_CALL_LEASE_S", "3600");
    let running = installation.start();
    let account = Account::limited(&running, "large", 1_000_000);
    let mut stack = running.gateway(&account.key);
    batches(&mut stack, tombstones, |body, number| {
        for operation in ["admit", "release"] {
            writeln!(
                body,
                r#"{{"op":"{operation}","call_id":"ended-call-of-36-bytes-{number:013}"}}"#
            )
            .expect("writing to a string");
        }
    });
    batches(&mut stack, live, |body, number| {
        writeln!(body, r#"{{"op":"admit","call_id":"live-call-of-36-bytes--{number:013}"}}"#)
            .expect("writing to a string");
    });
    running.kill();

    let (taken, running) = timed(|| installation.start());
    say(&format!("{live} live calls and {tombstones} tombstones: started in {taken:?}"));
    assert_eq!(account.in_use(&running), u64::try_from(live).expect("few"));
    let mut stack = running.gateway(&account.key);
    let first = stack.get("/v1/calls/ended-call-of-36-bytes-0000000000000").expect(200);
    assert_eq!(first["state"], "ended");
    assert!(taken < time_max, "started in {taken:?}, expected {time_max:?}");
    running.kill();
}
