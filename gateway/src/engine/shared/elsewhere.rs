//! Requests about calls that are not live here: the hub says where they are. A call without a holder
//! goes on or ends here; of another gateway's that gateway is asked.

use std::sync::Arc;
use std::time::Duration;

use hub::call::{Call, Cause};
use hub::clock::{self, SECOND_US, second_after, second_of};
use hub::denial::{Denial, Reason};
use hub::id::HolderId;
use hub::state::calls::Live as Orphan;
use hub::state::exchange::{CallKey, Found};
use hub::state::request::Lease;
use tokio::sync::oneshot;
use tokio::sync::oneshot::Receiver;

use super::hears::enter_organization;
use super::letters::{Question, Reply};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Live, Standing};
use crate::admission::grant::Ending;
use crate::answer::{CallView, Grant};
use crate::engine::admit::Stop;
use crate::engine::answer_call::Answered;
use crate::engine::look_up::live_call;
use crate::engine::release::{Released, end_entry, price};
use crate::engine::{Engine, Refusal};
use crate::node::Freed;
use crate::request::{Admit, Release, Renew};
use crate::sharing::{Patience, Sharing, Verdict};
use crate::token;

/// An admission that another gateway has answered is at the hub so long after, at the latest.
const UNFLUSHED_MAX: Duration = Duration::from_millis(60);
/// How long a release waits for the hub; then the receipt is given, and the hub hears of it later.
const RELEASE_PATIENCE_US: i64 = SECOND_US;

/// Where a call is.
enum Whereabouts {
    /// It has just become live here, or ended here.
    Here,
    /// At another gateway.
    At(HolderId, Orphan),
    /// At none.
    Orphaned(Orphan),
    Ended(triomphe::Arc<hub::call::Record>),
    Nowhere,
}

impl Engine {
    pub(in crate::engine) async fn look_up_with_hub(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call_id: &str,
    ) -> Result<CallView, Denial> {
        match self.whereabouts(sharing, account, call_id, &Patience::new()).await? {
            Whereabouts::At(_, live) | Whereabouts::Orphaned(live) => {
                Ok(CallView::Live(live_call(&live.call, &live.lease)))
            }
            Whereabouts::Ended(record) => Ok(CallView::Ended(record)),
            Whereabouts::Here | Whereabouts::Nowhere => Err(Reason::UnknownCall.into()),
        }
    }

    pub(in crate::engine) async fn renew_with_hub(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call: &Renew<'_>,
        mut stop: Stop,
    ) -> Result<Grant, Refusal> {
        let mut patience = Patience::new();
        let mut raised = false;
        loop {
            match stop {
                Stop::Refused(refusal) => return Err(refusal),
                Stop::Money(short) => {
                    self.raise(sharing, account, &short, &mut patience).await?;
                    raised = true;
                }
                Stop::Elsewhere => {
                    let question = Question::Renew { requested_s: call.requested_s };
                    let asked = (call.call_id, call.token);
                    let reply =
                        self.ask_elsewhere(sharing, account, asked, question, &patience).await?;
                    match reply {
                        Some(Reply::Live(call, lease)) => {
                            let now_us = clock::now_us();
                            return Ok(self.grant(account, call, lease, false, now_us));
                        }
                        Some(Reply::Ended(record)) => return Err(Refusal::ended(record)),
                        Some(Reply::Refused(reason)) => return Err(reason.into()),
                        None => {}
                    }
                }
                _ => patience.pause().await?,
            }
            stop = match self.renew_here(account, call, clock::now_us(), raised) {
                Ok(grant) => return Ok(grant),
                Err(stop) => stop,
            };
        }
    }

