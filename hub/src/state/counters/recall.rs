//! Recalls: units that lie idle at a holder come back before anybody is refused, so that a refusal is
//! true at the instant it is decided (rule 9). And the regime: how far a holder may go without asking.

use crate::id::AccountId;
use crate::state::counters::{Counter, Counters, Leased};
use crate::state::exchange::Mail;
use crate::state::holders::{HolderIndex, Letters};

/// Caps below this are always exact.
pub(crate) const FAST_CAP_MIN: u32 = 8;
/// Unflushed admits of one holder and counter, at most.
pub(crate) const UNFLUSHED_MAX: u32 = 1_000;
/// All holders together have at most this fraction of a cap unflushed.
pub(crate) const UNFLUSHED_PART: u32 = 16;
/// Less than this fraction of a cap left: exact.
pub(crate) const EXACT_PART: u32 = 8;

impl Counters {
    /// Recalls what others than `holder` have idle of a counter; true when `holder` itself has some.
    pub(super) fn recall(&self, id: AccountId, holder: HolderIndex, recalls: &mut Letters) -> bool {
        let Some(counter) = self.by_id.get(&id) else {
            return false;
        };
        let mut own = false;
        for lease in counter.leases.iter().filter(|lease| lease.idle() > 0) {
            if lease.holder == holder {
                own = true;
            } else {
                recalls.push((lease.holder, Mail::Recall(id)));
            }
        }
        own
    }

    /// As [`Counters::recall`], of every counter of an organization that has units above its floor.
    pub(super) fn recall_above_floors(
        &self,
        organization: AccountId,
        holder: HolderIndex,
        recalls: &mut Letters,
    ) -> bool {
        let Some(organization) = self.organizations.get(&organization) else {
            return false;
        };
        let mut own = false;
        for id in &organization.above_floor {
            own |= self.recall(*id, holder, recalls);
        }
        own
    }

    /// The admits that a holder may answer before the hub has them, with `holders` of them: 0 where
    /// little is left, so that the hub decides each (the exact regime). Notes it as the holder's.
    pub(in crate::state) fn unflushed_max(
        &mut self,
        id: AccountId,
        holder: HolderIndex,
        holders: u32,
    ) -> u32 {
        let Some(counter) = self.by_id.get(&id) else {
            return 0;
        };
        let unflushed_max = if self.is_exact(id, counter) {
            0
        } else {
            (counter.cap / (UNFLUSHED_PART * holders.max(1))).clamp(1, UNFLUSHED_MAX)
        };
        self.change(id, |counter| {
            let lease = counter.lease_of(holder);
            lease.unflushed_max = lease.unflushed_max.max(unflushed_max);
        });
        unflushed_max
    }

    fn is_exact(&self, id: AccountId, counter: &Counter) -> bool {
        let share = counter.share();
        if share.cap < FAST_CAP_MIN
            || share.cap.saturating_sub(share.leased) < share.cap / EXACT_PART
        {
            return true;
        }
        let above_floor = share.leased >= share.floor;
        let organization = self.organizations.get(&counter.organization);
        let near_total = organization.is_none_or(|organization| {
            let left = u64::from(organization.total).saturating_sub(organization.sums.committed);
            left < u64::from(organization.total / EXACT_PART)
        });
        above_floor && near_total && !id.is_shadow()
    }

    /// Units granted to a holder in total.
    pub(in crate::state) fn granted(&self, id: AccountId, holder: HolderIndex) -> u64 {
        self.lease_at(id, holder).map_or(0, |lease| lease.granted)
    }

    /// Units that a holder has.
    pub(in crate::state) fn held(&self, id: AccountId, holder: HolderIndex) -> u64 {
        self.lease_at(id, holder).map_or(0, |lease| lease.units())
    }

    fn lease_at(&self, id: AccountId, holder: HolderIndex) -> Option<&Leased> {
        self.by_id.get(&id)?.leases.iter().find(|lease| lease.holder == holder)
    }
}
