//! A hub that several holders share, as a gateway reaches it: one exchange per shard at a time, the
//! shard's directory, and word that a shard has news. What an exchange does is defined by
//! [`crate::state`].

use std::future::Future;
use std::pin::Pin;

use crate::directory::Change;
use crate::redis::connect::Shards;
use crate::state::exchange::{Exchange, Reply};

/// Why there is no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No answer came in time, or the server refused: what was asked may have counted or not.
    #[error("the hub did not answer: {0}")]
    Lost(String),
    /// The shard's memory is lost, or another server's: the control plane has to begin it anew.
    #[error("the hub's memory of the shard has to be begun by a control plane")]
    Unsealed,
    /// Another version of Ringfence wrote the shard's memory.
    #[error("the hub's memory is of protocol {0}, which this version does not know")]
    OtherProtocol(String),
}

/// The answer to an exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanged {
    pub reply: Reply,
    /// Whether all replicas that may be promoted have it; never when that was not asked for.
    pub is_durable: bool,
    /// The number of the last publication in the shard's directory, as in [`Published`].
    pub directory: u64,
}

/// What a shard's directory says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// The directory's own number of the last publication that is in `changes`, greater than any before
    /// it, whatever number its control plane gave it. 0: nothing counts now, keep what is known.
    pub number: u64,
    /// `changes` is all there is; what else was known is gone.
    pub is_whole: bool,
    pub changes: Vec<Change>,
}

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A hub that several gateways share.
pub trait SharedHub: Send + Sync {
    /// Asks for one exchange; one at a time for each holder and shard. Limits its own time. `durable`:
    /// it is also waited for the replicas that may be promoted.
    fn exchange<'a>(
        &'a self,
        shard: u8,
        exchange: &'a Exchange,
        durable: bool,
    ) -> Later<'a, Result<Exchanged, NoAnswer>>;

    /// Reads what was published in the shard after the publication numbered `after`; 0: everything.
    fn directory(&self, shard: u8, after: u64) -> Later<'_, Result<Published, NoAnswer>>;

    /// Waits for shards in which others have done something; all of them after a lost connection. For
    /// one caller at a time.
    fn news(&self) -> Later<'_, Shards>;

    /// Whether the servers can be reached now.
    fn is_up(&self) -> bool;
}
