//! Events of calls: each moves the call, its unit, its caps and its hold together, or none of them.

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::clock::EpochSeconds;
use crate::money::Amount;
use crate::state::calls::{Admitted, Asked, Entry, Taken};
use crate::state::holders::{HolderIndex, Letters};
use crate::state::request::{Lease, Want, Wanted};
use crate::state::{Grants, Report, Shard, wallets};

/// What became of a reported end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The call has ended, now or before.
    Here,
    /// It is live at another holder, which alone may end it.
    Elsewhere,
    /// That is not certain yet: to be told again.
    Later,
}

impl Shard {
    pub(super) fn admit(
        &mut self,
        call: Call,
        lease: Lease,
        (holder, asked): (HolderIndex, u32),
        now: EpochSeconds,
    ) -> Admitted {
        let (hold, account, caps) = (lease.hold, call.account(), call.caps());
        let owner = wallets::owner_of(&call, &self.counters);
        let admitted = self.calls.admit(call, lease, (holder, asked), now);
        if admitted == Admitted::New {
            self.caps.goes_live(caps);
            self.counters.goes_live(account, holder);
            self.wallets.rehold(owner, holder, Amount::ZERO, hold);
        }
        admitted
    }

    /// The exact regime: leases a unit for the call, unless its holder has one, and records it, or
    /// neither. True: the name is another call's.
    pub(super) fn decide(
        &mut self,
        (call, lease, has_unit): (Call, Lease, bool),
        Report { holder, now, exchange, .. }: Report,
        grants: Grants,
        recalls: &mut Letters,
    ) -> (Wanted, bool) {
        match self.calls.would_admit(&call, now) {
            Admitted::New if grants == Grants::Closed => (Wanted::Learning, false),
            Admitted::New => {
                if let Some((position, limit)) = self.caps.full(call.caps()) {
                    return (Wanted::Capped { position, limit }, false);
                }
                let want = Want { counter: call.account(), units: 1, recalled: false };
                let wanted = if has_unit {
                    Wanted::Granted(0)
                } else {
                    self.counters.lease(want, holder, recalls)
                };
                if let Wanted::Granted(_) = wanted {
                    self.admit(call, lease, (holder, exchange), now);
                }
                (wanted, false)
            }
            Admitted::Repeated => (Wanted::Granted(1), false),
            Admitted::Rejected(_) => (Wanted::Granted(0), true),
        }
    }

    /// Whether the holder of a call that it asked for may not know yet that it got it: it may have told its
    /// stack that there was no answer, which has asked somebody else.
    pub(super) fn may_be_undone(&self, asked: Option<Asked>) -> bool {
        asked.is_some_and(|asked| {
            let holder = self.holders.at(asked.holder);
            holder.is_some_and(|holder| cut(holder.exchange) == asked.exchange)
        })
    }

    /// Who tells all has told a stack of the call that it names. What an older memory has in its place gives
    /// way: another call of the name that nobody has, which may be long undone, and any that a holder has
    /// which has not reported yet. That one may have lost it since; if it has not, it hears so.
    fn displace(&mut self, call: &Call) {
        let holders = &self.holders;
        let is_unreported = |index| holders.at(index).is_none_or(|holder| !holder.reported);
        if let Some(live) = self.calls.displace(call, is_unreported) {
            let owner = wallets::owner_of(&live.call, &self.counters);
            self.counters.ends(live.call.account(), live.holder);
            self.caps.ends(live.call.caps());
            self.wallets.rehold(owner, live.holder, live.lease.hold, Amount::ZERO);
        }
    }

