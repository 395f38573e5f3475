//! What lies in a shard's keys, in the form in which the state machine's own state is compared.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;
use triomphe::Arc;

use super::unpack::Packed;
use crate::call::{Call, CallPlace};
use crate::cap::CapId;
use crate::codec::Reader;
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::redis::decode;
use crate::state::canonical::{
    Canonical, Name, OfCall, OfCounter, OfHolder, OfOrganization, OfWallet, name,
};
use crate::state::record_codec::{read_call, read_lease, read_record};
use crate::state::request_codec::read_wallet;

type Items = std::vec::IntoIter<Value>;

fn items(value: Value) -> Items {
    let Value::Array(items) = value else { panic!("{value:?} is no list") };
    items.into_iter()
}

fn next(items: &mut Items) -> Items {
    self::items(items.next().expect("a part of the dump"))
}

fn bytes(value: Value) -> Vec<u8> {
    let Value::BulkString(bytes) = value else { panic!("{value:?} is no bytes") };
    bytes
}

fn pairs(mut items: Items) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    std::iter::from_fn(move || Some((bytes(items.next()?), bytes(items.next()?))))
}

fn holder(bytes: &[u8]) -> HolderId {
    HolderId(u128::from_le_bytes(bytes.try_into().expect("a holder")))
}

fn account(bytes: &[u8]) -> AccountId {
    AccountId::from_bytes(bytes.try_into().expect("17 bytes")).expect("an account")
}

