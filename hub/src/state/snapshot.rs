//! The state of an embedded hub's shard, which has one holder, as bytes, in chunks of bounded size,
//! and back. Equal states need not be equal bytes: tables have no order.

use triomphe::Arc;

use crate::call::Record;
use crate::cap::CapId;
use crate::clock::EpochSeconds;
use crate::codec::{Malformed, Reader, Writer};
use crate::id::HolderId;
use crate::money::Amount;
use crate::state::Shard;
use crate::state::calls::{Entry, Live};
use crate::state::counters::{Counter, Leased, Organization};
use crate::state::holders::HolderIndex;
use crate::state::record_codec::{
    read_call, read_lease, read_record, write_call, write_lease, write_record,
};
use crate::state::request_codec::{read_account, read_wallet, write_account, write_wallet};
use crate::state::wallets::Wallet;

/// A chunk is handed over once it has passed this size.
const CHUNK_BYTES: usize = 256 * 1024;

/// First byte of an item. Values are part of the format; never reuse one.
mod tag {
    pub(super) const HOLDER: u8 = 1;
    pub(super) const ORGANIZATION: u8 = 2;
    pub(super) const COUNTER: u8 = 3;
    pub(super) const WALLET: u8 = 4;
    pub(super) const LIVE: u8 = 5;
    /// A tombstone.
    pub(super) const ENDED: u8 = 6;
    /// The number of the last acknowledged record.
    pub(super) const ACKNOWLEDGED: u8 = 7;
    /// A record on its way to the ledger, in order.
    pub(super) const RECORD: u8 = 8;
    /// A cap that is configured; live calls are counted as they come.
    pub(super) const CAP: u8 = 9;
}

/// Gathers items of one shard and hands them over in chunks that begin with the shard's number.
struct Chunks<'a> {
    shard: u8,
    buffer: Vec<u8>,
    sink: &'a mut dyn FnMut(&[u8]),
}

impl Chunks<'_> {
    fn item(&mut self, tag: u8, write: impl FnOnce(&mut Writer<'_>)) {
        if self.buffer.is_empty() {
            self.buffer.push(self.shard);
        }
        let mut writer = Writer(&mut self.buffer);
        writer.byte(tag);
        write(&mut writer);
        if self.buffer.len() >= CHUNK_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            (self.sink)(&self.buffer);
            self.buffer.clear();
        }
    }
}

impl Shard {
    /// Writes the state as chunks, each at most a few hundred KiB, readable by [`Shard::restore`].
    pub fn save(&self, shard: u8, sink: &mut dyn FnMut(&[u8])) {
        let mut chunks = Chunks { shard, buffer: Vec::new(), sink };
        for holder in self.holders.ids() {
            chunks.item(tag::HOLDER, |writer| writer.fixed(holder.0.to_le_bytes()));
        }
        for (id, organization) in &self.counters.organizations {
            chunks.item(tag::ORGANIZATION, |writer| {
                write_account(writer, *id);
                writer.unsigned(organization.version);
                writer.unsigned(u64::from(organization.total));
            });
        }
        for (id, counter) in &self.counters.by_id {
            chunks.item(tag::COUNTER, |writer| {
                write_account(writer, *id);
                write_counter(writer, counter);
            });
        }
        for (id, kept) in self.caps.by_id.iter().filter(|(_, kept)| kept.version > 0) {
            chunks.item(tag::CAP, |writer| {
                writer.fixed(id.to_bytes());
                writer.unsigned(kept.version);
                writer.optional(kept.most, |writer, most| writer.unsigned(most.into()));
            });
        }
        for (owner, wallet) in &self.wallets.wallets {
            chunks.item(tag::WALLET, |writer| {
                write_account(writer, *owner);
                writer.signed(wallet.spent.micros());
                writer.signed(wallet.held.micros());
                writer.optional(wallet.config.as_ref(), write_wallet);
            });
        }
        for entry in self.calls.entries() {
            if let Entry::Live(live) = entry {
                chunks.item(tag::LIVE, |writer| {
                    write_call(writer, &live.call);
                    write_lease(writer, &live.lease);
                    writer.unsigned(u64::from(live.holder.0));
                });
            }
        }
        for record in self.calls.tombstones() {
            chunks.item(tag::ENDED, |writer| write_record(writer, record));
        }
        chunks.item(tag::ACKNOWLEDGED, |writer| {
            writer.unsigned(self.records.acknowledged());
        });
        for (_, record) in self.records.following(0, usize::MAX) {
            chunks.item(tag::RECORD, |writer| write_record(writer, record));
        }
        chunks.hand_over();
    }

