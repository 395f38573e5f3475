//! Wake-ups: the channel of each shard on which scripts say that it has news, and the subscription to
//! the shards of one server. What a message says is not read.

use std::sync::Arc;

use parking_lot::Mutex;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::connection::{Connection, said};
use super::dial::Heard;
use super::news::{News, Shards};
use super::script::tag;
use super::timing::Timing;
use super::trouble::{Lost, Trouble};

const SUFFIX: &str = ":wake";

/// The channel of a shard: `{rf:k}:wake`.
pub fn channel(shard: u8) -> String {
    tag(shard) + SUFFIX
}

fn shard_of(channel: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(channel).ok()?;
    text.strip_prefix("{rf:")?.strip_suffix(SUFFIX)?.strip_suffix('}')?.parse().ok()
}

/// What one server is asked to say of.
pub(super) struct Subscription {
    news: Arc<News>,
    shards: Mutex<Shards>,
    /// The shards are others, or the server ended a subscription: subscribe again.
    changed: Notify,
}

impl Subscription {
    pub(super) fn new(news: Arc<News>, shards: Shards) -> Self {
        Self { news, shards: Mutex::new(shards), changed: Notify::new() }
    }

    /// From now on these shards.
    pub(super) fn cover(&self, shards: Shards) {
        if std::mem::replace(&mut *self.shards.lock(), shards) != shards {
            self.changed.notify_one();
        }
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What a connection passes its messages to.
    pub(super) fn heard(self: &Arc<Self>) -> Heard {
        let subscription = Arc::clone(self);
        Box::new(move |message| subscription.hear(&message))
    }

    fn hear(&self, message: &PushInfo) {
        match (&message.kind, message.data.first()) {
            (PushKind::SMessage, Some(Value::BulkString(channel))) => {
                if let Some(shard) = shard_of(channel) {
                    self.news.report(&Shards::from_iter([shard]));
                }
            }
            // The slot goes to another server.
            (PushKind::SUnsubscribe, _) => self.changed.notify_one(),
            _ => {}
        }
    }

    /// Subscribes to all its shards, then reports them: they may have had news before. Whether the
    /// server has them all.
    pub(super) async fn subscribe(
        &self,
        connection: &Connection,
        timing: &Timing,
    ) -> Result<bool, Lost> {
        let shards = *self.shards.lock();
        let mut complete = true;
        if !shards.is_empty() {
            let mut commands = redis::pipe();
            for shard in shards.iter() {
                commands.cmd("SSUBSCRIBE").arg(channel(shard));
            }
            for answer in connection.send_all(&commands, timing.response).await? {
                match said(answer) {
                    Ok(_subscribed) => {}
                    Err(lost) if matches!(lost.trouble(), Trouble::Moved(_)) => complete = false,
                    Err(lost) => return Err(connection.judge(lost)),
                }
            }
        }
        self.news.report(&shards);
        Ok(complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_names_its_shard() {
        for shard in [0, 9, 255] {
            assert_eq!(shard_of(channel(shard).as_bytes()), Some(shard));
        }
        for other in ["{rf:256}:wake", "{rf:}:wake", "rf:1:wake", "{rf:1}:other", ""] {
            assert_eq!(shard_of(other.as_bytes()), None, "{other}");
        }
    }
}
