//! Snapshots made beside the running journal.

use super::*;
use crate::clock;

/// Compacts often.
fn often() -> Settings {
    Settings { compact_after_bytes: 200_000, ..small() }
}

#[test]
fn a_compacted_journal_recovers_to_the_same_as_a_replayed_one() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 150);
    let replayed = crash_copy(&journal);
    let done = journal.compact_now(Log::default()).unwrap();
    assert_eq!(done.position, Position(150));
    assert!(done.replaced_bytes > 150_000 && done.snapshot_bytes > 150_000, "{done:?}");
    append_numbered(&journal, 10);
    let compacted = crash_copy(&journal);
    assert_eq!(files(compacted.path(), ".snap").len(), 1);
    assert_eq!(files(compacted.path(), ".log").len(), 1, "older segments are gone");
    let (_, from_snapshot, recovered) = open(compacted.path());
    let (_, mut from_segments, _) = open(replayed.path());
    from_segments.entries.extend((151..=160).map(|number| (number, numbered(number))));
    assert!(from_snapshot == from_segments);
    let last = Position(160);
    assert_eq!(recovered, Recovered { snapshot: Position(150), payloads: 10, last, lost_bytes: 0 });
}

#[test]
fn compacting_again_builds_on_the_snapshot_before() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    let stream = journal.stream();
    for round in 1..=5 {
        append_numbered(&journal, 30);
        let done = journal.compact_now(Log::default()).unwrap();
        assert_eq!(done.position, Position(30 * round));
    }
    let idle = journal.compact_now(Log::default()).unwrap();
    assert_eq!((idle.position, idle.replaced_bytes), (Position(150), 0), "nothing left to do");
    drop(journal);
    let (journal, log, _) = open(directory.path());
    assert_numbered(&log, 150);
    assert_eq!(journal.stream(), stream);
}

#[test]
fn an_empty_journal_can_be_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    assert_eq!(journal.compact_now(Log::default()).unwrap().position, Position(0));
    drop(journal);
    assert_eq!(open(directory.path()).1, Log::default());
}

#[test]
fn the_background_compacts_while_appends_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open_with(directory.path(), often());
    journal.compact_in_background(Log::default).unwrap();
    append_numbered(&journal, 2_000);
    wait_until("a snapshot is there", || !files(directory.path(), ".snap").is_empty());
    append_numbered(&journal, 500);
    drop(journal);
    let (_, log, recovered) = open(directory.path());
    assert_numbered(&log, 2_500);
    assert!(recovered.snapshot > Position(100), "{recovered:?}");
}

#[test]
fn many_short_runs_leave_few_segments() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..70 {
        let (journal, ..) = open(directory.path());
        append_numbered(&journal, 1);
    }
    let (journal, ..) = open(directory.path());
    journal.compact_in_background(Log::default).unwrap();
    wait_until("they are compacted", || files(directory.path(), ".log").len() == 1);
    drop(journal);
    assert_numbered(&open(directory.path()).1, 70);
}

#[test]
fn a_crash_between_the_new_snapshot_and_the_removal_of_the_old_files_is_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 100);
    journal.compact_now(Log::default()).unwrap();
    append_numbered(&journal, 100);
    let before = crash_copy(&journal);
    journal.compact_now(Log::default()).unwrap();
    let after = crash_copy(&journal);
    for path in files(after.path(), "") {
        fs::copy(&path, before.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::write(before.path().join("snapshot.tmp"), b"half a snapshot").unwrap();
    assert_eq!(files(before.path(), ".snap").len(), 2);
    let (journal, log, recovered) = open(before.path());
    assert_numbered(&log, 200);
    assert_eq!(recovered.snapshot, Position(200));
    settle(&journal);
    assert_eq!(files(before.path(), ".snap").len(), 1);
    assert_eq!(files(before.path(), ".log").len(), 1);
    assert!(!before.path().join("snapshot.tmp").exists());
}

#[test]
fn compaction_that_meets_damage_says_where_and_leaves_everything_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 150);
    settle(&journal);
    let segment = files(directory.path(), ".log").remove(0);
    flip(&segment, 5_000);
    let message = journal.compact_now(Log::default()).err().unwrap().to_string();
    assert!(message.contains(segment.to_str().unwrap()), "{message}");
    assert!(files(directory.path(), ".snap").is_empty());
    flip(&segment, 5_000);
    append_numbered(&journal, 50);
    assert_eq!(journal.compact_now(Log::default()).unwrap().position, Position(200));
}

#[test]
fn a_stop_does_not_wait_for_a_compaction_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { segment_bytes: 4 << 20, ..often() };
    let (journal, ..) = open_with(directory.path(), settings);
    for _ in 0..100 {
        append(&journal, &vec![1; 500_000]).unwrap();
    }
    journal.compact_in_background(Slow::default).unwrap();
    wait_until("it has begun", || journal.parts.compacting.is_locked());
    let before_us = clock::boot_us();
    drop(journal);
    let stopped_after_us = clock::boot_us() - before_us;
    assert!(stopped_after_us < 5 * clock::SECOND_US, "{stopped_after_us} µs");
    assert_eq!(open(directory.path()).1.entries.len(), 100);
}

/// Takes 100 ms for each payload.
#[derive(Default)]
struct Slow;

impl Image for Slow {
    fn load(&mut self, _: &[u8]) -> Result<(), Refusal> {
        Ok(())
    }

    fn apply(&mut self, _: Position, _: &[u8]) -> Result<(), Refusal> {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn save(self, _: &mut dyn FnMut(&[u8])) {}
}
