//! A thread that keeps the space of the next segment ready, notices ahead of time that the disk is
//! full, and looks again until it is not.

use std::io;
use std::sync::atomic::Ordering;

use super::error::is_full;
use super::parts::Parts;
use super::reserve::{Reserved, has_room, reserve};

#[derive(Default)]
pub(super) struct Space {
    /// The space of the next segment.
    pub(super) spare: Option<Reserved>,
    /// Names the next one: the one before may have been taken and not yet renamed.
    number: u64,
}

pub(super) fn run(parts: &Parts) {
    loop {
        if let Err(error) = parts.look_for_space() {
            let path = parts.directory.path().display();
            parts.failure.raise(&format!("cannot reserve space in {path}: {error}"));
            return;
        }
        let mut space = parts.space.lock();
        if parts.is_stopping() {
            return;
        }
        match &space.spare {
            Some(ready) if ready.set_aside && !parts.is_full() => {
                parts.space_wanted.wait(&mut space);
            }
            None if !parts.is_full() => {}
            _ => {
                let interval = parts.settings.space_interval;
                parts.space_wanted.wait_for(&mut space, interval);
            }
        }
        if parts.is_stopping() {
            return;
        }
    }
}

impl Parts {
    pub(super) fn set_full(&self, full: bool) {
        // Relaxed: a hint that orders nothing.
        let before = self.full.swap(full, Ordering::Relaxed);
        let directory = self.directory.path().display();
        if full && !before {
            tracing::warn!(%directory, "no room for the journal: new calls are refused until there is");
        } else if before && !full {
            tracing::info!(%directory, "there is room for the journal again");
        }
    }

    fn look_for_space(&self) -> io::Result<()> {
        let bytes = self.settings.segment_bytes;
        let mut space = self.space.lock();
        if let Some(ready) = &space.spare {
            // What is set aside stays; what was only seen to be free has to be seen again.
            let room = ready.set_aside || has_room(&ready.file, bytes)?;
            self.set_full(!room);
            return Ok(());
        }
        space.number += 1;
        let purpose = format!("next-{}", space.number);
        drop(space);
        match reserve(&self.directory, &purpose, bytes, self.settings.preallocate) {
            Ok(reserved) => {
                self.space.lock().spare = Some(reserved);
                self.set_full(false);
            }
            Err(error) if is_full(&error) => self.set_full(true),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
