//! Compaction: the last snapshot and the closed segments after it are read back, as at a start, into
//! a fresh image, whose content becomes the next snapshot. The live state is never touched, and the
//! open segment only to close it on request.

use std::fs;
use std::time::Duration;

use super::directory::NamedFile;
use super::error::{AppendError, Failed, OpenError, is_full};
use super::header::FileKind;
use super::parts::Parts;
use super::read::{End, FrameReader, Item};
use super::snapshot::{self, FinishedSnapshot, SnapshotError, SnapshotWriter};
use super::{Image, Position};
use crate::clock;

/// As many small segments (of many short runs) are worth a compaction as well.
const CLOSED_SEGMENTS_MAX: usize = 64;
/// The lowest priority a thread can have.
const NICE: i32 = 19;
/// Work is measured, and rested from, in steps of so many bytes read or written.
const STEP_BYTES: usize = 1 << 20;
/// Rest for each unit of work: a third of one core at most.
const REST_PER_WORK: u32 = 2;
/// With so many times the bytes of one compaction waiting, it no longer rests.
const BACKLOG_MAX: u64 = 4;
/// After a compaction that did not succeed.
const BACK_OFF: Duration = Duration::from_mins(1);

/// A compaction that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// The last payload that is in the snapshot.
    pub position: Position,
    /// Size of the segments that the snapshot replaced; 0 when there was nothing to do.
    pub replaced_bytes: u64,
    pub snapshot_bytes: u64,
}

/// No new snapshot was made; the old one and the segments still stand.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error("the disk is full")]
    Full,
    #[error("the journal is being closed")]
    Stopped,
    #[error(transparent)]
    Unreadable(#[from] OpenError),
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// What the next start would read before the open segment.
#[derive(Debug, Default)]
pub(super) struct Closed {
    pub(super) snapshot: Option<FinishedSnapshot>,
    /// In order, following the snapshot without a gap.
    pub(super) segments: Vec<ClosedSegment>,
}

#[derive(Clone, Debug)]
pub(super) struct ClosedSegment {
    pub(super) named: NamedFile,
    pub(super) last: Position,
    pub(super) bytes: u64,
}

impl Closed {
    pub(super) fn push(&mut self, segment: ClosedSegment) {
        self.segments.push(segment);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn last(&self) -> Position {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.named.position);
        self.segments.last().map(|segment| segment.last).or(snapshot).unwrap_or_default()
    }

    /// A compaction costs as much as the snapshot is large, so it has to replace as much.
    fn worth_bytes(&self, after: u64) -> u64 {
        self.snapshot.as_ref().map_or(after, |snapshot| snapshot.bytes.max(after))
    }

    fn is_due(&self, parts: &Parts) -> bool {
        !self.segments.is_empty()
            && (self.segments.len() >= CLOSED_SEGMENTS_MAX
                || self.bytes() >= self.worth_bytes(parts.settings.compact_after_bytes)
                || parts.is_full())
    }
}

pub(super) fn run<I: Image>(parts: &Parts, fresh: &dyn Fn() -> I) {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "compaction runs at ordinary priority");
    }
    while wait_until_due(parts) {
        match compact(parts, fresh(), true) {
            Ok(done) => tracing::debug!(?done, "compacted the journal"),
            Err(CompactError::Stopped | CompactError::Failed(_)) => return,
            Err(error) => {
                tracing::error!(%error, "cannot compact the journal; it goes on growing");
                parts.rest(BACK_OFF);
            }
        }
    }
}

pub(super) fn now<I: Image>(parts: &Parts, fresh: I) -> Result<Compaction, CompactError> {
    let mut writer = parts.writer.lock();
    if !writer.segment.is_empty() {
        parts.rotate(&mut writer).map_err(|error| match error {
            AppendError::Full | AppendError::TooLarge { .. } => CompactError::Full,
            AppendError::Failed(failed) => CompactError::Failed(failed),
        })?;
    }
    let last = writer.segment.last();
    drop(writer);
    parts.unsynced.notify_one();
    let mut closed = parts.closed.lock();
    while closed.last() < last {
        parts.failure.check()?;
        // Bounded, because a failure wakes nobody here.
        parts.closed_changed.wait_for(&mut closed, parts.settings.space_interval);
    }
    drop(closed);
    compact(parts, fresh, false)
}

/// Answers false when the journal stops.
fn wait_until_due(parts: &Parts) -> bool {
    let mut closed = parts.closed.lock();
    while !parts.is_stopping() {
        if closed.is_due(parts) {
            return true;
        }
        // Bounded, because a disk that becomes full wakes nobody here.
        parts.closed_changed.wait_for(&mut closed, parts.settings.space_interval);
    }
    false
}

