//! Opening, appending, syncing, closing, and the lock.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;

use super::*;
use crate::journal::FRAME_BYTES_MAX;

#[test]
fn what_was_appended_is_replayed_in_order_after_a_clean_stop() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, log, recovered) = open(directory.path());
    assert_eq!(log, Log::default());
    assert_eq!(recovered.last, Position(0));
    append_numbered(&journal, 500);
    let stream = journal.stream();
    drop(journal);
    let (journal, log, recovered) = open(directory.path());
    assert_numbered(&log, 500);
    let last = Position(500);
    assert_eq!(recovered, Recovered { snapshot: Position(0), payloads: 500, last, lost_bytes: 0 });
    assert_eq!(journal.stream(), stream, "a journal keeps its name");
    assert_eq!(append(&journal, b"more").unwrap(), Position(501), "positions run on");
}

#[test]
fn an_empty_journal_keeps_its_stream_and_its_files_small() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Journal::open(directory.path(), small()).unwrap().is_new());
    let (journal, ..) = open(directory.path());
    let stream = journal.stream();
    drop(journal);
    let segments = files(directory.path(), ".log");
    assert_eq!(segments.len(), 1);
    assert_eq!(fs::metadata(&segments[0]).unwrap().len(), 64);
    assert!(!Journal::open(directory.path(), small()).unwrap().is_new());
    for _ in 0..3 {
        let (journal, log, _) = open(directory.path());
        assert_eq!((journal.stream(), log), (stream, Log::default()));
    }
    assert_eq!(files(directory.path(), ".log").len(), 1);
}

#[test]
fn payloads_of_every_size_up_to_the_limit_survive() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [1, 15, 16, 17, 65_400, 65_456, 65_472, 70_000, 1 << 20, 5 << 20, 3, 1];
    let (journal, ..) = open(directory.path());
    for size in sizes {
        append(&journal, &vec![7; size]).unwrap();
    }
    let copy = crash_copy(&journal);
    drop(journal);
    for directory in [directory.path(), copy.path()] {
        let (_, log, recovered) = open(directory);
        assert_eq!(log.payloads().iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        assert_eq!(recovered.lost_bytes, 0);
    }
}

#[test]
fn the_largest_payload_is_taken_and_a_larger_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    let bytes = FRAME_BYTES_MAX + 1;
    let mut frame = Frame::new();
    frame.payload_mut().resize(16 + bytes, 1);
    assert_eq!(journal.append(&mut frame), Err(AppendError::TooLarge { bytes }));
    assert_eq!(frame.payload().len(), bytes, "a refused frame stays as it was");
    frame.payload_mut().truncate(16 + FRAME_BYTES_MAX);
    assert_eq!(journal.append(&mut frame), Ok(Position(1)));
    assert!(frame.payload().is_empty(), "the frame is ready for the next payload");
    drop(journal);
    let (_, log, _) = open(directory.path());
    assert_eq!(log.entries[0].1.len(), FRAME_BYTES_MAX);
}

#[test]
fn an_empty_payload_appends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    assert_eq!(append(&journal, b""), Ok(Position(0)));
    append(&journal, b"x").unwrap();
    assert_eq!(append(&journal, b""), Ok(Position(1)));
}

#[test]
fn threads_append_each_payload_once_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    thread::scope(|scope| {
        for thread in 0..4_u8 {
            let journal = &journal;
            scope.spawn(move || {
                let mut frame = Frame::new();
                for number in 0..500_u32 {
                    frame.payload_mut().push(thread);
                    frame.payload_mut().extend_from_slice(&number.to_le_bytes());
                    frame.payload_mut().resize(16 + 5 + number as usize, thread);
                    journal.append(&mut frame).unwrap();
                }
            });
        }
    });
    drop(journal);
    let (_, log, _) = open(directory.path());
    for thread in 0..4_u8 {
        let own: Vec<_> = log.payloads().into_iter().filter(|p| p[0] == thread).collect();
        assert_eq!(own.len(), 500);
        for (number, payload) in own.iter().enumerate() {
            assert_eq!(payload.len(), 5 + number);
            assert_eq!(payload[1..5], u32::try_from(number).unwrap().to_le_bytes());
        }
    }
}

