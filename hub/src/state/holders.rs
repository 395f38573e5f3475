//! The holders of one shard: who takes part, how their heartbeats stand, and what waits for each.

use std::collections::VecDeque;

use crate::id::HolderId;
use crate::state::exchange::Mail;

/// A holder's place in its shard's table; a place is used again once its holder is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderIndex(pub(super) u32);

impl HolderIndex {
    /// Of a call whose holder is gone.
    pub const NONE: Self = Self(u32::MAX);
}

/// Letters on their way into mailboxes.
pub(super) type Letters = Vec<(HolderIndex, Mail)>;

/// Letters that wait for one holder, at most; what is more is lost, and whoever sent it asks again.
pub(crate) const MAILBOX_MAX: usize = 4_096;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Holder {
    pub(super) id: HolderId,
    /// It stands in the database: it may be granted something.
    pub(super) confirmed: bool,
    /// It was given up, and the database does not know yet.
    pub(super) dying: bool,
    /// It has told this incarnation all that it has.
    pub(super) reported: bool,
    /// Grows with each exchange: a beat that stands still tells that the holder is gone.
    pub(super) beat: u64,
    /// The hub's clock at the last beat, in milliseconds.
    pub(super) beat_ms: u64,
    /// The number of its last exchange.
    pub(super) exchange: u64,
    /// Letters delivered and acknowledged.
    pub(super) mail_seen: u64,
    /// Follow the letter numbered `mail_seen`.
    pub(super) mail: VecDeque<Mail>,
    /// Its records on their way to the ledger.
    pub(super) records: VecDeque<OwnRecord>,
    /// The number of its last record here, and of the last that has reached the ledger.
    pub(super) record: u64,
    pub(super) records_acknowledged: u64,
}

/// A record by its holder's number, and by its number in the shard's stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OwnRecord {
    pub(super) own: u64,
    pub(super) streamed: u64,
}

impl Holder {
    pub(super) fn post(&mut self, mail: Mail) {
        if self.mail.len() < MAILBOX_MAX && !self.mail.contains(&mail) {
            self.mail.push_back(mail);
        }
    }

    /// A record of this holder is in the ledger once the stream has reached it up to `streamed`.
    pub(super) fn recorded(&mut self, own: u64, streamed: u64) {
        if own > self.record {
            self.record = own;
            self.records.push_back(OwnRecord { own, streamed });
        }
    }

    /// The ledger has all records of the stream up to and including this one.
    pub(super) fn acknowledge(&mut self, through: u64) {
        while let Some(record) = self.records.front().filter(|record| record.streamed <= through) {
            self.records_acknowledged = record.own;
            self.records.pop_front();
        }
    }

    pub(super) fn has_seen(&mut self, through: u64) {
        let count = through.saturating_sub(self.mail_seen).min(self.mail.len() as u64);
        self.mail.drain(..usize::try_from(count).unwrap_or(0));
        self.mail_seen += count;
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Holders(Vec<Option<Holder>>);

impl Holders {
    /// The holder's place; a new one joins.
    pub(super) fn index(&mut self, id: HolderId) -> HolderIndex {
        if let Some(index) = self.find(id) {
            return index;
        }
        let holder = Some(Holder { id, ..Holder::default() });
        let free = self.0.iter().position(Option::is_none);
        let position = free.unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[position] = holder;
        HolderIndex(u32::try_from(position).unwrap_or(u32::MAX))
    }

    pub(super) fn find(&self, id: HolderId) -> Option<HolderIndex> {
        let is = |holder: &Option<Holder>| holder.as_ref().is_some_and(|holder| holder.id == id);
        let position = self.0.iter().position(is)?;
        u32::try_from(position).ok().map(HolderIndex)
    }

    pub(super) fn at(&self, index: HolderIndex) -> Option<&Holder> {
        self.0.get(index.0 as usize)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, index: HolderIndex) -> Option<&mut Holder> {
        self.0.get_mut(index.0 as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, index: HolderIndex) -> Option<Holder> {
        self.0.get_mut(index.0 as usize)?.take()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Holder> {
        self.0.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Holder> {
        self.0.iter_mut().flatten()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = HolderId> {
        self.iter().map(|holder| holder.id)
    }

    /// Those who may be granted something.
    pub(super) fn confirmed(&self) -> u32 {
        let count = self.iter().filter(|holder| holder.confirmed && !holder.dying).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
