//! Which shards have news, for whoever takes them. Bounded by the number of shards: news of a shard
//! that has not been taken yet is the same news.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::id::SHARDS;

const WORD: usize = u64::BITS as usize;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shards([u64; SHARDS / WORD]);

impl Shards {
    pub const ALL: Self = Self([u64::MAX; SHARDS / WORD]);

    pub fn insert(&mut self, shard: u8) {
        self.0[usize::from(shard) / WORD] |= 1 << (usize::from(shard) % WORD);
    }

    pub fn contains(&self, shard: u8) -> bool {
        self.0[usize::from(shard) / WORD] & (1 << (usize::from(shard) % WORD)) != 0
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=u8::MAX).filter(|&shard| self.contains(shard))
    }

    fn join(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }
}

impl FromIterator<u8> for Shards {
    fn from_iter<T: IntoIterator<Item = u8>>(shards: T) -> Self {
        let mut set = Self::default();
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}

/// Shards with news that has not been taken.
#[derive(Default)]
pub struct News {
    shards: Mutex<Shards>,
    arrived: Notify,
}

impl News {
    pub(super) fn report(&self, shards: &Shards) {
        self.shards.lock().join(shards);
        self.arrived.notify_one();
    }

    /// Takes what has news, as soon as anything has. For one taker.
    pub async fn next(&self) -> Shards {
        loop {
            let taken = std::mem::take(&mut *self.shards.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_of_one_shard_is_taken_once_and_none_is_lost() {
        let news = News::default();
        for shard in [3, 255, 3] {
            news.report(&Shards::from_iter([shard]));
        }
        assert_eq!(news.next().await.iter().collect::<Vec<_>>(), [3, 255]);
        news.report(&Shards::ALL);
        assert_eq!(news.next().await.iter().count(), SHARDS);
        let later = news.next();
        tokio::pin!(later);
        assert!(is_pending(later.as_mut()));
        news.report(&Shards::from_iter([0]));
        assert_eq!(later.await.iter().collect::<Vec<_>>(), [0]);
    }

    fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.poll(&mut context).is_pending()
    }
}
