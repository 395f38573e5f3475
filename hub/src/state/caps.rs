//! Caps beside those of accounts ([`crate::cap`]): how many live calls name each. They are not leased to
//! holders: a call that names one is recorded here before anybody is told of it, so that what is counted
//! is all there is (rule 17).

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::cap::{CapId, Caps};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// 0: not configured; it is here for the calls that name it.
    pub(super) version: u64,
    /// `None`: any number of calls.
    pub(super) most: Option<u32>,
    pub(super) live: u32,
}

/// All caps of one shard.
#[derive(Clone, Debug, Default)]
pub struct CapTable {
    pub(super) by_id: HashMap<CapId, Kept, FixedState>,
}

impl CapTable {
    /// A cap that never limited anything leaves no trace.
    pub(super) fn configure(&mut self, id: CapId, version: u64, most: Option<u32>) {
        if most.is_none() && !self.by_id.contains_key(&id) {
            return;
        }
        let kept = self.by_id.entry(id).or_default();
        if version >= kept.version {
            (kept.version, kept.most) = (version, most);
        }
    }

    pub(super) fn remove(&mut self, id: CapId) {
        if let Some(kept) = self.by_id.get_mut(&id) {
            (kept.version, kept.most) = (0, None);
            self.drop_unused(id);
        }
    }

    fn drop_unused(&mut self, id: CapId) {
        if self.by_id.get(&id).is_some_and(|kept| kept.version == 0 && kept.live == 0) {
            self.by_id.remove(&id);
        }
    }

    /// The first of the caps that no further call may name, and its limit.
    pub(super) fn full(&self, caps: Caps) -> Option<(u8, u32)> {
        (0..).zip(caps.as_slice()).find_map(|(position, id)| {
            let kept = self.by_id.get(id)?;
            let most = kept.most?;
            (kept.live >= most).then_some((position, most))
        })
    }

    #[inline]
    pub(super) fn goes_live(&mut self, caps: Caps) {
        for id in caps.as_slice() {
            self.by_id.entry(*id).or_default().live += 1;
        }
    }

    #[inline]
    pub(super) fn ends(&mut self, caps: Caps) {
        for id in caps.as_slice() {
            if let Some(kept) = self.by_id.get_mut(id) {
                kept.live = kept.live.saturating_sub(1);
                self.drop_unused(*id);
            }
        }
    }

    /// Whether a request with these values would change nothing.
    pub fn knows(&self, id: CapId, version: u64, most: Option<u32>) -> bool {
        match self.by_id.get(&id) {
            Some(kept) => (kept.version, kept.most) == (version, most),
            None => most.is_none(),
        }
    }

    /// As [`CapTable::knows`]: whether its end would change nothing.
    pub fn knows_gone(&self, id: CapId) -> bool {
        self.by_id.get(&id).is_none_or(|kept| kept.version == 0)
    }

    /// Live calls that name the cap.
    pub fn live(&self, id: CapId) -> u32 {
        self.by_id.get(&id).map_or(0, |kept| kept.live)
    }

    pub(super) fn within_limits(&self) -> bool {
        self.by_id.values().all(|kept| kept.most.is_none_or(|most| kept.live <= most))
    }

    /// Invariant: what is counted is what the live calls name.
    pub(super) fn check(&self, live: impl Iterator<Item = Caps>) -> Result<(), String> {
        let mut truth: HashMap<CapId, u32, FixedState> = HashMap::default();
        live.for_each(|caps| {
            caps.as_slice().iter().for_each(|id| *truth.entry(*id).or_default() += 1);
        });
        for (id, kept) in &self.by_id {
            let named = truth.remove(id).unwrap_or(0);
            if kept.live != named {
                return Err(format!("{id:?}: {} counted, {named} calls name it", kept.live));
            }
        }
        truth.into_iter().next().map_or(Ok(()), |(id, named)| {
            Err(format!("{id:?}: nothing counted, {named} calls name it"))
        })
    }
}
