//! Who has a live call: adoption, what a holder that is gone leaves, and what an older memory has.

use super::{Admitted, Calls, Entry, Live, Orphan, Place, Taken};
use crate::call::Call;
use crate::call_table::{CallTable, same_admission};
use crate::clock::EpochSeconds;
use crate::id::AccountId;
use crate::state::holders::HolderIndex;
use crate::state::request::Lease;

impl Calls {
    /// `holder` has the call from a dead one: by its token, or because it found it here.
    pub(in crate::state) fn adopt(
        &mut self,
        call: Call,
        lease: Lease,
        holder: HolderIndex,
        now: EpochSeconds,
    ) -> Taken {
        let place = self.place(&call);
        let orphan = match place.table.find_mut(place.name) {
            Some(Entry::Live(live)) if same_admission(&live.call, &call) => {
                if live.holder == holder {
                    return Taken::Own;
                } else if live.holder != HolderIndex::NONE {
                    return Taken::Refused;
                }
                let orphan = Orphan::of(live);
                (live.holder, live.lease, live.asked) = (holder, lease, 0);
                orphan
            }
            // Nobody has a call whose lease is over.
            None if lease.deadline <= now => return Taken::Refused,
            _ => {
                return match self.admit(call, lease, (holder, 0), now) {
                    Admitted::New => Taken::Unknown,
                    _ => Taken::Refused,
                };
            }
        };
        self.orphans.remove(&orphan);
        Taken::Orphan
    }

    /// Drops the live call of the name if it is one of these holders', or another that nobody has, without a
    /// trace; what it was.
    pub(in crate::state) fn displace(
        &mut self,
        call: &Call,
        is_theirs: impl Fn(HolderIndex) -> bool,
    ) -> Option<Box<Live>> {
        let place = self.place(call);
        match place.table.find_mut(place.name)? {
            Entry::Live(live) if live.holder != HolderIndex::NONE && is_theirs(live.holder) => {}
            Entry::Live(live)
                if live.holder == HolderIndex::NONE && !same_admission(&live.call, call) => {}
            _ => return None,
        }
        let Some(Entry::Live(live)) = place.table.take(place.name) else { return None };
        self.live -= 1;
        self.orphans.remove(&Orphan::of(&live));
        Some(live)
    }

    /// The holder is gone: its calls live on without one, until `deadline` of their own. Which they are.
    pub(in crate::state) fn orphan(
        &mut self,
        holder: HolderIndex,
        deadline: impl Fn(EpochSeconds) -> EpochSeconds,
    ) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        let lives = self.tables.iter_mut().flat_map(CallTable::live_mut);
        for live in lives.filter(|live| live.holder == holder) {
            live.holder = HolderIndex::NONE;
            live.lease.deadline = deadline(live.lease.deadline);
            orphans.push(Orphan::of(live));
        }
        self.orphans.extend(orphans.iter().cloned());
        orphans
    }

    /// Drops a call that is still nobody's, without a trace: it was over before, or never told of.
    pub(in crate::state) fn abandon(&mut self, orphan: &Orphan) -> Option<(Call, Lease)> {
        if !self.orphans.remove(orphan) {
            return None;
        }
        let account = AccountId::from_bytes(&orphan.account)?;
        let Some(Entry::Live(live)) = self.find_named(account, &orphan.call_id) else {
            return None;
        };
        let (call, lease) = (live.call.clone(), live.lease);
        let Place { table, name } = self.place(&call);
        table.remove(name);
        self.live -= 1;
        Some((call, lease))
    }

    /// At most `count_max` calls without a holder whose deadline has passed, the oldest first.
    pub(in crate::state) fn due(&self, now: EpochSeconds, count_max: usize) -> Vec<Live> {
        let due = self.orphans.iter().take(count_max).take_while(|orphan| orphan.deadline <= now);
        let account = |orphan: &Orphan| AccountId::from_bytes(&orphan.account);
        due.filter_map(|orphan| match self.find_named(account(orphan)?, &orphan.call_id)? {
            Entry::Live(live) => Some(live.told()),
            Entry::Ended(_) => None,
        })
        .collect()
    }

    /// Every live call becomes `holder`'s and lives at least until `deadline_min`.
    pub(in crate::state) fn adopt_all(
        &mut self,
        holder: HolderIndex,
        deadline_min: EpochSeconds,
        mut adopted: impl FnMut(&Call),
    ) {
        self.orphans.clear();
        for live in self.tables.iter_mut().flat_map(CallTable::live_mut) {
            live.holder = holder;
            live.lease.deadline = live.lease.deadline.max(deadline_min);
            adopted(&live.call);
        }
    }
}
