//! Follows the directory of a shared hub: configuration is read shard by shard, and what a reading no
//! longer names is gone.

use hub::shared::{NoAnswer, Published};
use std::time::Duration;
use tokio::time::sleep;

use hub::redis::connect::Shards;

use crate::engine::{Engine, Hub};
use crate::sharing::Sharing;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Reads the directories of all shards, however long that takes.
    pub(super) async fn read_everything(&self) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        for shard in 0..=u8::MAX {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.read_directory(sharing, shard).await {
                    // The first shard always has something: the key for tokens.
                    Ok(()) if shard > 0 || sharing.shard(0).state.lock().directory > 0 => break,
                    // A shard that nobody began has no organization.
                    Err(NoAnswer::Unsealed) if shard > 0 => break,
                    Ok(()) => tracing::info!("the configuration is not published yet"),
                    Err(no_answer) => {
                        tracing::info!(shard, %no_answer, "the configuration cannot be read yet");
                    }
                }
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        }
    }

    /// Brings this gateway up to the publication of that number; whether it is.
    pub(super) async fn catch_up(&self, sharing: &Sharing, shard: u8, number: u64) -> bool {
        if sharing.shard(shard).state.lock().directory >= number {
            return true;
        }
        match self.read_directory(sharing, shard).await {
            Ok(()) => sharing.shard(shard).state.lock().directory >= number,
            Err(no_answer) => {
                tracing::debug!(shard, %no_answer, "the configuration cannot be read now");
                false
            }
        }
    }

    async fn read_directory(&self, sharing: &Sharing, shard: u8) -> Result<(), NoAnswer> {
        let after = sharing.shard(shard).state.lock().directory;
        let published = sharing.hub.directory(shard, after).await?;
        if published.number <= after {
            return Ok(());
        }
        // Of a shard that was never read nothing is known.
        if published.is_whole && after > 0 {
            self.forget_unnamed(shard, &published);
        }
        for change in &published.changes {
            self.follow(change);
        }
        sharing.shard(shard).state.lock().directory = published.number;
        Ok(())
    }

    /// What a whole reading does not name is gone.
    fn forget_unnamed(&self, shard: u8, published: &Published) {
        let named = published.changes.iter().collect();
        for change in self.directory.unnamed(shard, &named) {
            self.follow(&change);
        }
    }

    /// Others have done something in these shards.
    pub(super) async fn hear_of(&self, sharing: &Sharing, shards: &Shards) {
        let is_joined = |number: &u8| sharing.shard(*number).state.lock().is_joined;
        let (joined, others): (Vec<u8>, Vec<u8>) = shards.iter().partition(is_joined);
        for number in joined {
            sharing.shard(number).change(|state, now| state.link.hurry(now));
        }
        for number in others {
            match self.read_directory(sharing, number).await {
                Ok(()) | Err(NoAnswer::Unsealed) => {}
                Err(no_answer) => {
                    // With the next connection there is news of all shards.
                    tracing::debug!(number, %no_answer, "the configuration cannot be read now");
                    return;
                }
            }
        }
    }

    /// Looks at the shards that have no exchanges: one may have got an organization unheard.
    pub(super) async fn look_at_others(&self) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        for (number, shard) in sharing.shards() {
            let is_joined = shard.state.lock().is_joined;
            if !is_joined && self.read_directory(sharing, number).await.is_err() {
                return;
            }
        }
    }
}