    /// The unit and hold of a call come along, but in a complete report, which has them already.
    pub(super) fn adopt(&mut self, call: Call, lease: Lease, report: Report) -> Taken {
        let Report { holder, now, complete, .. } = report;
        if complete {
            self.displace(&call);
        }
        let (hold, account, caps) = (lease.hold, call.account(), call.caps());
        let owner = wallets::owner_of(&call, &self.counters);
        let before = self.hold_of(&call);
        let taken = self.calls.adopt(call, lease, holder, now);
        if taken == Taken::Unknown {
            self.caps.goes_live(caps);
        }
        match taken {
            Taken::Orphan if complete => {
                self.counters.ends(account, HolderIndex::NONE);
                self.counters.goes_live(account, holder);
                self.wallets.rehold(owner, HolderIndex::NONE, before, Amount::ZERO);
                self.wallets.rehold(owner, holder, Amount::ZERO, hold);
            }
            Taken::Orphan => {
                self.counters.inherit(account, holder);
                self.wallets.inherit(owner, holder, before, true);
                self.wallets.rehold(owner, holder, before, hold);
            }
            Taken::Unknown if complete => {
                self.counters.goes_live(account, holder);
                self.wallets.rehold(owner, holder, Amount::ZERO, hold);
            }
            Taken::Unknown => {
                let kept = self.counters.inherit_unknown(account, holder);
                self.overshoot += u64::from(!kept);
                self.wallets.inherit(owner, holder, hold, false);
            }
            Taken::Own | Taken::Refused => {}
        }
        taken
    }

    pub(super) fn hold_of(&self, call: &Call) -> Amount {
        match self.calls.entry_of(call) {
            Some(Entry::Live(live)) => live.lease.hold,
            _ => Amount::ZERO,
        }
    }

    pub(super) fn withdraw(&mut self, call: &Call, holder: HolderIndex) {
        if let Some(lease) = self.calls.withdraw(call, holder) {
            let owner = wallets::owner_of(call, &self.counters);
            self.counters.ends(call.account(), holder);
            self.caps.ends(call.caps());
            self.wallets.rehold(owner, holder, lease.hold, Amount::ZERO);
        }
    }

    /// A call only moves forward: what has ended stays ended; a correction replaces an expiry. The end
    /// of a call of which nothing is known counts too: its admission may be lost (rule 12). In a
    /// complete report the holder's money is already without what its records cost.
    pub(super) fn end(&mut self, record: Arc<Record>, report: &mut Report) -> Ended {
        let owner = wallets::owner_of(&record.call, &self.counters);
        let payer = if report.complete { HolderIndex::NONE } else { report.holder };
        let is_new = match self.calls.end(&record, report.holder) {
            Some(Entry::Live(live)) => {
                self.counters.ends(record.call.account(), live.holder);
                self.caps.ends(live.call.caps());
                self.wallets.settle(owner, live.holder, live.lease.hold, &record);
                true
            }
            Some(Entry::Ended(earlier)) => {
                self.wallets.correct(owner, payer, &earlier, &record);
                true
            }
            None => match self.calls.remember(&record, report.now) {
                Admitted::New => {
                    self.wallets.settle_unknown(owner, &record);
                    true
                }
                // What is to be decided of its admission is decided first.
                Admitted::Rejected(by) if !report.complete && self.may_be_undone(by) => {
                    return Ended::Later;
                }
                _ => false,
            },
        };
        let has_ended = is_new || self.calls.has_ended(&record.call);
        // Shadows are never posted.
        if !record.call.account().is_shadow() {
            self.stream(record, report, is_new);
        }
        if has_ended { Ended::Here } else { Ended::Elsewhere }
    }

    /// Puts a new record on its way to the ledger, and notes whose it is. One that is known is on its
    /// way already, or there.
    pub(super) fn stream(&mut self, record: Arc<Record>, report: &mut Report, is_new: bool) {
        if is_new {
            self.records.append(record);
        }
        if report.record > 0 {
            if let Some(holder) = self.holders.at_mut(report.holder) {
                holder.recorded(report.record, self.records.last);
                // What is known may be in the ledger already: nothing more would tell so.
                holder.acknowledge(self.records.acknowledged());
            }
            report.record += 1;
        }
    }
}

/// The number of an exchange as a call keeps it.
pub(super) fn cut(exchange: u64) -> u32 {
    u32::try_from(exchange & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
