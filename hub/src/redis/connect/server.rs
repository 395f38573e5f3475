//! One server and the ways to it: one for calls, one for calls that wait for replicas (which hold up
//! whatever comes after them on the same connection), one for wake-ups.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::channel::Subscription;
use super::dial::Dialer;
use super::link::{Link, Place};
use super::news::{News, Shards};
use super::setting::Address;

pub(super) struct Server {
    calls: Link,
    /// Absent where no replicas are waited for.
    durable: Option<Link>,
    _wake_ups: Link,
    subscription: Arc<Subscription>,
}

/// What all servers are opened with.
pub(super) struct Opening {
    pub(super) dialer: Dialer,
    pub(super) news: Arc<News>,
    pub(super) waits: bool,
    pub(super) failed: Arc<Notify>,
    pub(super) runtime: Handle,
    pub(super) seed: u64,
}

impl Opening {
    pub(super) fn open(&self, address: Address, shards: Shards) -> Server {
        self.open_at(&Place::Fixed(address), shards)
    }

    pub(super) fn open_at(&self, place: &Place, shards: Shards) -> Server {
        let subscription = Arc::new(Subscription::new(Arc::clone(&self.news), shards));
        let link = |subscription, way| {
            let (dialer, failed) = (self.dialer.clone(), Arc::clone(&self.failed));
            let seed = self.seed ^ way;
            Link::start(place.clone(), dialer, subscription, failed, &self.runtime, seed)
        };
        Server {
            calls: link(None, 0),
            durable: self.waits.then(|| link(None, 1)),
            _wake_ups: link(Some(Arc::clone(&subscription)), 2),
            subscription,
        }
    }
}

impl Server {
    /// The way of calls; `durable`: of those that wait for replicas afterwards.
    pub(super) fn link(&self, durable: bool) -> &Link {
        self.durable.as_ref().filter(|_| durable).unwrap_or(&self.calls)
    }

    /// The shards whose wake-ups are wanted from it.
    pub(super) fn cover(&self, shards: Shards) {
        self.subscription.cover(shards);
    }

    pub(super) fn is_up(&self) -> bool {
        self.calls.is_up() && self.durable.as_ref().is_none_or(Link::is_up)
    }
}
