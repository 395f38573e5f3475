//! The live calls of all gateways, for those who oversee them: who holds the slots, how many there are,
//! and which of them their stack has lost.

use hub::call::{Call, CallPlace, Cause};
use hub::clock;
use hub::denial::Denial;
use hub::id::HolderId;
use hub::shared::HeldCall;

use super::letters::{Question, Reply};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Standing};
use crate::engine::Engine;
use crate::engine::look_up::{Placed, live_call};
use crate::engine::reconcile::Listed;
use crate::request::ListLive;
use crate::sharing::{Patience, Sharing};

/// Calls that one read of the hub answers.
const CALLS_PER_READ: usize = 256;
/// Reads for one page, at most: a source with few among many calls may need several pages.
const READS_PER_PAGE: usize = 16;

/// Live calls that are not here, in the order of admission.
#[derive(Default)]
pub(in crate::engine) struct Others {
    pub(in crate::engine) calls: Vec<Placed>,
    /// Of those that follow nothing is known yet; `None`: these are all.
    pub(in crate::engine) known_until: Option<CallPlace>,
}

impl Engine {
    /// The page's calls that other gateways have, or none.
    pub(in crate::engine) async fn live_elsewhere(
        &self,
        sharing: &Sharing,
        account: &Account,
        page: &ListLive<'_>,
    ) -> Result<Others, Denial> {
        let mut others = Others { known_until: page.after, ..Others::default() };
        for _ in 0..READS_PER_PAGE {
            let (calls, next) = self.read_live(sharing, account, others.known_until).await?;
            let own = sharing.holder(account.organization.shard);
            let wanted = |held: &HeldCall| {
                held.holder != Some(own)
                    && page.source.is_none_or(|source| held.call.texts().source == source)
            };
            let calls = calls.into_iter().filter(wanted);
            others.calls.extend(calls.map(|held| Placed::new(live_call(&held.call, &held.lease))));
            others.known_until = next;
            if next.is_none() || others.calls.len() > page.limit {
                break;
            }
        }
        Ok(others)
    }

    /// Live calls that follow a place, whoever has them, and the place after which the next follow.
    async fn read_live(
        &self,
        sharing: &Sharing,
        account: &Account,
        after: Option<CallPlace>,
    ) -> Result<(Vec<HeldCall>, Option<CallPlace>), Denial> {
        let organization = account.organization.id;
        let read = sharing.hub.live_calls(organization, account.id, after, CALLS_PER_READ);
        let calls = sharing.readers.read(organization, read).await?;
        let is_last = calls.len() < CALLS_PER_READ;
        let next = calls.last().filter(|_| !is_last).map(|last| CallPlace::of(&last.call));
        Ok((calls, next))
    }

    /// Live calls of the account and of its organization. What this gateway has not told the hub yet of
    /// the account counts as well.
    pub(in crate::engine) async fn in_use_everywhere(
        &self,
        sharing: &Sharing,
        account: &Account,
    ) -> Result<(u32, u32), Denial> {
        let organization = account.organization.id;
        let read = sharing.hub.calls_in_use(
            organization,
            account.id,
            sharing.holder(account.organization.shard),
        );
        let known = sharing.readers.read(organization, read).await?;
        let elsewhere = known.account.live.saturating_sub(known.own);
        let in_use = elsewhere.saturating_add(account.slots.now().used);
        if account.id.is_shadow() {
            return Ok((in_use, known.organization));
        }
        let of_others = known.organization.saturating_sub(known.account.live);
        Ok((in_use, of_others.saturating_add(in_use)))
    }

    /// Live calls at other gateways that the list lacks. One that nobody has ends by itself when nobody
    /// renews it.
    pub(in crate::engine) async fn unlisted_elsewhere(
        &self,
        sharing: &Sharing,
        account: &Account,
        listed: &Listed<'_>,
    ) -> Result<Vec<(HolderId, Call)>, Denial> {
        let mut missing = Vec::new();
        let mut after = None;
        loop {
            let (calls, next) = self.read_live(sharing, account, after).await?;
            let own = sharing.holder(account.organization.shard);
            missing.extend(calls.into_iter().filter_map(|HeldCall { holder, call, .. }| {
                let holder = holder.filter(|holder| *holder != own && listed.lacks(&call))?;
                Some((holder, call))
            }));
            match next {
                Some(_) => after = next,
                None => return Ok(missing),
            }
        }
    }

    /// Asks the gateway that has a call to end it, as its stack does not have it any more. Whether it
    /// did.
    pub(in crate::engine) async fn end_lost_elsewhere(
        &self,
        sharing: &Sharing,
        account: &Account,
        (holder, call): &(HolderId, Call),
    ) -> bool {
        let question = Question::Lost { place: CallPlace::of(call) };
        let of = (*holder, call.texts().call_id);
        match self.ask(sharing, account, of, question, &Patience::new()).await {
            Ok(Reply::Ended(record)) => record.cause == Cause::Reconcile,
            Ok(Reply::Live(..) | Reply::Refused(_)) | Err(_) => false,
        }
    }

    /// Another gateway heard from the call's stack that it does not have it any more.
    pub(super) fn end_lost(&self, account: &Account, call_id: &str, place: CallPlace) {
        let call = match self.calls.place(account.id, call_id.as_bytes()).find() {
            Some(Entry::Live(live))
                if live.standing == Standing::Owned && CallPlace::of(&live.call) == place =>
            {
                live.call.clone()
            }
            _ => return,
        };
        self.end(&call, Cause::Reconcile, clock::now_us());
    }
}