    pub(in crate::engine) async fn answer_with_hub(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call_id: &str,
        answered_us: i64,
        mut answered: Result<Answered, Stop>,
    ) -> Result<CallView, Refusal> {
        let mut patience = Patience::new();
        loop {
            match answered {
                Ok(Answered { view, told: None }) => return Ok(view),
                Ok(Answered { view, told: Some(told) }) => match patience.wait(told).await {
                    Ok(Verdict::Rejected) => {}
                    // Out of reach: it is kept, and told as soon as that is possible.
                    Ok(_) | Err(_) => return Ok(view),
                },
                Err(Stop::Refused(refusal)) => return Err(refusal),
                Err(Stop::Elsewhere) => {
                    let question = Question::Answer { answered_us };
                    let asked = (call_id, None);
                    let reply =
                        self.ask_elsewhere(sharing, account, asked, question, &patience).await?;
                    match reply {
                        Some(Reply::Live(call, lease)) => {
                            return Ok(CallView::Live(live_call(&call, &lease)));
                        }
                        Some(Reply::Ended(record)) => return Err(Refusal::ended(record)),
                        Some(Reply::Refused(reason)) => return Err(reason.into()),
                        None => {}
                    }
                }
                Err(_) => patience.pause().await?,
            }
            answered = self.answer_here(account, call_id, answered_us);
        }
    }

    pub(in crate::engine) async fn release_with_hub(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call: &Release<'_>,
        mut released: Released,
    ) -> Result<CallView, Denial> {
        let mut patience = Patience::of_us(RELEASE_PATIENCE_US);
        let (ended_us, mut raised) = (clock::now_us(), false);
        loop {
            match released {
                Released::Now(record) => return Ok(CallView::Ended(record)),
                Released::Untold(record, verdict) => match patience.wait(verdict).await {
                    Ok(Verdict::Rejected) => {}
                    // Out of reach: the record is kept, and told as soon as that is possible.
                    Ok(_) | Err(_) => return Ok(CallView::Ended(record)),
                },
                Released::Short(short) => {
                    // What cannot be fetched becomes debt.
                    let _settled_all_the_same =
                        self.raise(sharing, account, &short, &mut patience).await;
                    raised = true;
                }
                Released::Pending => patience.pause().await?,
                Released::Elsewhere => match self
                    .release_elsewhere(sharing, account, call, ended_us, &patience)
                    .await?
                {
                    Some(Reply::Ended(record)) => return Ok(CallView::Ended(record)),
                    Some(Reply::Refused(reason)) => return Err(reason.into()),
                    Some(Reply::Live(..)) => return Err(Reason::HubUnavailable.into()),
                    None => patience.pause().await?,
                },
            }
            released = self.release_here(account, call, ended_us, raised)?;
        }
    }

    /// A release of a call that is not live here. `None`: look here again.
    async fn release_elsewhere(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call: &Release<'_>,
        ended_us: i64,
        patience: &Patience,
    ) -> Result<Option<Reply>, Denial> {
        let ending = Ending {
            cause: Cause::Release,
            ended_us,
            outcome: call.outcome,
            billable_s: call.billable_s,
            costs: call.costs,
        };
        let found = self.whereabouts(sharing, account, call.call_id, patience).await?;
        // A call that is over can still be paid for.
        let released =
            match self.or_by_token(found, account, call.call_id, call.token, token::LIFE_S) {
                Whereabouts::Here => return Ok(None),
                Whereabouts::Nowhere => return Ok(Some(Reply::Refused(Reason::UnknownCall))),
                Whereabouts::At(holder, live) => {
                    self.check_release(call, &live.call)?;
                    let question = Question::Release {
                        outcome: call.outcome,
                        billable_s: call.billable_s,
                        costs: call.costs.map(Into::into),
                    };
                    let reply = self
                        .ask(sharing, account, (holder, call.call_id), question, patience)
                        .await?;
                    return Ok(Some(reply));
                }
                Whereabouts::Orphaned(live) => {
                    self.check_release(call, &live.call)?;
                    if price(&live.call, &live.lease, ending) > live.lease.hold {
                        // Only a call of this gateway can be paid beyond its hold.
                        if let Some(verdict) = self.adopt_orphan(sharing, account, &live)? {
                            patience.wait(verdict).await?;
                        }
                        return Ok(None);
                    }
                    self.end_orphan(account, &live, ending)
                }
                Whereabouts::Ended(record) if record.cause.may_be_corrected() => {
                    self.check_release(call, &record.call)?;
                    if let Some(short) = self.beyond_earlier(account, &record, ending) {
                        let mut patience = Patience::new();
                        // What cannot be fetched becomes debt.
                        let _settled_all_the_same =
                            self.raise(sharing, account, &short, &mut patience).await;
                    }
                    let place = self.calls.place(account.id, call.call_id.as_bytes());
                    Some(self.correct(account, place, &record, ending))
                }
                Whereabouts::Ended(record) => {
                    self.check_release(call, &record.call)?;
                    return Ok(Some(Reply::Ended(record)));
                }
            };
        match released {
            Some(Released::Untold(record, verdict)) => match patience.wait(verdict).await {
                Ok(Verdict::Rejected) => Ok(None),
                Ok(_) | Err(_) => Ok(Some(Reply::Ended(record))),
            },
            Some(Released::Now(record)) => Ok(Some(Reply::Ended(record))),
            _ => Ok(None),
        }
    }

