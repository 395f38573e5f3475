//! The start of a journal: the newest snapshot and the segments after it are replayed in order, the
//! end that a crash left is cut off, and a new segment is begun. Nothing on disk is changed before
//! everything was read; damage that a crash cannot explain is refused.

use std::path::Path;

use super::compact::{Closed, ClosedSegment, remove};
use super::directory::{Directory, Listing, NamedFile};
use super::error::{OpenError, is_full};
use super::header::{FileHeader, FileKind};
use super::lock::DirectoryLock;
use super::parts::Parts;
use super::read::{End, FrameReader, Item, written_after};
use super::reserve::reserve_what_there_is;
use super::settings::Settings;
use super::snapshot;
use super::write::OpenSegment;
use super::{Image, Journal, Position};

const ZEROED: &str = "zeros where records had been written";

/// A directory taken over and not yet read.
pub struct Recovery {
    directory: Directory,
    settings: Settings,
    lock: DirectoryLock,
    listing: Listing,
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The last payload in the snapshot; 0 without one.
    pub snapshot: Position,
    /// Payloads replayed after it.
    pub payloads: u64,
    /// The last payload of all.
    pub last: Position,
    /// Bytes cut off behind the last intact record: appends that a crash interrupted.
    pub lost_bytes: u64,
}

impl Recovery {
    pub(super) fn begin(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        settings.check()?;
        let directory = Directory::open(path)?;
        let lock = DirectoryLock::take(path)?;
        let listing = directory.list().map_err(|error| OpenError::io("list", path, error))?;
        Ok(Self { directory, settings, lock, listing })
    }

    /// Whether there is nothing to recover: the journal is about to be created.
    pub fn is_new(&self) -> bool {
        self.listing.segments.is_empty() && self.listing.snapshots.is_empty()
    }

    /// Feeds everything recorded to `image`, which must be empty, and opens the journal behind it.
    pub fn replay(self, image: &mut impl Image) -> Result<(Journal, Recovered), OpenError> {
        let Self { directory, settings, lock, listing } = self;
        let snapshot = match newest_intact(&listing.snapshots)? {
            Some(reader) => {
                let stream = reader.header().stream;
                Some((stream, snapshot::load(reader, image, |_| Ok::<_, OpenError>(()))?))
            }
            None => None,
        };
        let loaded = snapshot.as_ref().map_or(Position(0), |(_, file)| file.named.position);
        let (obsolete, segments): (Vec<_>, Vec<_>) =
            listing.segments.into_iter().partition(|segment| segment.position <= loaded);
        let stream = snapshot.as_ref().map(|(stream, _)| *stream);
        let mut history = History::new(stream, loaded);
        history.read(directory.path(), &segments, image)?;

        let older = listing.snapshots.into_iter().filter(|file| file.position != loaded);
        let recovered = Recovered {
            snapshot: loaded,
            payloads: history.expected.0 - loaded.0 - 1,
            last: Position(history.expected.0 - 1),
            lost_bytes: history.lost_bytes()?,
        };
        let stream = history.stream.unwrap_or_else(rand::random);
        let (first, snapshot) = (history.expected, snapshot.map(|(_, file)| file));
        let segments = history.mend(&directory)?;
        let segment = begin_segment(&directory, &settings, stream, first)?;
        remove(obsolete.into_iter().chain(older));
        let closed = Closed { snapshot, segments };
        let parts = Parts::new(directory, settings, stream, segment, closed);
        Ok((Journal::start(parts, lock)?, recovered))
    }
}

/// The newest snapshot; an older one only when that is damaged and the older one is not.
fn newest_intact(snapshots: &[NamedFile]) -> Result<Option<FrameReader>, OpenError> {
    let Some((newest, older)) = snapshots.split_last() else {
        return Ok(None);
    };
    if older.is_empty() {
        return snapshot::open(newest).map(Some);
    }
    let damage = match snapshot::verify(newest) {
        Ok(()) => return snapshot::open(newest).map(Some),
        Err(damage @ OpenError::Damaged { .. }) => damage,
        Err(error) => return Err(error),
    };
    for snapshot in older.iter().rev() {
        if snapshot::verify(snapshot).is_ok() {
            tracing::warn!(%damage, instead = %snapshot.path.display(), "taking an older snapshot");
            return snapshot::open(snapshot).map(Some);
        }
    }
    Err(damage)
}

/// The segments after the snapshot, as far as they have been read.
struct History {
    stream: Option<u128>,
    /// The position of the next payload.
    expected: Position,
    kept: Vec<Segment>,
    /// Segments behind a torn one that had not been synced: a power cut lost what connects them.
    dropped: Vec<NamedFile>,
}

/// A segment whose frames were replayed.
struct Segment {
    named: NamedFile,
    header: FileHeader,
    /// Just behind its last frame.
    offset: u64,
    next: Position,
    end: End,
}

impl History {
    fn new(stream: Option<u128>, loaded: Position) -> Self {
        Self { stream, expected: loaded.next(), kept: Vec::new(), dropped: Vec::new() }
    }

