//! The whole state of a shard without the order of its tables, and with everything that other forms of
//! the hub keep to find things: what proofs compare. Only for tests.

use std::collections::{BTreeMap, BTreeSet};

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::cap::CapId;
use crate::clock::EpochSeconds;
use crate::directory::WalletConfig;
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::state::Shard;
use crate::state::calls::Entry;
use crate::state::exchange::Mail;
use crate::state::holders::HolderIndex;
use crate::state::request::Lease;

/// The account's bytes and the `call_id`.
pub(crate) type Name = Vec<u8>;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Canonical {
    pub(crate) incarnation: u64,
    pub(crate) clock_ms: u64,
    pub(crate) call_lease_s: u32,
    /// At least and at most until then.
    pub(crate) learning: Option<[u64; 2]>,
    pub(crate) overshoot: u64,
    pub(crate) last_record: u64,
    pub(crate) holders: BTreeMap<HolderId, OfHolder>,
    pub(crate) organizations: BTreeMap<AccountId, OfOrganization>,
    pub(crate) counters: BTreeMap<AccountId, OfCounter>,
    /// Version, the most (past all numbers when unlimited), live calls.
    pub(crate) caps: BTreeMap<CapId, [u64; 3]>,
    pub(crate) wallets: BTreeMap<AccountId, OfWallet>,
    /// When the first of what a counter (`c`) or wallet (`w`) keeps without a name is free.
    pub(crate) anonymous: BTreeMap<(u8, AccountId), EpochSeconds>,
    pub(crate) calls: BTreeMap<Name, OfCall>,
    pub(crate) orphans: Vec<(EpochSeconds, Name)>,
    /// When each may go, and the low half of its admission.
    pub(crate) tombstones: Vec<(EpochSeconds, u32)>,
    pub(crate) records: Vec<Arc<Record>>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct OfHolder {
    pub(crate) confirmed: bool,
    pub(crate) dying: bool,
    pub(crate) reported: bool,
    /// Beat, its time, exchange, letters seen, own record, records acknowledged.
    pub(crate) numbers: [u64; 6],
    pub(crate) mail: Vec<Mail>,
    pub(crate) own_records: Vec<[u64; 2]>,
    pub(crate) calls: BTreeSet<Name>,
    pub(crate) counters: BTreeSet<AccountId>,
    pub(crate) wallets: BTreeSet<AccountId>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct OfOrganization {
    /// Version, total, leased, committed, live calls.
    pub(crate) numbers: [u64; 5],
    pub(crate) above_floor: BTreeSet<AccountId>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct OfCounter {
    pub(crate) organization: AccountId,
    /// Version, floor, cap, named.
    pub(crate) numbers: [u64; 4],
    /// Granted, returned, live, unflushed at most.
    pub(crate) leases: BTreeMap<HolderId, [u64; 4]>,
    pub(crate) anonymous: BTreeMap<EpochSeconds, u32>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct OfWallet {
    pub(crate) config: Option<WalletConfig>,
    pub(crate) spent: Amount,
    pub(crate) held: Amount,
    /// Granted, returned, spent, held, unflushed at most.
    pub(crate) leases: BTreeMap<HolderId, [i64; 5]>,
    pub(crate) anonymous: BTreeMap<EpochSeconds, Amount>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum OfCall {
    Live { holder: Option<HolderId>, call: Call, lease: Lease, asked: u32 },
    Ended(Arc<Record>),
}

pub(crate) fn name(account: AccountId, call_id: &[u8]) -> Name {
    [&account.to_bytes(), call_id].concat()
}

impl Shard {
    pub(crate) fn canonical(&self) -> Canonical {
        let learning = self.membership.learning;
        let mut canonical = Canonical {
            incarnation: self.membership.incarnation,
            clock_ms: self.membership.clock_ms,
            call_lease_s: self.membership.call_lease_s,
            learning: learning.map(|it| [it.at_least_until_ms, it.at_most_until_ms]),
            overshoot: self.overshoot,
            last_record: self.records.last,
            records: self.records.following(0, usize::MAX).map(|(_, one)| one.clone()).collect(),
            ..Canonical::default()
        };
        self.add_holders(&mut canonical);
        self.add_counters(&mut canonical);
        for (id, kept) in &self.caps.by_id {
            let most = kept.most.map_or(u64::MAX, u64::from);
            canonical.caps.insert(*id, [kept.version, most, kept.live.into()]);
        }
        self.add_wallets(&mut canonical);
        self.add_calls(&mut canonical);
        canonical
    }

    fn id_at(&self, index: HolderIndex) -> Option<HolderId> {
        self.holders.at(index).map(|holder| holder.id)
    }

    fn add_holders(&self, canonical: &mut Canonical) {
        for holder in self.holders.iter() {
            let records = holder.records.iter().map(|record| [record.own, record.streamed]);
            let of_holder = OfHolder {
                confirmed: holder.confirmed,
                dying: holder.dying,
                reported: holder.reported,
                numbers: [
                    holder.beat,
                    holder.beat_ms,
                    holder.exchange,
                    holder.mail_seen,
                    holder.record,
                    holder.records_acknowledged,
                ],
                mail: holder.mail.iter().cloned().collect(),
                own_records: records.collect(),
                ..OfHolder::default()
            };
            canonical.holders.insert(holder.id, of_holder);
        }
    }

    fn add_counters(&self, canonical: &mut Canonical) {
        for (id, one) in &self.counters.organizations {
            let (leased, committed) = (one.sums.leased, one.sums.committed);
            let counters = self.counters.by_id.iter();
            let own =
                counters.filter(|(counter, one)| one.organization == *id && !counter.is_shadow());
            let live = own.map(|(_, one)| u64::from(one.live())).sum();
            let numbers = [one.version, one.total.into(), leased, committed, live];
            let above_floor = one.above_floor.clone();
            canonical.organizations.insert(*id, OfOrganization { numbers, above_floor });
        }
        for (id, counter) in &self.counters.by_id {
            let mut leases = BTreeMap::new();
            for lease in &counter.leases {
                let holder = self.id_at(lease.holder).expect("a holder with a lease is known");
                let (live, unflushed_max) = (lease.live.into(), lease.unflushed_max.into());
                leases.insert(holder, [lease.granted, lease.returned, live, unflushed_max]);
                canonical.holders.entry(holder).or_default().counters.insert(*id);
            }
            let kept = self.counters.anonymous.iter().filter(|((_, whose), _)| whose == id);
            let anonymous: BTreeMap<_, _> =
                kept.map(|((until, _), units)| (*until, *units)).collect();
            if let Some((first, _)) = anonymous.first_key_value() {
                canonical.anonymous.insert((b'c', *id), *first);
            }
            let limits = [counter.floor, counter.cap, counter.named].map(u64::from);
            let numbers = [counter.version, limits[0], limits[1], limits[2]];
            let organization = counter.organization;
            let of_counter = OfCounter { organization, numbers, leases, anonymous };
            canonical.counters.insert(*id, of_counter);
        }
    }

    fn add_wallets(&self, canonical: &mut Canonical) {
        for (owner, wallet) in &self.wallets.wallets {
            let mut leases = BTreeMap::new();
            for lease in &wallet.leases {
                let holder = self.id_at(lease.holder).expect("a holder with a lease is known");
                let amounts =
                    [lease.granted, lease.returned, lease.spent, lease.held, lease.unflushed_max];
                leases.insert(holder, amounts.map(Amount::micros));
                canonical.holders.entry(holder).or_default().wallets.insert(*owner);
            }
            let kept = self.wallets.anonymous.iter().filter(|((_, whose), _)| whose == owner);
            let anonymous: BTreeMap<_, _> =
                kept.map(|((until, _), amount)| (*until, *amount)).collect();
            if let Some((first, _)) = anonymous.first_key_value() {
                canonical.anonymous.insert((b'w', *owner), *first);
            }
            let (config, spent, held) = (wallet.config, wallet.spent, wallet.held);
            let of_wallet = OfWallet { config, spent, held, leases, anonymous };
            canonical.wallets.insert(*owner, of_wallet);
        }
    }

    fn add_calls(&self, canonical: &mut Canonical) {
        for entry in self.calls.entries() {
            let call = entry.call();
            let name = name(call.account(), call.call_id());
            let of_call = match entry {
                Entry::Ended(record) => OfCall::Ended(record.clone()),
                Entry::Live(live) => {
                    let holder = self.id_at(live.holder);
                    if let Some(holder) = holder {
                        canonical.holders.entry(holder).or_default().calls.insert(name.clone());
                    }
                    OfCall::Live {
                        holder,
                        call: live.call.clone(),
                        lease: live.lease,
                        asked: live.asked,
                    }
                }
            };
            canonical.calls.insert(name, of_call);
        }
        let orphans = self.calls.orphans.iter();
        canonical.orphans = orphans
            .map(|orphan| (orphan.deadline, [&orphan.account[..], &orphan.call_id].concat()))
            .collect();
        let tombstones = self.calls.tombstones.iter();
        canonical.tombstones =
            tombstones.map(|tombstone| (tombstone.forget_at, tombstone.admission)).collect();
    }
}
