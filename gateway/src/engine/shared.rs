//! What the engine does where several gateways share a hub: requests that wait for it. What the hub
//! says is carried out in [`hears`], told to it in [`exchanges`].

mod decided;
mod elsewhere;
mod everywhere;
mod exchanges;
mod follows;
mod hears;
mod letters;
mod without_hub;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::clock;
use hub::denial::{Denial, Reason, Scope};
use hub::id::HolderId;
use hub::money::Amount;
use hub::shared::SharedHub;
use hub::state::request::{Fund, Funded};
use tokio::sync::oneshot;

use super::admit::{Attempt, Stop};
use super::hold::Short;
use super::{Engine, Hub, Refusal, Settings};
use crate::accounts::Account;
use crate::admission::calls::Calls;
use crate::answer::Grant;
use crate::link::Rhythm;
use crate::request::Admit;
use crate::resources;
use crate::sharing::{Patience, Sharing, Verdict, now};
use crate::token::Tokens;
pub use exchanges::Exchanges;

/// Money is fetched for so many calls at once, at most; a wallet that empties gives less.
const CALLS_PER_FUND: i64 = 64;

impl Engine {
    /// A gateway that shares its hub with others. It admits once [`Exchanges`] keep up with the hub.
    pub fn with_shared_hub(
        settings: Settings,
        hub: Arc<dyn SharedHub>,
        rhythm: Rhythm,
    ) -> Arc<Self> {
        let holder = HolderId(rand::random());
        let calls = Arc::new(Calls::new(hub::call_table::CallHasher::default()));
        // Until the installation's key is known nothing is admitted.
        let tokens = Tokens::whole(&rand::random());
        let sharing = Sharing::new(hub, rhythm, holder);
        Arc::new(Self::with(settings, Hub::Shared(sharing), calls, tokens))
    }

    /// The rest of an admission that the hub has a part in.
    pub(super) async fn decide_with_hub(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call: &Admit<'_>,
        mut stop: Stop,
    ) -> Result<Grant, Refusal> {
        let mut patience = Patience::new();
        let mut attempt = Attempt { again: true, raised: false };
        loop {
            match stop {
                Stop::Refused(refusal) => return Err(refusal),
                Stop::Untold(untold) => {
                    let (grant, verdict) = *untold;
                    match patience.wait(verdict).await? {
                        Verdict::Told => return Ok(grant),
                        Verdict::Recall => patience.pause().await?,
                        Verdict::Rejected => {
                            match self.first_of_name(sharing, account, call).await? {
                                Some(grant) => return Ok(grant),
                                None => patience.pause().await?,
                            }
                        }
                        Verdict::Refused { scope, limit } => return Err(no_slot(scope, limit)),
                        Verdict::Capped { position, limit } => {
                            return Err(capped(account, call, position, limit));
                        }
                        Verdict::Unavailable => return Err(Reason::HubUnavailable.into()),
                    }
                }
                Stop::Money(short) => {
                    self.raise(sharing, account, &short, &mut patience).await?;
                    attempt.raised = true;
                }
                Stop::Slot | Stop::Capped(_) | Stop::Elsewhere | Stop::Pending => {
                    patience.pause().await?;
                }
            }
            stop = match self.decide(account, call, clock::now_us(), attempt) {
                Ok(grant) => return Ok(grant),
                Err(stop) => stop,
            };
        }
    }

    /// Fetches what is missing, or as much as the wallet has, with what other gateways have idle.
    pub(super) async fn raise(
        &self,
        sharing: &Sharing,
        account: &Account,
        short: &Short,
        patience: &mut Patience,
    ) -> Result<(), Reason> {
        let micro = Amount::from_micros(1);
        let mut rest = None;
        loop {
            let funds = &short.wallet.funds;
            let missing = short.wanted.saturating_sub(funds.free().max(Amount::ZERO));
            if missing <= Amount::ZERO {
                return Ok(());
            }
            let most = Amount::from_micros(short.wanted.micros().saturating_mul(CALLS_PER_FUND));
            let fund = match rest {
                None => Fund { owner: short.wallet.owner, least: missing, most },
                // Less than is missing: all of it.
                Some(rest) => Fund { owner: short.wallet.owner, least: micro, most: rest },
            };
            let (told, funded) = oneshot::channel();
            sharing.shard(account.organization.shard).change(|state, now| {
                state.waiting.funding(fund.owner, told);
                state.link.fund(fund, now);
            });
            match patience.wait(funded).await? {
                Some(Funded::Granted(_)) if rest.is_some() => return Ok(()),
                Some(Funded::Granted(_)) => {}
                Some(Funded::Recall) => patience.pause().await?,
                Some(Funded::Empty(left)) if left >= micro && rest.is_none() => rest = Some(left),
                Some(Funded::Empty(_)) => return Ok(()),
                Some(Funded::Learning) | None => return Err(Reason::HubUnavailable),
            }
        }
    }
}

/// Whatever is in use stands between request and answer: the hub saw no slot free or idle.
fn no_slot(scope: Scope, limit: u32) -> Refusal {
    Denial::NoSlot { scope, limit, in_use: limit }.into()
}

/// The hub saw as many live calls as the cap at a position of the call's allows.
fn capped(account: &Account, call: &Admit<'_>, position: u8, limit: u32) -> Refusal {
    let caps = match resources::named(account, account.terms().outbound.as_ref(), call) {
        Ok(caps) => caps,
        Err(denial) => return denial.into(),
    };
    match caps.at(position) {
        Some(of) => Denial::Capped { of, limit }.into(),
        // The configuration has changed meanwhile.
        None => Reason::HubUnavailable.into(),
    }
}

/// A slot that no call uses any more is idle here.
pub(super) fn leave_slot(account: &Account) {
    // First: who takes the slot next is not counted beside the one that had it.
    leave_organization(account);
    account.slots.leave();
}

/// A call counts no more against its organization.
fn leave_organization(account: &Account) {
    if !account.id.is_shadow() {
        account.organization.in_use.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What is idle above a lowered limit goes back.
pub(super) fn shrink_to_cap(sharing: &Sharing, account: &Account) {
    let cap = account.cap();
    if account.slots.now().lease > cap {
        let shard = sharing.shard(account.organization.shard);
        let now = now();
        shard.change(|state, _| {
            state.return_idle(account, cap, now);
            state.link.hurry(now);
        });
    }
}
