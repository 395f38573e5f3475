//! What the last process left: the state of every shard from snapshot and journal, and the token key.
//! The same replay, in the background, makes the snapshots.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::log::{Log, read_frame};
use super::{OpenError, Options};
use crate::call_table::CallHasher;
use crate::clock::{self, EpochSeconds};
use crate::codec::Malformed;
use crate::id::SHARDS;
use crate::journal::{Image, Journal, Position, Refusal, Settings};
use crate::state::Shard;

pub(super) struct Recovered {
    pub(super) shards: Vec<Shard>,
    pub(super) log: Log,
    pub(super) token_key: [u8; 32],
}

/// All shards, as snapshot and journal make them up.
struct Shards {
    shards: Vec<Shard>,
    now: EpochSeconds,
}

impl Shards {
    fn fresh(hasher: &CallHasher) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::new(hasher.clone())).collect();
        Self { shards, now: clock::second_of(clock::now_us()) }
    }
}

impl Image for Shards {
    fn load(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let (shard, items) = chunk.split_first().ok_or(Malformed("an empty chunk"))?;
        Ok(self.shards[usize::from(*shard)].restore(items, self.now)?)
    }

    fn apply(&mut self, _position: Position, payload: &[u8]) -> Result<(), Refusal> {
        let shards = &mut self.shards;
        Ok(read_frame(payload, |shard, request, now_us| {
            shards[usize::from(shard)].apply(request, now_us);
        })?)
    }

    fn save(self, sink: &mut dyn FnMut(&[u8])) {
        for (index, shard) in (0..=u8::MAX).zip(self.shards) {
            shard.save(index, sink);
        }
    }
}

pub(super) fn recover(options: &Options, hasher: &CallHasher) -> Result<Recovered, OpenError> {
    let recovery = Journal::open(&options.directory, Settings::default())?;
    let mut image = Shards::fresh(hasher);
    let (journal, found) = recovery.replay(&mut image)?;
    tracing::info!(
        snapshot = %found.snapshot,
        replayed = found.payloads,
        lost_bytes = found.lost_bytes,
        "the hub's journal is recovered"
    );
    let token_key = token_key(&options.directory.join("token.key"))?;
    journal.compact_in_background(|| Shards::fresh(&CallHasher::default()))?;
    Ok(Recovered { shards: image.shards, log: Log::new(journal), token_key })
}

/// The key of call tokens: made at the first start, readable by the owner alone.
fn token_key(path: &Path) -> Result<[u8; 32], OpenError> {
    let failed = |error| OpenError::Io { path: path.into(), error };
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let key: [u8; 32] = rand::random();
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(33).read_to_end(&mut bytes).map_err(failed)?;
            bytes.try_into().map_err(|_| OpenError::TokenKey { path: path.into() })
        }
        Err(error) => Err(failed(error)),
    }
}
