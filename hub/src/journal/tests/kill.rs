//! kill -9 at random moments: everything acknowledged is there, in order, once.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use rand::Rng;

use super::*;

const TEST: &str = "journal::tests::kill::kill_9_loses_no_acknowledged_append";
const CHILD_DIRECTORY: &str = "JOURNAL_TEST_CHILD_DIRECTORY";
const ROUNDS: u32 = 12;

fn busy() -> Settings {
    Settings { segment_bytes: 256 << 10, compact_after_bytes: 1 << 20, ..small() }
}

/// Appends and acknowledges on standard output until it is killed.
fn child(directory: &Path) -> ! {
    let (journal, ..) = open_with(directory, busy());
    journal.compact_in_background(Log::default).unwrap();
    let mut output = std::io::stdout();
    loop {
        append_numbered(&journal, 1);
        writeln!(output, "acknowledged {}", journal.last()).unwrap();
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how this test tells its child from itself")]
fn kill_9_loses_no_acknowledged_append() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        child(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..ROUNDS {
        let lifetime = Duration::from_millis(rand::rng().random_range(5..200));
        let acknowledged = run_and_kill(directory.path(), lifetime);
        let (journal, log, recovered) = open_with(directory.path(), busy());
        let found = recovered.last.0;
        assert_numbered(&log, found);
        // One append may be recorded whose acknowledgement was not read any more.
        let expected = acknowledged.max(before);
        assert!(
            found == expected || found == expected + 1,
            "round {round}, killed after {lifetime:?}: {acknowledged} acknowledged, {found} found"
        );
        before = found;
        drop(journal);
    }
    assert!(before > 0, "the child appended something");
}

/// The last position acknowledged.
fn run_and_kill(directory: &Path, lifetime: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let numbers = lines.map_while(Result::ok).filter_map(|line| {
            line.strip_prefix("acknowledged ").and_then(|number| number.parse().ok())
        });
        numbers.last().unwrap_or(0)
    });
    std::thread::sleep(lifetime);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}
