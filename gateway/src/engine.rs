//! The engine: what the HTTP side asks, decided by the admission core and recorded through the hub.

use hub::denial::{Denial, Reason};
use hub::id::AccountId;
use hub::key::KeyScope;

use crate::answer::{CallView, Concurrency, Grant, LivePage, Reconciled};
use crate::request::{Admit, ListLive, Reconcile, Release, Renew};

/// An account as the engine knows it: counters, limits and configuration.
pub struct Account {}

type Shared<T> = std::sync::Arc<T>;

/// The gateway without its sockets.
pub struct Engine {}

impl Engine {
    /// What a key opens. `None`: no such key.
    pub fn authenticate(&self, _secret: &[u8]) -> Option<KeyScope> {
        None
    }

    /// Grows whenever any key changes: what was remembered of an older generation is void.
    pub fn key_generation(&self) -> u64 {
        0
    }

    /// The account a request acts for: the named one if the key may, else the key's own.
    pub fn account(
        &self,
        _scope: KeyScope,
        _named: Option<AccountId>,
    ) -> Result<Shared<Account>, Denial> {
        Err(Reason::UnknownAccount.into())
    }

    /// Ready at once unless a slot has to be fetched or the call must be durable first.
    pub async fn admit(&self, _account: &Shared<Account>, _call: &Admit<'_>) -> Result<Grant, Refusal> {
        Err(Refusal::Denied(Reason::HubUnavailable.into()))
    }

    /// Starts the money clock of a call; the call as it is then.
    pub fn answer(&self, _account: &Shared<Account>, _call_id: &str) -> Result<CallView, Denial> {
        Err(Reason::UnknownCall.into())
    }

    pub fn renew(&self, _account: &Shared<Account>, _call: &Renew<'_>) -> Result<Grant, Refusal> {
        Err(Refusal::Denied(Reason::UnknownCall.into()))
    }

    /// The receipt.
    pub fn release(&self, _account: &Shared<Account>, _call: &Release<'_>) -> Result<CallView, Denial> {
        Err(Reason::UnknownCall.into())
    }

    pub async fn reconcile(&self, _account: &Shared<Account>, _list: &Reconcile<'_>) -> Result<Reconciled, Denial> {
        Ok(Reconciled::default())
    }

    pub fn look_up(&self, _account: &Shared<Account>, _call_id: &str) -> Result<CallView, Denial> {
        Err(Reason::UnknownCall.into())
    }

    pub async fn list_live(&self, _account: &Shared<Account>, _page: &ListLive<'_>) -> Result<LivePage, Denial> {
        Ok(LivePage { calls: Vec::new(), next: None })
    }

    /// The end of an event-loop turn: writes everything recorded since the last flush to the journal,
    /// by any thread, applies it to the hub and frees what it freed. No answer may leave before the
    /// flush that follows it. An error means that nothing of it was recorded yet.
    pub fn flush(&self) -> Result<(), hub::embedded::HubUnavailable> {
        Ok(())
    }

    pub fn concurrency(&self, _account: &Shared<Account>) -> Concurrency {
        unimplemented!()
    }
}

/// Why a renew or an admit of an ended call is refused.
pub enum Refusal {
    Denied(Denial),
    /// 410 with the receipt.
    Ended(CallView),
}
