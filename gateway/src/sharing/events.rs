//! What happens to calls here, on its way to the hub, and what becomes of it when the hub has it.

use std::sync::Arc;

use hub::call::{Call, Record};
use hub::state::request::{Event, Lease};
use tokio::sync::oneshot::{self, Receiver};

use super::{After, Sharing, Verdict};
use crate::accounts::Account;
use crate::node::Freed;

impl Sharing {
    /// A call has a slot here. `None`: a stack may be told now; else it waits for that.
    pub(crate) fn admitted(
        &self,
        account: &Arc<Account>,
        (call, lease): (&Call, Lease),
        credit: bool,
    ) -> Option<Receiver<Verdict>> {
        let shard = self.shard(account.organization.shard);
        let (after, receiver) = if credit {
            let generation = shard.fence.generation();
            (After::Credit { account: Arc::clone(account), generation }, None)
        } else {
            let (told, receiver) = oneshot::channel();
            let durable = call.facts().lease_s > 0;
            (After::Told { call: call.clone(), told, durable }, Some(receiver))
        };
        let event = Event::Admitted { call: call.clone(), lease };
        shard.change(|state, now| {
            state.counts.admitted += u64::from(credit);
            state.link.record(event, Some(after), now);
            if receiver.is_some() {
                state.link.hurry(now);
            }
        });
        receiver
    }

    /// The hub decides whether the call gets a slot, or where it has one of an account's here, whether its
    /// caps allow it.
    pub(crate) fn wanted(
        &self,
        shard: u8,
        (call, lease): (&Call, Lease),
        unit_of: Option<&Arc<Account>>,
    ) -> Receiver<Verdict> {
        let (told, receiver) = oneshot::channel();
        let has_unit = unit_of.is_some();
        let freed = unit_of.map(|account| After::Withdrawn { account: Arc::clone(account) });
        self.shard(shard).change(|state, now| {
            state.waiting.decision(call.facts().admission, told);
            let wanted = Event::Wanted { call: call.clone(), lease, has_unit };
            state.link.record(wanted, freed, now);
            state.link.hurry(now);
        });
        receiver
    }

    pub(crate) fn renewed(&self, shard: u8, call: Call, lease: Lease) {
        self.shard(shard).change(|state, now| {
            state.link.record(Event::Renewed { call, lease }, None, now);
        });
    }

    /// A call was answered; it is told when the hub has that.
    pub(crate) fn answered(&self, shard: u8, call: Call, lease: Lease) -> Receiver<Verdict> {
        let (told, receiver) = oneshot::channel();
        let after = After::Heard { call: call.clone(), told };
        self.shard(shard).change(|state, now| {
            state.link.record(Event::Renewed { call, lease }, Some(after), now);
            state.link.is_awaited(now);
        });
        receiver
    }

    /// A call without a holder goes on here.
    pub(crate) fn adopting(&self, shard: u8, call: &Call, lease: Lease) -> Receiver<Verdict> {
        let (told, receiver) = oneshot::channel();
        let after = After::Told { call: call.clone(), told, durable: false };
        self.shard(shard).change(|state, now| {
            state.link.record(Event::Adopted { call: call.clone(), lease }, Some(after), now);
            state.link.hurry(now);
        });
        receiver
    }

    /// A call has started here without a unit: it is to be adopted when the hub is back, however long
    /// that takes.
    pub(crate) fn admitted_without_hub(&self, shard: u8, call: &Call, lease: Lease) {
        self.shard(shard).change(|state, now| {
            state.counts.admitted += 1;
            state.link.record(Event::Adopted { call: call.clone(), lease }, None, now);
        });
    }

    /// A call has ended here; it is told when the hub has that. In the exact regime its slot may be
    /// wanted elsewhere: the hub hears of it at once.
    pub(crate) fn ended(
        &self,
        number: u8,
        record: &triomphe::Arc<Record>,
        freed: Freed,
        waits: bool,
    ) -> Receiver<Verdict> {
        let (told, receiver) = oneshot::channel();
        let shard = self.shard(number);
        let generation = shard.fence.generation();
        let record = triomphe::Arc::clone(record);
        let event = Event::Ended(triomphe::Arc::clone(&record));
        shard.change(|state, now| {
            if freed.slot.is_some() {
                state.counts.release(record.cause);
            }
            let is_exact = freed.slot.as_ref().is_some_and(|account| account.credit.is_exact());
            let after = After::Ended { record, freed, generation, told };
            state.link.record(event, Some(after), now);
            match waits {
                true if is_exact => state.link.hurry(now),
                true => state.link.is_awaited(now),
                false => {}
            }
        });
        receiver
    }

    /// The hub has a call live that has ended here.
    pub(crate) fn ended_again(&self, shard: u8, record: &triomphe::Arc<Record>) {
        let event = Event::Ended(triomphe::Arc::clone(record));
        self.shard(shard).change(|state, now| state.link.record(event, None, now));
    }

    /// The call is undone: nobody was told, or nobody is there to be told. Its slot is free when the hub
    /// has that.
    pub(crate) fn withdrawn(&self, account: &Arc<Account>, call: Call) {
        let freed = After::Withdrawn { account: Arc::clone(account) };
        self.shard(account.organization.shard).change(|state, now| {
            state.link.withdraw(call, Some(freed), now);
        });
    }
}