    /// Asks the gateway that has the call, or makes it this one's. `None`: look here again.
    async fn ask_elsewhere(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        (call_id, token): (&str, Option<&str>),
        question: Question,
        patience: &Patience,
    ) -> Result<Option<Reply>, Reason> {
        let found = self.whereabouts(sharing, account, call_id, patience).await?;
        match self.or_by_token(found, account, call_id, token, 0) {
            Whereabouts::Here => Ok(None),
            Whereabouts::Nowhere => Ok(Some(Reply::Refused(Reason::UnknownCall))),
            Whereabouts::Ended(record) => Ok(Some(Reply::Ended(record))),
            Whereabouts::At(holder, live) => {
                self.check_token(token, &live.call)?;
                let to = (holder, call_id);
                Ok(Some(self.ask(sharing, account, to, question, patience).await?))
            }
            Whereabouts::Orphaned(live) => {
                self.check_token(token, &live.call)?;
                if let Some(verdict) = self.adopt_orphan(sharing, account, &live)? {
                    // Adopted or not: what the hub knows then is what counts.
                    patience.wait(verdict).await?;
                }
                Ok(None)
            }
        }
    }

    /// The admission that came first with this name, if it is still live; the same answer again.
    pub(super) async fn first_of_name(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call: &Admit<'_>,
    ) -> Result<Option<Grant>, Refusal> {
        let patience = Patience::new();
        match self.whereabouts(sharing, account, call.call_id, &patience).await? {
            Whereabouts::At(holder, _) => {
                let of = (holder, call.call_id);
                match self.ask(sharing, account, of, Question::Stands, &patience).await? {
                    Reply::Live(call, lease) => {
                        Ok(Some(self.grant(account, call, lease, true, clock::now_us())))
                    }
                    Reply::Ended(record) => Err(Refusal::ended(record)),
                    // It is undone, as nobody was told of it.
                    Reply::Refused(Reason::HubUnavailable) => Ok(None),
                    Reply::Refused(reason) => Err(reason.into()),
                }
            }
            Whereabouts::Ended(record) => Err(Refusal::ended(record)),
            Whereabouts::Orphaned(live) => {
                if let Some(verdict) = self.adopt_orphan(sharing, account, &live)? {
                    Patience::new().wait(verdict).await?;
                }
                Ok(None)
            }
            Whereabouts::Here | Whereabouts::Nowhere => Ok(None),
        }
    }

