//! A full disk: admits are refused, releases are kept, and all is well when there is space again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use support::command::quoted;
use support::{Account, Client, Installation, Running, wait_until};

use crate::BINARY;

/// Runs the binary with a data directory on a file system of its own, which nobody but the process
/// sees and which goes with it.
fn on_a_small_disk(mount_point: &Path) -> Installation {
    let data = mount_point.join("data");
    let program = quoted(BINARY);
    let script = format!(
        "mount -t tmpfs -o size=400m tmpfs {} && exec {program} \"$@\"",
        quoted(&mount_point.display().to_string()),
    );
    Installation::new(BINARY)
        .in_directory(&data)
        .wrapped(&["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
        .set("RINGFENCE_CALL_LEASE_S", "600")
}

/// The mount point as the process sees it.
fn seen_by(running: &Running, mount_point: &Path) -> PathBuf {
    let below_root = mount_point.strip_prefix("/").expect("an absolute path");
    PathBuf::from(format!("/proc/{}/root", running.pid())).join(below_root)
}

fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file beside the data");
    let mut block = vec![0; 1024 * 1024];
    while !block.is_empty() {
        match file.write_all(&block) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => block.truncate(block.len() / 2),
            Err(error) => unreachable!("{error}"),
        }
    }
}

/// Admits until the hub cannot record any more; the last call that was admitted.
fn admit_until_full(stack: &mut Client) -> String {
    let mut last = "first".to_owned();
    for number in 0..500_000 {
        let call_id = format!("filling-{number}-{}", "x".repeat(90));
        let body = json!({"call_id": call_id});
        // The admit that finds the disk full may get no answer at all: it is not recorded.
        let Ok(answer) = stack.try_post("/v1/calls/admit", &body) else {
            continue;
        };
        if answer.status == 503 {
            assert_eq!(answer.reason(503), "hub_unavailable");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            return last;
        }
        answer.expect(200);
        last = call_id;
    }
    unreachable!("the disk is full and calls are still admitted")
}

#[test]
fn a_full_disk_refuses_admits_and_keeps_releases() {
    let mount_point = tempfile::tempdir().expect("a temporary directory");
    let installation =
        on_a_small_disk(mount_point.path()).set("RINGFENCE_CONCURRENCY_TOTAL", "1000000");
    let running = installation.start();
    let account = Account::limited(&running, "filling", 1_000_000);
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &json!({"call_id": "first"})).expect(200);

    let filler = seen_by(&running, mount_point.path()).join("filler");
    fill(&filler);
    let last = admit_until_full(&mut stack);
    assert_eq!(running.ops().get("/readyz").status, 503);
    let before = account.in_use(&running);
    for call_id in ["first", &last] {
        let receipt = stack.post("/v1/calls/release", &json!({"call_id": call_id})).expect(200);
        assert_eq!(receipt["state"], "ended");
    }
    assert_eq!(account.in_use(&running), before - 2);

    fs::remove_file(&filler).expect("the filler");
    wait_until("admits go on", Duration::from_secs(10), || {
        stack.post("/v1/calls/admit", &json!({"call_id": "after"})).status == 200
    });
    wait_until("it is ready", Duration::from_secs(5), || {
        running.ops().get("/readyz").status == 200
    });
    assert_eq!(stack.get("/v1/calls/first").expect(200)["state"], "ended");
    running.stop();
}
