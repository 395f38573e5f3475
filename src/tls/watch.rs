//! Notices new certificate files: by looking every few seconds, and at once on SIGHUP. Must never
//! take a pair that is half replaced for a new one.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::{Identities, Identity};
use crate::listener::told;
use crate::settings::TlsFiles;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of the two files from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    /// In seconds and nanoseconds.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(files: &TlsFiles) -> Self {
        let stamp = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            Some(FileStamp {
                device: data.dev(),
                inode: data.ino(),
                length: data.len(),
                changed: (data.mtime(), data.mtime_nsec()),
            })
        };
        Self([stamp(&files.certificate), stamp(&files.key)])
    }
}

/// A listener's files as they were seen.
struct Watched {
    identity: Arc<Identity>,
    /// When they were read, for better or worse.
    read: Stamp,
    /// At the last look.
    last: Stamp,
}

impl Watched {
    fn look(&mut self, asked: bool) {
        let found = Stamp::of(&self.identity.files);
        // The two are rarely replaced in one instant: what changed is read when it has come to rest.
        let at_rest = found == self.last;
        self.last.clone_from(&found);
        if asked || at_rest && found != self.read {
            self.read = found;
            self.identity.reload();
        }
    }
}

/// Replaces certificates until told to stop. `hang_up` must be caught also where there is none to
/// replace: a reload must not end the process.
pub async fn watch(identities: Identities, mut hang_up: Signal, mut stop: watch::Receiver<bool>) {
    let Identities { gateway, control_plane, ops } = identities;
    let mut watched: Vec<Watched> = [gateway, control_plane, ops]
        .into_iter()
        .flatten()
        .map(|identity| {
            let (read, last) = (identity.stamp.clone(), identity.stamp.clone());
            Watched { identity, read, last }
        })
        .collect();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = look.tick() => false,
            _ = hang_up.recv() => true,
            () = told(&mut stop) => return,
        };
        let looked = spawn_blocking(move || {
            for each in &mut watched {
                each.look(asked);
            }
            watched
        });
        // It fails only while the runtime ends.
        let Ok(back) = looked.await else {
            return;
        };
        watched = back;
    }
}