    /// What the hub knows of a call. One that another gateway has just admitted may not be there yet.
    async fn whereabouts(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call_id: &str,
        patience: &Patience,
    ) -> Result<Whereabouts, Reason> {
        let shard = account.organization.shard;
        for is_last in [false, true] {
            let key = CallKey { account: account.id, call_id: call_id.as_bytes().into() };
            let (told, found) = oneshot::channel();
            sharing.shard(shard).change(|state, now| {
                state.waiting.find(key.clone(), told);
                state.link.find(key, now);
            });
            let found = patience.wait(found).await?.ok_or(Reason::HubUnavailable)?;
            let own = sharing.holder(shard);
            match found {
                Found::Nothing if is_last => break,
                Found::Nothing => tokio::time::sleep(UNFLUSHED_MAX).await,
                Found::Live(Some(holder), _) if holder == own => return Ok(Whereabouts::Here),
                Found::Live(Some(holder), live) => return Ok(Whereabouts::At(holder, live)),
                Found::Live(None, live) => return Ok(Whereabouts::Orphaned(live)),
                Found::Ended(record) => return Ok(Whereabouts::Ended(record)),
            }
            if self.calls.place(account.id, call_id.as_bytes()).find().is_some() {
                return Ok(Whereabouts::Here);
            }
        }
        Ok(Whereabouts::Nowhere)
    }

    /// A call that nobody knows any more is what its token says, until so long after its deadline
    /// (rule 7): nobody's, and adopted or ended like one whose gateway is gone.
    fn or_by_token(
        &self,
        found: Whereabouts,
        account: &Account,
        call_id: &str,
        token: Option<&str>,
        life_s: u32,
    ) -> Whereabouts {
        let (Whereabouts::Nowhere, Some(token)) = (&found, token) else {
            return found;
        };
        match self.tokens.load().claim(token, account.id, call_id) {
            Some((call, lease))
                if lease.deadline.saturating_add(life_s) >= second_of(clock::now_us()) =>
            {
                Whereabouts::Orphaned(Orphan::orphan(call, lease))
            }
            _ => found,
        }
    }

    /// A call without a holder goes on here once the hub says so. `None`: it is known here by now.
    fn adopt_orphan(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        orphan: &Orphan,
    ) -> Result<Option<Receiver<Verdict>>, Reason> {
        let shard = account.organization.shard;
        let mut place = self.calls.place(account.id, orphan.call.call_id());
        if place.find().is_some() {
            return Ok(None);
        }
        if !sharing.may_admit(shard) {
            return Err(Reason::HubUnavailable);
        }
        let latest = second_after(clock::now_us()).saturating_add(sharing.call_lease_s());
        let deadline = orphan.lease.deadline.max(self.deadline(account, latest, false));
        let lease = Lease { deadline, ..orphan.lease };
        let live = self.adopted_live(account, &orphan.call, lease, Standing::Adopting);
        account.slots.enter();
        enter_organization(account);
        place.put_new(Entry::Live(Box::new(live)));
        self.wheel.add(deadline, place.name().hash());
        Ok(Some(sharing.adopting(shard, &orphan.call, lease)))
    }

    fn adopted_live(
        &self,
        account: &Arc<Account>,
        call: &Call,
        lease: Lease,
        standing: Standing,
    ) -> Live {
        let wallet = self.wallet_of(account, call);
        Live { call: call.clone(), account: Arc::clone(account), wallet, lease, standing }
    }

    /// A call that is nobody's ends: slot and money are the hub's, and its hold pays. `None`: it is
    /// known here by now.
    pub(super) fn end_orphan(
        &self,
        account: &Arc<Account>,
        orphan: &Orphan,
        ending: Ending<'_>,
    ) -> Option<Released> {
        let mut place = self.calls.place(account.id, orphan.call.call_id());
        if place.find().is_some() {
            return None;
        }
        let live = self.adopted_live(account, &orphan.call, orphan.lease, Standing::Owned);
        // Its hold is not in the wallet here: nothing comes back to it.
        let live = Live { wallet: None, ..live };
        let mut entry = Entry::Live(Box::new(live));
        let record = end_entry(&mut entry, ending)?.record;
        place.put_new(entry);
        let freed = Freed { flushed: place.flushed(&record), slot: None, refund: None, caps: None };
        Some(self.tell_end(account.organization.shard, (place, record), freed, true))
    }
}
