//! Calls of which a shared hub decides, and those that are undone before anybody was told of them.

use std::sync::Arc;

use hub::call::Call;
use hub::state::request::Wanted;

use super::hears::{Heard, enter_organization, fetch_block, give_hold_back, say};
use super::leave_slot;
use crate::admission::calls::{Entry, Live, Standing};
use crate::engine::Engine;
use crate::sharing::{Sharing, Verdict};

impl Engine {
    /// The hub's decision about a call for which there was no slot here, or that has caps.
    pub(super) fn decided(&self, sharing: &Sharing, heard: Heard, call: &Call, wanted: Wanted) {
        let verdict = match wanted {
            Wanted::Granted(_) => return self.admit_decided(sharing, heard, call),
            Wanted::Recall => Verdict::Recall,
            Wanted::Refused { scope, limit } => Verdict::Refused { scope, limit },
            Wanted::Capped { position, limit } => Verdict::Capped { position, limit },
            Wanted::Unknown | Wanted::Learning => Verdict::Unavailable,
        };
        self.refuse(sharing, heard.shard, call, verdict);
    }

    /// The hub recorded the call, on a unit that was here or that it leased for it, which
    /// [`Effect::Granted`] brings.
    pub(super) fn admit_decided(&self, sharing: &Sharing, heard: Heard, call: &Call) {
        let shard = heard.shard;
        let told = sharing.shard(shard).state.lock().waiting.take_decision(call.facts().admission);
        let mut place = self.calls.place(call.account(), call.call_id());
        let hash = place.name().hash();
        let Some(Entry::Live(live)) = place.find().filter(|entry| entry.call() == call) else {
            return;
        };
        if live.standing == Standing::Undecided {
            live.account.slots.enter();
            enter_organization(&live.account);
        }
        live.standing = Standing::Owned;
        self.wheel.add(live.lease.deadline, hash);
        let account = Arc::clone(&live.account);
        drop(place);
        fetch_block(sharing, &account);
        // A lease that the call may outlive its gateway by is told when replicas have it (rule 13).
        let is_safe = call.facts().lease_s == 0 || heard.is_durable;
        let verdict = if is_safe { Verdict::Told } else { Verdict::Unavailable };
        let is_told = told.is_some_and(|told| told.send(verdict).is_ok());
        if is_told && is_safe {
            sharing.shard(shard).state.lock().counts().admitted += 1;
        } else {
            self.withdraw(sharing, call);
        }
    }

    /// The hub does not have the call: what it had is free.
    pub(super) fn refuse(&self, sharing: &Sharing, shard: u8, call: &Call, verdict: Verdict) {
        if let Some(live) = self.undecide(sharing, shard, call, verdict)
            && live.standing == Standing::Capped
        {
            leave_slot(&live.account);
        }
    }

    /// A call that is not admitted leaves nothing; what it was.
    pub(super) fn undecide(
        &self,
        sharing: &Sharing,
        shard: u8,
        call: &Call,
        verdict: Verdict,
    ) -> Option<Live> {
        let told = sharing.shard(shard).state.lock().waiting.take_decision(call.facts().admission);
        let live = self.take_live(call);
        if let Some(live) = &live {
            give_hold_back(live);
        }
        if let Some(told) = told {
            say(told, verdict);
        }
        live
    }

    /// Takes the call from its place, if it is still live there.
    fn take_live(&self, call: &Call) -> Option<Live> {
        let mut place = self.calls.place(call.account(), call.call_id());
        place.find().filter(|entry| entry.call() == call)?;
        place.take_live()
    }

    /// An admission that waited for a hub which has given this holder up: what it held is the hub's. The
    /// slot of one that the hub was to decide is free with its withdrawal.
    pub(super) fn never_told(&self, sharing: &Sharing, shard: u8, call: &Call) {
        let told = sharing.shard(shard).state.lock().waiting.take_decision(call.facts().admission);
        if let Some(live) = self.take_live(call)
            && live.standing == Standing::Unflushed
        {
            leave_slot(&live.account);
        }
        if let Some(told) = told {
            say(told, Verdict::Unavailable);
        }
    }

    /// Undoes an admission of which nobody was told. Its slot is free when the hub has that.
    pub(super) fn withdraw(&self, sharing: &Sharing, call: &Call) {
        let mut place = self.calls.place(call.account(), call.call_id());
        if !place.find().is_some_and(|entry| entry.call() == call) {
            return;
        }
        if let Some(live) = place.take_live() {
            give_hold_back(&live);
            sharing.withdrawn(&live.account, call.clone());
        }
    }
}
