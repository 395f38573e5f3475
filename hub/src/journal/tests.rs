//! Promises of the journal, on real files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

mod compaction;
mod damage;
mod full_disk;
mod kill;
mod lifecycle;
mod torn_tail;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    AppendError, Frame, Image, Journal, OpenError, Position, Recovered, Refusal, Settings,
};

/// The image that forgets nothing: every payload with its position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Log {
    entries: Vec<(u64, Vec<u8>)>,
}

impl Log {
    fn payloads(&self) -> Vec<Vec<u8>> {
        self.entries.iter().map(|(_, payload)| payload.clone()).collect()
    }
}

impl Image for Log {
    fn load(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let (position, payload) = chunk.split_at_checked(8).ok_or(Refusal("short chunk".into()))?;
        self.entries.push((u64::from_le_bytes(position.try_into()?), payload.to_vec()));
        Ok(())
    }

    fn apply(&mut self, position: Position, payload: &[u8]) -> Result<(), Refusal> {
        let last = self.entries.last().map_or(0, |(position, _)| *position);
        assert_eq!(position.0, last + 1, "payloads come in order, each once");
        self.entries.push((position.0, payload.to_vec()));
        Ok(())
    }

    fn save(self, sink: &mut dyn FnMut(&[u8])) {
        for (position, payload) in self.entries {
            sink(&[&position.to_le_bytes()[..], &payload].concat());
        }
    }
}

/// Small segments, and failures that fail the test.
fn small() -> Settings {
    Settings {
        segment_bytes: 64 << 10,
        space_interval: Duration::from_millis(20),
        on_failure: Arc::new(|reason| panic!("the journal failed: {reason}")),
        ..Settings::default()
    }
}

fn open(directory: &Path) -> (Journal, Log, Recovered) {
    open_with(directory, small())
}

fn open_with(directory: &Path, settings: Settings) -> (Journal, Log, Recovered) {
    try_open_with(directory, settings).expect("the journal opens")
}

fn try_open(directory: &Path) -> Result<(Journal, Log, Recovered), OpenError> {
    try_open_with(directory, small())
}

fn try_open_with(
    directory: &Path,
    settings: Settings,
) -> Result<(Journal, Log, Recovered), OpenError> {
    let mut log = Log::default();
    let (journal, recovered) = Journal::open(directory, settings)?.replay(&mut log)?;
    Ok((journal, log, recovered))
}

fn append(journal: &Journal, payload: &[u8]) -> Result<Position, AppendError> {
    let mut frame = Frame::new();
    frame.payload_mut().extend_from_slice(payload);
    journal.append(&mut frame)
}

/// Appends `count` payloads of 1,000 bytes that tell their number.
fn append_numbered(journal: &Journal, count: u64) {
    for _ in 0..count {
        append(journal, &numbered(journal.last().0 + 1)).expect("there is room");
    }
}

fn numbered(number: u64) -> Vec<u8> {
    let mut payload = vec![u8::try_from(number % 251).expect("below 256"); 1_000];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload
}

fn assert_numbered(log: &Log, count: u64) {
    let expected: Vec<_> = (1..=count).map(|number| (number, numbered(number))).collect();
    assert!(log.entries == expected, "{} of {count} payloads, or wrong ones", log.entries.len());
}

fn wait_durable(journal: &Journal) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(journal.durable(journal.last())).expect("the journal works");
}

/// For at most 20 s.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("waited in vain until {what}");
}

/// What a crash at this instant would leave: the files as they are, without the lock.
fn crash_copy(journal: &Journal) -> tempfile::TempDir {
    settle(journal);
    let copy = tempfile::tempdir().unwrap();
    for path in files(journal.parts.directory.path(), "") {
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// Waits until the threads of the journal have nothing more to do.
fn settle(journal: &Journal) {
    wait_durable(journal);
    let first = journal.parts.writer.lock().segment.first;
    wait_until("full segments are sealed", || journal.parts.closed.lock().last().next() == first);
    wait_until("the next segment is ready", || {
        journal.is_full() || journal.parts.space.lock().spare.is_some()
    });
}

/// Sorted by name.
fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
    files.sort();
    files
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Reasons that were reported instead of ending the process.
fn recording_failures() -> (Settings, Arc<Mutex<Vec<String>>>) {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&reasons);
    let on_failure = Arc::new(move |reason: &str| record.lock().push(reason.to_owned()));
    (Settings { on_failure, ..small() }, reasons)
}