fn compact<I: Image>(
    parts: &Parts,
    mut image: I,
    gently: bool,
) -> Result<Compaction, CompactError> {
    let _one_at_a_time = parts.compacting.lock();
    let closed = parts.closed.lock();
    let (snapshot, segments) = (closed.snapshot.clone(), closed.segments.clone());
    let backlog_max = BACKLOG_MAX * closed.worth_bytes(parts.settings.compact_after_bytes);
    drop(closed);
    let replaced_bytes = segments.iter().map(|segment| segment.bytes).sum();
    let Some(position) = segments.last().map(|segment| segment.last) else {
        let (position, snapshot_bytes) =
            snapshot.map_or_else(Default::default, |old| (old.named.position, old.bytes));
        return Ok(Compaction { position, replaced_bytes, snapshot_bytes });
    };
    let mut pace = Pace { parts, gently, backlog_max, bytes: 0, since_us: clock::boot_us() };
    if let Some(snapshot) = &snapshot {
        snapshot::load(snapshot::open(&snapshot.named)?, &mut image, |bytes| pace.worked(bytes))?;
    }
    for segment in &segments {
        replay(segment, &mut image, &mut pace)?;
    }
    let finished = write(parts, image, position, &mut pace)?;
    let mut closed = parts.closed.lock();
    closed.segments.retain(|segment| segment.last > position);
    closed.snapshot = Some(finished.clone());
    drop(closed);
    let obsolete = segments.into_iter().map(|segment| segment.named);
    remove(obsolete.chain(snapshot.map(|snapshot| snapshot.named)));
    Ok(Compaction { position, replaced_bytes, snapshot_bytes: finished.bytes })
}

fn replay(
    segment: &ClosedSegment,
    image: &mut impl Image,
    pace: &mut Pace<'_>,
) -> Result<(), CompactError> {
    let opened = FrameReader::open(&segment.named, FileKind::Segment)?;
    let mut reader = opened.ok_or_else(|| OpenError::Damaged {
        path: segment.named.path.clone(),
        offset: 0,
        what: "its header is missing".into(),
    })?;
    let end = loop {
        let (offset, bytes, outcome) = match reader.next()? {
            Item::Frame { position, offset, payload } => {
                (offset, payload.len(), image.apply(position, payload))
            }
            Item::End(end) => break end,
        };
        outcome.map_err(|refusal| reader.refused(offset, refusal))?;
        pace.worked(bytes)?;
    };
    match end {
        End::Torn(what) => Err(reader.damaged(what).into()),
        End::Sealed | End::Open if reader.expected() != segment.last.next() => {
            Err(reader.damaged("records that were here are missing").into())
        }
        End::Sealed | End::Open => Ok(()),
    }
}

fn write<I: Image>(
    parts: &Parts,
    image: I,
    position: Position,
    pace: &mut Pace<'_>,
) -> Result<FinishedSnapshot, CompactError> {
    let begun = SnapshotWriter::begin(&parts.directory, parts.stream, position);
    let mut writer = begun.map_err(|error| write_error(parts, SnapshotError::Write(error)))?;
    let mut outcome = Ok(());
    image.save(&mut |chunk| {
        if outcome.is_ok() {
            outcome = writer.chunk(chunk).map_err(|error| write_error(parts, error));
        }
        if outcome.is_ok() {
            outcome = pace.worked(chunk.len());
        }
    });
    if let Err(error) = outcome {
        writer.abandon();
        return Err(error);
    }
    // What a failure leaves under the temporary name is overwritten or deleted next time.
    writer.finish(&parts.directory).map_err(|error| write_error(parts, error))
}

fn write_error(parts: &Parts, error: SnapshotError) -> CompactError {
    let path = parts.directory.path();
    match error {
        SnapshotError::Write(error) if is_full(&error) => CompactError::Full,
        SnapshotError::Write(error) => {
            let reason = format!("cannot write a snapshot in {}: {error}", path.display());
            parts.failure.raise(&reason).into()
        }
        SnapshotError::Sync(error) => parts.sync_failed(path, &error).into(),
    }
}

pub(super) fn remove(files: impl Iterator<Item = NamedFile>) {
    for file in files {
        if let Err(error) = fs::remove_file(&file.path) {
            // Harmless: the next start removes what a snapshot has replaced.
            tracing::warn!(path = %file.path.display(), %error, "cannot remove an obsolete file");
        }
    }
}

/// Keeps compaction from taking the core away from calls.
struct Pace<'a> {
    parts: &'a Parts,
    gently: bool,
    backlog_max: u64,
    bytes: usize,
    since_us: i64,
}

impl Pace<'_> {
    fn worked(&mut self, bytes: usize) -> Result<(), CompactError> {
        self.bytes += bytes;
        if !self.gently || self.bytes < STEP_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        let worked_us = clock::boot_us().saturating_sub(self.since_us);
        let behind = self.parts.closed.lock().bytes() > self.backlog_max;
        let worked = Duration::from_micros(u64::try_from(worked_us).unwrap_or(0));
        let rest = if behind { Duration::ZERO } else { worked.saturating_mul(REST_PER_WORK) };
        if self.parts.rest(rest) {
            return Err(CompactError::Stopped);
        }
        self.since_us = clock::boot_us();
        Ok(())
    }
}