    /// Adds the items of one chunk; `chunk` is without the shard's number. Tombstones whose time was
    /// over at `now` are left out.
    pub fn restore(&mut self, chunk: &[u8], now: EpochSeconds) -> Result<(), Malformed> {
        let mut reader = Reader(chunk);
        while !reader.is_empty() {
            match reader.byte()? {
                tag::HOLDER => {
                    self.holders.index(HolderId(u128::from_le_bytes(reader.fixed()?)));
                }
                tag::ORGANIZATION => {
                    let id = read_account(&mut reader)?;
                    let organization = read_organization(&mut reader)?;
                    self.counters.organizations.insert(id, organization);
                }
                tag::COUNTER => {
                    let id = read_account(&mut reader)?;
                    let counter = read_counter(&mut reader)?;
                    self.counters.restore(id, counter);
                }
                tag::CAP => {
                    let id = CapId::from_bytes(reader.fixed()?);
                    let kept = self.caps.by_id.entry(id).or_default();
                    (kept.version, kept.most) =
                        (reader.unsigned()?, reader.optional(Reader::small)?);
                }
                tag::WALLET => {
                    let owner = read_account(&mut reader)?;
                    let wallet = Wallet {
                        spent: Amount::from_micros(reader.signed()?),
                        held: Amount::from_micros(reader.signed()?),
                        config: reader.optional(read_wallet)?,
                        ..Wallet::default()
                    };
                    self.wallets.wallets.insert(owner, wallet);
                }
                tag::LIVE => {
                    let call = read_call(&mut reader)?;
                    let lease = read_lease(&mut reader)?;
                    let holder = HolderIndex(reader.small()?);
                    self.counters.goes_live(call.account(), holder);
                    self.caps.goes_live(call.caps());
                    self.calls.restore(Entry::Live(Box::new(Live {
                        call,
                        lease,
                        holder,
                        asked: 0,
                    })));
                }
                tag::ENDED => {
                    let record = read_record(&mut reader)?;
                    if record.forget_at > now {
                        self.calls.restore(Entry::Ended(Arc::new(record)));
                    }
                }
                tag::ACKNOWLEDGED => self.records.last = reader.unsigned()?,
                tag::RECORD => self.restore_record(read_record(&mut reader)?),
                _ => return Err(Malformed("an unknown item of a snapshot")),
            }
        }
        Ok(())
    }

    /// A record is one allocation, shared with its tombstone while that is kept.
    fn restore_record(&mut self, record: Record) {
        let tombstone = match self.calls.entry_of(&record.call) {
            Some(Entry::Ended(known)) if **known == record => Some(Arc::clone(known)),
            _ => None,
        };
        self.records.append(tombstone.unwrap_or_else(|| Arc::new(record)));
    }
}

fn read_organization(reader: &mut Reader<'_>) -> Result<Organization, Malformed> {
    let (version, total) = (reader.unsigned()?, reader.small()?);
    Ok(Organization { version, total, ..Organization::default() })
}

fn write_counter(writer: &mut Writer<'_>, counter: &Counter) {
    write_account(writer, counter.organization);
    writer.unsigned(counter.version);
    writer.unsigned(u64::from(counter.floor));
    writer.unsigned(u64::from(counter.cap));
    writer.unsigned(counter.leases.len() as u64);
    for lease in &counter.leases {
        writer.unsigned(u64::from(lease.holder.0));
        writer.unsigned(lease.granted);
        writer.unsigned(lease.returned);
    }
}

fn read_counter(reader: &mut Reader<'_>) -> Result<Counter, Malformed> {
    let mut counter = Counter::new(read_account(reader)?);
    counter.version = reader.unsigned()?;
    counter.floor = reader.small()?;
    counter.cap = reader.small()?;
    let mut leases = Vec::new();
    for _ in 0..reader.unsigned()? {
        let lease = Leased {
            holder: HolderIndex(reader.small()?),
            granted: reader.unsigned()?,
            returned: reader.unsigned()?,
            ..Leased::default()
        };
        if lease.returned > lease.granted {
            return Err(Malformed("a lease returned more than it got"));
        }
        leases.push(lease);
    }
    counter.leases = leases.into();
    Ok(counter)
}