fn accounts(items: Items) -> BTreeSet<AccountId> {
    items.map(|one| account(&bytes(one))).collect()
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What `dump.lua` answered. Fails on keys of which nothing here knows.
pub(super) fn canonical(dump: Value) -> Canonical {
    let mut dump = items(dump);
    let mut canonical = Canonical::default();
    let mut keys = 0;
    add_shard(&mut canonical, next(&mut dump), &mut keys);
    add_holders(&mut canonical, next(&mut dump), next(&mut dump), &mut keys);
    add_organizations(&mut canonical, next(&mut dump), next(&mut dump), &mut keys);
    for (id, packed) in pairs(next(&mut dump)) {
        canonical.counters.insert(account(&id), counter(&Packed::of(&packed)));
    }
    for (id, packed) in pairs(next(&mut dump)) {
        let (id, packed) = (id.try_into().expect("8 bytes"), Packed::of(&packed));
        let most = packed.field("most").signed();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let numbers = [packed.field("version").number(), most, packed.field("live").number()];
        canonical.caps.insert(CapId::from_bytes(id), numbers);
    }
    for (id, packed) in pairs(next(&mut dump)) {
        canonical.wallets.insert(account(&id), wallet(&Packed::of(&packed)));
    }
    for (member, until) in pairs(next(&mut dump)) {
        let key = (member[0], account(&member[1..]));
        canonical.anonymous.insert(key, number(&until).expect("a second"));
    }
    for (name, packed) in pairs(next(&mut dump)) {
        canonical.calls.insert(name.clone(), call(&name, &Packed::of(&packed)));
    }
    let live_of = next(&mut dump);
    keys += live_of.len() / 2;
    assert_eq!(places(live_of), places_of(&canonical.calls), "live calls by account");
    let orphans = pairs(next(&mut dump));
    canonical.orphans =
        orphans.map(|(name, deadline)| (number(&deadline).expect("a second"), name)).collect();
    for packed in next(&mut dump) {
        let packed = Packed::of(&bytes(packed));
        let [forget_at, low_half, _] = packed.list() else { panic!("{packed:?}") };
        let low_half = low_half.bytes().try_into().expect("four bytes");
        canonical.tombstones.push((forget_at.small(), u32::from_le_bytes(low_half)));
    }
    let records = next(&mut dump)
        .map(|record| Arc::new(read_record(&mut Reader(&bytes(record))).expect("a record")));
    canonical.records = records.collect();
    let filled = [
        canonical.counters.is_empty(),
        canonical.caps.is_empty(),
        canonical.wallets.is_empty(),
        canonical.anonymous.is_empty(),
        canonical.calls.is_empty(),
        canonical.orphans.is_empty(),
        canonical.tombstones.is_empty(),
        canonical.records.is_empty(),
    ];
    keys += filled.iter().filter(|is_empty| !**is_empty).count();
    let found: Vec<_> = next(&mut dump).map(|key| bytes(key).escape_ascii().to_string()).collect();
    assert_eq!(keys, found.len(), "keys that nothing here knows: {found:#?}");
    canonical
}

/// What lists the live calls of an account: account, then place of an admission and `call_id`.
fn places(mut lists: Items) -> BTreeSet<Vec<u8>> {
    let mut places = BTreeSet::new();
    while let Some(account) = lists.next().map(bytes) {
        places.extend(next(&mut lists).map(|place| [account.clone(), bytes(place)].concat()));
    }
    places
}

/// The same, as the calls themselves say it.
fn places_of(calls: &BTreeMap<Name, OfCall>) -> BTreeSet<Vec<u8>> {
    let live = calls.iter().filter_map(|(name, call)| match call {
        OfCall::Live { call, .. } => Some((name, CallPlace::of(call))),
        OfCall::Ended(_) => None,
    });
    let (account, call_id) = (..AccountId::LEN, AccountId::LEN..);
    live.map(|(name, place)| [&name[account], &place.to_bytes(), &name[call_id.clone()]].concat())
        .collect()
}

fn add_shard(canonical: &mut Canonical, fields: Items, keys: &mut usize) {
    let fields: BTreeMap<_, _> = pairs(fields).collect();
    if fields.is_empty() {
        return;
    }
    *keys += 1;
    let field = |name: &str| number(&fields[name.as_bytes()]);
    let sure = |name: &str| field(name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(fields.len(), 12);
    canonical.incarnation = sure("incarnation");
    canonical.clock_ms = sure("clock_ms");
    canonical.call_lease_s = number(&fields[&b"call_lease_s"[..]]).expect("seconds");
    let at_least = field("learning_at_least_until_ms");
    canonical.learning = at_least.map(|at_least| [at_least, sure("learning_at_most_until_ms")]);
    canonical.overshoot = sure("overshoot");
    canonical.last_record = sure("last_record");
}

fn add_holders(canonical: &mut Canonical, holders: Items, parts: Items, keys: &mut usize) {
    *keys += usize::from(holders.len() > 0);
    for ((id, packed), parts) in pairs(holders).zip(parts) {
        let packed = Packed::of(&packed);
        let mut parts = items(parts);
        *keys += parts.as_slice().iter().filter(|part| **part != Value::Array(vec![])).count();
        let letters =
            next(&mut parts).map(|letter| decode::mail(&bytes(letter)).expect("a letter"));
        let own_records = next(&mut parts).map(|one| {
            let one = Packed::of(&bytes(one));
            [one.list()[0].number(), one.list()[1].number()]
        });
        let of_holder = OfHolder {
            confirmed: packed.field("confirmed").flag(),
            dying: packed.field("dying").flag(),
            reported: packed.field("reported").flag(),
            numbers: packed.numbers([
                "beat",
                "beat_ms",
                "exchange",
                "mail_seen",
                "record",
                "records_acknowledged",
            ]),
            mail: letters.collect(),
            own_records: own_records.collect(),
            calls: next(&mut parts).map(bytes).collect(),
            counters: accounts(next(&mut parts)),
            wallets: accounts(next(&mut parts)),
        };
        canonical.holders.insert(holder(&id), of_holder);
    }
}

fn add_organizations(
    canonical: &mut Canonical,
    organizations: Items,
    above_floor: Items,
    keys: &mut usize,
) {
    *keys += usize::from(organizations.len() > 0);
    for ((id, packed), above_floor) in pairs(organizations).zip(above_floor) {
        let numbers = ["version", "total", "leased", "committed", "live"];
        let numbers = Packed::of(&packed).numbers(numbers);
        let above_floor = accounts(items(above_floor));
        *keys += usize::from(!above_floor.is_empty());
        canonical.organizations.insert(account(&id), OfOrganization { numbers, above_floor });
    }
}

fn anonymous<T>(packed: &Packed, amount: impl Fn(&Packed) -> T) -> BTreeMap<u32, T> {
    let batches = packed.field("anonymous").list().chunks(2);
    batches.map(|batch| (batch[0].small(), amount(&batch[1]))).collect()
}

fn counter(packed: &Packed) -> OfCounter {
    let leases = packed.field("leases").table().into_iter().map(|(id, lease)| {
        (holder(&id), lease.numbers(["granted", "returned", "live", "unflushed_max"]))
    });
    OfCounter {
        organization: account(packed.field("organization").bytes()),
        numbers: packed.numbers(["version", "floor", "cap", "named"]),
        leases: leases.collect(),
        anonymous: anonymous(packed, Packed::small),
    }
}

fn wallet(packed: &Packed) -> OfWallet {
    let amount = |packed: &Packed| Amount::from_micros(packed.signed());
    let leases = packed.field("leases").table().into_iter().map(|(id, lease)| {
        let names = ["granted", "returned", "spent", "held", "unflushed_max"];
        (holder(&id), names.map(|name| lease.field(name).signed()))
    });
    let config = packed.optional("config").map(|config| {
        let config = read_wallet(&mut Reader(config.bytes())).expect("a wallet");
        assert_eq!(packed.field("sequence").number(), config.sequence);
        assert_eq!(amount(packed.field("escrow")), config.escrow);
        config
    });
    OfWallet {
        config,
        spent: amount(packed.field("spent")),
        held: amount(packed.field("held")),
        leases: leases.collect(),
        anonymous: anonymous(packed, amount),
    }
}

fn call(known_as: &[u8], packed: &Packed) -> OfCall {
    let list = packed.list();
    let (of_call, call) = if list[0].bytes() == b"L" { live(list) } else { ended(list) };
    let facts = call.facts();
    let identity = [facts.admission.to_le_bytes(), facts.admitted_us.to_le_bytes()].concat();
    assert_eq!(list[1].bytes(), identity);
    assert_eq!(name(call.account(), call.call_id()), known_as);
    of_call
}

fn live(list: &[Packed]) -> (OfCall, Call) {
    let [_, _, at, deadline, hold, call, lease, billing, caps, asked] = list else {
        panic!("{list:?}")
    };
    let call = read_call(&mut Reader(call.bytes())).expect("a call");
    let mut lease = read_lease(&mut Reader(lease.bytes())).expect("a lease");
    assert_eq!(hold.signed(), lease.hold.micros());
    let named = call.caps().as_slice().iter().map(|id| id.to_bytes()).collect::<Vec<_>>();
    assert_eq!(caps.bytes(), named.concat());
    assert_eq!(billing.number() > 0, call.facts().pins.is_some());
    lease.deadline = deadline.small();
    let holder = (!at.bytes().is_empty()).then(|| holder(at.bytes()));
    let (asked, call_of) = (asked.small(), call.clone());
    (OfCall::Live { holder, call: call_of, lease, asked }, call)
}

fn ended(list: &[Packed]) -> (OfCall, Call) {
    let [_, _, forget_at, revision, taken, record] = list else { panic!("{list:?}") };
    let record = read_record(&mut Reader(record.bytes())).expect("a record");
    assert_eq!(forget_at.small(), record.forget_at);
    assert_eq!(revision.small(), record.revision);
    assert_eq!(taken.signed(), record.taken().micros());
    let call = record.call.clone();
    (OfCall::Ended(Arc::new(record)), call)
}