#[test]
fn one_fsync_serves_everything_appended_within_the_interval() {
    let directory = tempfile::tempdir().unwrap();
    let interval = Duration::from_millis(200);
    let (journal, ..) =
        open_with(directory.path(), Settings { sync_interval: interval, ..small() });
    let journal = Arc::new(journal);
    append(&journal, b"opens the interval").unwrap();
    wait_durable(&journal);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let announced = runtime.block_on(async {
        let mut progress = journal.parts.synced.subscribe();
        progress.mark_unchanged();
        for _ in 0..100 {
            append(&journal, b"waits").unwrap();
        }
        journal.durable(Position(50)).await.unwrap();
        let announced = *progress.borrow_and_update();
        journal.durable(Position(101)).await.unwrap();
        assert!(!progress.has_changed().unwrap(), "one sync was enough");
        announced
    });
    assert_eq!(announced.through, Position(101));
}

#[test]
fn a_position_that_was_never_appended_is_not_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append(&journal, b"x").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waited = runtime.block_on(async {
        let patience = Duration::from_millis(50);
        tokio::time::timeout(patience, journal.durable(Position(2))).await
    });
    assert!(waited.is_err());
}

#[test]
fn a_second_opener_is_refused_with_directory_and_process() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    let message = try_open(directory.path()).err().expect("refused").to_string();
    assert!(message.contains(directory.path().to_str().unwrap()), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert!(message.contains("stop that process"), "{message}");
    append(&journal, b"the first one works on").unwrap();
    drop(journal);
    assert_eq!(open(directory.path()).1.entries.len(), 1);
}

#[test]
fn nobody_but_the_owner_can_read_what_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 100);
    journal.compact_now(Log::default()).unwrap();
    for suffix in [".log", ".snap"] {
        let path = files(directory.path(), suffix).pop().unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn segment_sizes_outside_the_limits_are_refused_with_the_numbers() {
    let directory = tempfile::tempdir().unwrap();
    for segment_bytes in [0, 65_535, (4 << 30) + 1] {
        let settings = Settings { segment_bytes, ..small() };
        let message = try_open_with(directory.path(), settings).err().unwrap().to_string();
        assert!(message.contains(&segment_bytes.to_string()), "{message}");
        assert!(message.contains("65536 to 4294967296"), "{message}");
    }
}

#[test]
fn a_write_that_cannot_be_mended_is_reported_once_and_refuses_everything_after() {
    let directory = tempfile::tempdir().unwrap();
    let (settings, reasons) = recording_failures();
    let (journal, ..) = open_with(directory.path(), settings);
    append(&journal, b"recorded").unwrap();
    wait_durable(&journal);
    // A file that cannot be written stands for a broken disk.
    let broken = fs::File::open(&journal.parts.writer.lock().segment.path).unwrap();
    journal.parts.writer.lock().segment.file = Arc::new(broken);
    assert!(matches!(append(&journal, b"lost"), Err(AppendError::Failed(_))));
    assert!(matches!(append(&journal, b"lost"), Err(AppendError::Failed(_))));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(journal.durable(Position(2))).is_err());
    drop(journal);
    let reasons = reasons.lock();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("cannot write to"), "{reasons:?}");
    assert_eq!(open(directory.path()).1.entries.len(), 1);
}

#[test]
fn a_failed_fsync_ends_the_journal_and_what_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (settings, reasons) = recording_failures();
    let (journal, ..) = open_with(directory.path(), settings);
    // Writing to this device works, syncing it does not.
    let unsyncable = fs::File::options().write(true).open("/dev/null").unwrap();
    journal.parts.writer.lock().segment.file = Arc::new(unsyncable);
    append(&journal, b"written, then lost").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(journal.durable(Position(1))).is_err());
    assert!(matches!(append(&journal, b"refused"), Err(AppendError::Failed(_))));
    wait_until("the reason is reported", || !reasons.lock().is_empty());
    assert!(reasons.lock()[0].contains("through to the disk"), "{:?}", reasons.lock());
}
