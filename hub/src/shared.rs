//! A hub that several holders share, as a gateway reaches it: one exchange per shard at a time, the
//! shard's directory, word that a shard has news, and what is asked about calls of all holders. What an exchange does is defined by
//! [`crate::state`].

use std::future::Future;
use std::pin::Pin;

use crate::call::{Call, CallPlace};
use crate::directory::Change;
use crate::embedded::AccountUse;
use crate::id::{AccountId, HolderId};
use crate::redis::connect::Shards;
use crate::report::Report;
use crate::state::exchange::{Exchange, Reply};
use crate::state::request::Lease;

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

/// What the calls of one account use at all holders, as far as the hub knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsInUse {
    pub account: AccountUse,
    /// Live calls of the account that are the holder's who asks.
    pub own: u32,
    /// Live calls of the account's organization, but those of test keys.
    pub organization: u32,
}

/// A live call, and who has it; `None`: nobody now.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldCall {
    pub holder: Option<HolderId>,
    pub call: Call,
    pub lease: Lease,
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

    /// What the calls of an account use; `holder` asks.
    fn calls_in_use(
        &self,
        organization: AccountId,
        account: AccountId,
        holder: HolderId,
    ) -> Later<'_, Result<CallsInUse, NoAnswer>>;

    /// Live calls of an account in the order of their admission, at most `most` (and 1,000) that follow
    /// the place `after`.
    fn live_calls(
        &self,
        organization: AccountId,
        account: AccountId,
        after: Option<CallPlace>,
        most: usize,
    ) -> Later<'_, Result<Vec<HeldCall>, NoAnswer>>;

    /// Leaves a report for the control planes, in place of one of the same reporter that they have.
    /// False: the one before still waits. May be repeated.
    fn report<'a>(&'a self, report: &'a Report) -> Later<'a, Result<bool, NoAnswer>>;

    /// Waits for shards in which others have done something; all of them after a lost connection. For
    /// one caller at a time.
    fn news(&self) -> Later<'_, Shards>;

    /// Whether the servers can be reached now.
    fn is_up(&self) -> bool;
}