    fn read(
        &mut self,
        directory: &Path,
        segments: &[NamedFile],
        image: &mut impl Image,
    ) -> Result<(), OpenError> {
        let mut sealed = Vec::with_capacity(segments.len());
        for named in segments {
            let reader = FrameReader::open(named, FileKind::Segment)?;
            sealed.push(reader.as_ref().map_or(Ok(false), FrameReader::is_sealed)?);
        }
        // Seals are written in order, so everything before one had been synced.
        let synced = sealed.iter().rposition(|sealed| *sealed).map_or(0, |index| index + 1);
        for (index, named) in segments.iter().enumerate() {
            let follows = named.position == self.expected;
            match FrameReader::open(named, FileKind::Segment)? {
                Some(reader) if follows => {
                    self.replay(reader, sealed[index], index < synced, image)?;
                }
                None if follows && index >= synced && self.stream.is_some() => {
                    self.dropped.push(named.clone());
                }
                _ if index >= synced && self.is_torn() => self.dropped.push(named.clone()),
                _ => return Err(self.missing(directory, named)),
            }
        }
        Ok(())
    }

    fn replay(
        &mut self,
        mut reader: FrameReader,
        sealed: bool,
        synced: bool,
        image: &mut impl Image,
    ) -> Result<(), OpenError> {
        if *self.stream.get_or_insert(reader.header().stream) != reader.header().stream {
            return Err(OpenError::ForeignFile { path: reader.named().path.clone() });
        }
        let end = loop {
            let (offset, outcome) = match reader.next()? {
                Item::Frame { position, offset, payload } => {
                    (offset, image.apply(position, payload))
                }
                Item::End(end) => break end,
            };
            outcome.map_err(|refusal| reader.refused(offset, refusal))?;
        };
        match end {
            End::Torn(what) if synced => return Err(reader.damaged(what)),
            End::Open if sealed => return Err(reader.damaged(ZEROED)),
            _ => {}
        }
        self.expected = reader.expected();
        self.kept.push(Segment {
            named: reader.named().clone(),
            header: *reader.header(),
            offset: reader.offset(),
            next: reader.expected(),
            end,
        });
        Ok(())
    }

    /// Whether a crash may have lost what should follow what was read.
    fn is_torn(&self) -> bool {
        !self.dropped.is_empty()
            || self.kept.last().is_some_and(|segment| segment.end != End::Sealed)
    }

    /// Why a segment cannot follow what was read.
    fn missing(&self, directory: &Path, next: &NamedFile) -> OpenError {
        let damaged = |path: &Path, offset, what: &str| OpenError::Damaged {
            path: path.to_path_buf(),
            offset,
            what: what.into(),
        };
        match self.kept.last() {
            _ if next.position <= self.expected => {
                damaged(&next.path, 0, "it has no header, or repeats records of another file")
            }
            Some(torn) if torn.end == End::Open => damaged(&torn.named.path, torn.offset, ZEROED),
            _ => OpenError::Gap {
                directory: directory.to_path_buf(),
                from: self.expected,
                to: Position(next.position.0 - 1),
            },
        }
    }

    fn lost_bytes(&self) -> Result<u64, OpenError> {
        let mut lost = 0;
        let open = self.kept.iter().filter(|segment| segment.end != End::Sealed);
        let torn = open.map(|segment| (&segment.named.path, segment.offset));
        for (path, offset) in torn.chain(self.dropped.iter().map(|file| (&file.path, 0))) {
            let bytes = written_after(path, offset);
            let bytes = bytes.map_err(|error| OpenError::io("read", path, error))?;
            if bytes > 0 {
                let path = path.display();
                tracing::warn!(%path, offset, bytes, "cutting off what a crash left unfinished");
            }
            lost += bytes;
        }
        Ok(lost)
    }

    /// Removes what cannot be used and seals the rest, last file first, so that being interrupted
    /// leaves nothing worse than before.
    fn mend(self, directory: &Directory) -> Result<Vec<ClosedSegment>, OpenError> {
        let path = directory.path();
        directory.remove_temporary().map_err(|error| OpenError::io("clean up", path, error))?;
        for file in self.dropped.iter().rev() {
            std::fs::remove_file(&file.path)
                .map_err(|error| OpenError::io("remove", &file.path, error))?;
        }
        directory.sync().map_err(|error| OpenError::io("sync", path, error))?;
        let mut closed = Vec::with_capacity(self.kept.len());
        for segment in self.kept {
            segment.mend().map_err(|error| OpenError::io("mend", &segment.named.path, error))?;
            let Segment { named, offset, next, .. } = segment;
            let last = Position(next.0 - 1);
            // An empty segment is replaced by the new one, which gets the same name.
            if last >= named.position {
                closed.push(ClosedSegment { named, last, bytes: offset });
            }
        }
        Ok(closed)
    }
}

impl Segment {
    /// Cuts it behind its last whole frame, puts it on disk and seals it.
    fn mend(&self) -> std::io::Result<()> {
        if self.end == End::Sealed {
            return Ok(());
        }
        let path = self.named.path.clone();
        let segment = OpenSegment::found(path, &self.header, self.next, self.offset)?;
        segment.cut()?;
        segment.seal()
    }
}

fn begin_segment(
    directory: &Directory,
    settings: &Settings,
    stream: u128,
    first: Position,
) -> Result<OpenSegment, OpenError> {
    let (bytes, preallocate) = (settings.segment_bytes, settings.preallocate);
    let segment = reserve_what_there_is(directory, "rotation", bytes, preallocate)
        .and_then(|reserved| OpenSegment::begin(directory, reserved, stream, first))
        .and_then(|segment| {
            segment.file.sync_all()?;
            directory.sync()?;
            Ok(segment)
        });
    segment.map_err(|error| {
        if is_full(&error) {
            OpenError::Full { directory: directory.path().to_path_buf() }
        } else {
            OpenError::io("begin a segment in", directory.path(), error)
        }
    })
}
