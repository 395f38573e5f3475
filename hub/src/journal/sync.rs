//! Group fsync: a thread that writes what was appended through to the disk, at most once per
//! interval, and announces how far it is. Full segments are sealed once they are on disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Position;
use super::compact::ClosedSegment;
use super::directory::NamedFile;
use super::error::Failed;
use super::parts::Parts;
use super::write::{OpenSegment, Writer};

/// Everything appended up to an instant and not yet synced, oldest first.
struct Unsynced {
    closing: Vec<OpenSegment>,
    current: Arc<File>,
    current_path: PathBuf,
    through: Position,
}

impl Unsynced {
    fn take(writer: &mut Writer) -> Self {
        Self {
            closing: std::mem::take(&mut writer.closing),
            current: Arc::clone(&writer.segment.file),
            current_path: writer.segment.path.clone(),
            through: writer.segment.last(),
        }
    }
}

pub(super) fn run(parts: &Parts) {
    while let Some(unsynced) = parts.wait_unsynced() {
        if parts.sync(unsynced).is_err() {
            return;
        }
        parts.rest(parts.settings.sync_interval);
    }
}

impl Parts {
    /// Returns when everything up to and including `position` is on disk.
    pub(super) async fn durable(&self, position: Position) -> Result<(), Failed> {
        let reached = *self.synced.borrow();
        if reached.failed || reached.through >= position {
            return if reached.failed { Err(Failed) } else { Ok(()) };
        }
        let mut watched = self.synced.subscribe();
        let reached = watched.wait_for(|synced| synced.failed || synced.through >= position).await;
        // The sender lives in `self`, so an error could only mean what `failed` means.
        if reached.is_ok_and(|synced| !synced.failed) { Ok(()) } else { Err(Failed) }
    }

    /// The last sync and seal, after all threads have returned.
    pub(super) fn close(&self) {
        if self.failure.check().is_err() {
            return;
        }
        let mut writer = self.writer.lock();
        let unsynced = Unsynced::take(&mut writer);
        if self.sync(unsynced).is_ok()
            && let Err(error) = writer.segment.seal()
        {
            self.sync_failed(&writer.segment.path, &error);
        }
        if let Some(spare) = self.space.lock().spare.take()
            && let Err(error) = std::fs::remove_file(&spare.path)
        {
            tracing::debug!(path = %spare.path.display(), %error, "cannot remove reserved space");
        }
    }

    /// None when the journal stops; [`Parts::close`] does the rest.
    fn wait_unsynced(&self) -> Option<Unsynced> {
        let mut writer = self.writer.lock();
        loop {
            if self.is_stopping() {
                return None;
            }
            let synced = self.synced.borrow().through;
            if writer.segment.last() > synced || !writer.closing.is_empty() {
                return Some(Unsynced::take(&mut writer));
            }
            self.unsynced.wait(&mut writer);
        }
    }

    fn sync(&self, unsynced: Unsynced) -> Result<(), Failed> {
        let Unsynced { closing, current, current_path, through } = unsynced;
        for segment in &closing {
            segment.file.sync_data().map_err(|error| self.sync_failed(&segment.path, &error))?;
        }
        if !closing.is_empty() {
            let path = self.directory.path();
            self.directory.sync().map_err(|error| self.sync_failed(path, &error))?;
        }
        current.sync_data().map_err(|error| self.sync_failed(&current_path, &error))?;
        self.synced.send_modify(|synced| synced.through = through);
        for segment in closing {
            segment.seal().map_err(|error| self.sync_failed(&segment.path, &error))?;
            self.closed.lock().push(ClosedSegment {
                named: NamedFile { position: segment.first, path: segment.path.clone() },
                last: segment.last(),
                bytes: segment.bytes(),
            });
            self.closed_changed.notify_all();
        }
        Ok(())
    }

    pub(super) fn sync_failed(&self, path: &Path, error: &io::Error) -> Failed {
        let path = path.display();
        self.failure.raise(&format!(
            "cannot write {path} through to the disk: {error}. What the disk holds of the last \
             moments is unknown; check the disk, then start again: everything intact is recovered"
        ))
    }
}
