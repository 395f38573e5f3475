//! The state machine under random histories: invariants after every request, snapshots and replays
//! that end in the same state.

mod sharing;

use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::call::{Call, Cause, Direction, Facts, Outcome, Pins, Texts};
use crate::clock::Moment;
use crate::codec::{Reader, Writer};
use crate::directory::{Billing, WalletConfig};
use crate::id::{AccountId, AccountKind};
use crate::money::{Amount, Currency, Rate};
use request::{Granted, Holding, Lease, Want, Wanted};
use request_codec::{read_request, write_request};

const START_US: i64 = 1_800_000_000_000_000;
const TOTAL: u32 = 8;

fn organization() -> AccountId {
    AccountId::new(AccountKind::Organization, Ulid(1))
}

fn account(number: u8) -> AccountId {
    AccountId::new(AccountKind::SubAccount, Ulid(u128::from(number) + 10))
}

fn call(number: u8, admission: u64, pins: Option<Arc<Pins>>) -> Call {
    let facts = Facts {
        admitted_us: START_US,
        admission,
        pins,
        account: account(number % 3),
        direction: Direction::Outbound,
        lease_s: 0,
    };
    let call_id = format!("call-{number}");
    let texts = Texts { call_id: &call_id, to: "+911", ..Texts::default() };
    let caps = [account(number), organization()].map(CapId::outbound).into_iter();
    let caps = caps.take(usize::from(number % 3)).collect();
    Call::with_caps(facts, texts, caps).expect("short")
}

fn pins() -> Arc<Pins> {
    let rate = Rate::new(Amount::from_micros(60), 60, 60, Amount::ZERO, Amount::ZERO);
    Arc::new(Pins {
        billing: Billing::Consolidated,
        currency: Currency::INR,
        rate: rate.expect("a rate"),
        deck: None,
    })
}

fn lease(hold: i64) -> Lease {
    Lease {
        deadline: second_of(START_US) + 90,
        granted: Granted::new(60, false),
        hold: Amount::from_micros(hold),
        answered: Some(Moment::at(START_US + 5)),
        renewed_us: START_US + 7,
    }
}

fn record(call: Call, cost: i64, revision: u32) -> Arc<Record> {
    Arc::new(Record {
        call,
        answered: Some(Moment::at(START_US + 9)).filter(|_| revision > 0),
        ended_us: START_US + 1_000,
        outcome: Outcome::Busy,
        cause: if revision == 0 { Cause::Expiry } else { Cause::Release },
        billable_s: 3,
        cost: Amount::from_micros(cost),
        debt: Amount::from_micros(cost / 4),
        revision,
        granted_s: 60,
        forget_at: second_of(START_US) + 600,
        costs: Some(r#"{"llm":"0.1"}"#.into()),
    })
}

fn configured() -> Vec<Request> {
    let mut requests = vec![Request::Organization { id: organization(), version: 1, total: TOTAL }];
    for (number, floor, cap) in [(0, 2, 4), (1, 3, 3), (2, 0, u32::MAX)] {
        let (id, organization, outbound_cap) = (account(number), organization(), Some(1_000));
        let version = 1;
        requests.push(Request::Counter { id, organization, version, floor, cap, outbound_cap });
    }
    requests.push(Request::Cap {
        id: CapId::outbound(organization()),
        version: 1,
        most: Some(1_000),
    });
    requests
}

fn configured_shard() -> Shard {
    let mut shard = Shard::default();
    for request in configured() {
        shard.apply(request, START_US);
    }
    shard
}

fn holders() -> [HolderId; 3] {
    [HolderId(7), HolderId(8), HolderId(9)]
}

prop_compose! {
    fn events()(kind in 0u8..4, number in 0u8..12, admission in 1u64..4, money in 0i64..100) -> Event {
        // Some calls are not billed.
        let call = call(number, admission, (number % 4 > 0).then(pins));
        match kind {
            0 => Event::Admitted { call, lease: lease(money) },
            1 => Event::Renewed { call, lease: lease(money) },
            2 => Event::Ended(record(call, money, 0)),
            _ => Event::Ended(record(call, money, 1)),
        }
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let syncs = (
        0usize..3,
        prop::collection::vec(events(), 0..4),
        prop::collection::vec((0u8..3, 0u64..6), 0..3),
        prop::collection::vec((0u8..3, 1u32..4, any::<bool>(), any::<bool>()), 0..3),
    )
        .prop_map(|(holder, events, returns, wants)| {
            let returns = returns.into_iter().map(|(number, returned)| Holding {
                counter: account(number),
                granted: 0,
                returned,
                unflushed_max: 0,
            });
            let wants = wants.into_iter().map(|(number, units, recalled, shadow)| {
                let counter = account(number);
                let counter = if shadow { counter.shadow() } else { counter };
                Want { counter, units, recalled }
            });
            Request::Sync(Sync {
                holder: holders()[holder],
                events,
                holdings: returns.collect(),
                wants: wants.collect(),
                ..Sync::default()
            })
        });
    prop_oneof![
        8 => syncs,
        1 => (0usize..3).prop_map(|holder| Request::TakeOver {
            holder: holders()[holder],
            call_lease_s: 90,
        }),
        1 => (0u64..9).prop_map(|through| Request::Acknowledge { through }),
        1 => (0u32..3).prop_map(|count| Request::Forget { count }),
        1 => (0i64..1_000, 1u64..5).prop_map(|(escrow, sequence)| Request::Wallet(WalletConfig {
            owner: organization(),
            organization: organization(),
            currency: Currency::INR,
            escrow: Amount::from_micros(escrow),
            sequence,
            posted: Amount::ZERO,
        })),
    ]
}

/// The state without the order of its tables.
fn canonical(shard: &Shard) -> (Vec<String>, String, String, String) {
    let mut entries: Vec<String> =
        shard.calls.entries().map(|entry| format!("{entry:?}")).collect();
    entries.sort();
    let mut counters: Vec<_> = shard.counters.by_id.iter().collect();
    counters.sort_by_key(|(id, _)| **id);
    let mut wallets: Vec<_> = shard.wallets.wallets.iter().collect();
    wallets.sort_by_key(|(id, _)| **id);
    let records = format!("{:?} {:?}", shard.records.last, shard.records.waiting);
    (
        entries,
        format!("{counters:?} {:?}", shard.counters.organizations),
        format!("{wallets:?}"),
        records,
    )
}

fn restored(shard: &Shard) -> Shard {
    let mut copy = Shard::default();
    shard.save(3, &mut |chunk| {
        assert_eq!(chunk[0], 3);
        copy.restore(&chunk[1..], 0).expect("what was saved");
    });
    copy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn invariants_hold_after_every_request(requests in prop::collection::vec(requests(), 1..60)) {
        let mut shard = configured_shard();
        let mut taken_over = false;
        for request in requests {
            taken_over |= matches!(request, Request::TakeOver { .. });
            shard.apply(request, START_US);
            prop_assert_eq!(shard.check(), Ok(()));
            // A takeover counts adopted calls whatever their number: here calls need no lease.
            prop_assert!(taken_over || shard.is_within_limits());
        }
    }

    #[test]
    fn a_restored_snapshot_and_a_replayed_journal_equal_the_state(
        requests in prop::collection::vec(requests(), 1..60), cut in 0usize..60,
    ) {
        let mut live = Shard::default();
        let mut journal = Vec::new();
        let mut copy = Shard::default();
        for (position, request) in configured().into_iter().chain(requests).enumerate() {
            write_request(&mut Writer(&mut journal), &request);
            live.apply(request, START_US);
            if position == cut {
                copy = restored(&live);
                journal.clear();
            }
        }
        let mut reader = Reader(&journal);
        while !reader.is_empty() {
            copy.apply(read_request(&mut reader).expect("what was written"), START_US);
        }
        prop_assert_eq!(canonical(&live), canonical(&copy));
        prop_assert_eq!(copy.check(), Ok(()));
    }
}

fn sync(events: Vec<Event>, wants: Vec<Want>) -> Request {
    Request::Sync(Sync { holder: holders()[0], events, wants, ..Sync::default() })
}

#[test]
fn a_call_id_admitted_twice_is_one_call_and_its_end_posts_once() {
    let mut shard = configured_shard();
    let admitted =
        |admission| Event::Admitted { call: call(0, admission, Some(pins())), lease: lease(50) };
    assert!(shard.apply(sync(vec![admitted(1)], vec![]), START_US).rejected.is_empty());
    assert!(shard.apply(sync(vec![admitted(1)], vec![]), START_US).rejected.is_empty());
    assert_eq!(shard.apply(sync(vec![admitted(2)], vec![]), START_US).rejected, [0]);
    assert_eq!(shard.wallets.used(organization()).held, Amount::from_micros(50));
    let end = Event::Ended(record(call(0, 1, Some(pins())), 40, 0));
    shard.apply(sync(vec![end.clone(), end], vec![]), START_US);
    assert_eq!(shard.wallets.used(organization()).held, Amount::ZERO);
    assert_eq!(shard.wallets.used(organization()).spent, Amount::from_micros(30));
    assert_eq!((shard.last_record(), shard.backlog()), (1, 1));
    let corrected = Event::Ended(record(call(0, 1, Some(pins())), 80, 1));
    shard.apply(sync(vec![corrected.clone(), corrected], vec![]), START_US);
    assert_eq!(shard.wallets.used(organization()).spent, Amount::from_micros(60));
    assert_eq!(shard.last_record(), 2);
}

#[test]
fn floors_are_kept_free_for_their_owners_and_a_refusal_for_the_total_asks_for_a_recall_first() {
    let mut shard = configured_shard();
    let mut want = |number, units, recalled| {
        let want = Want { counter: account(number), units, recalled };
        shard.apply(sync(vec![], vec![want]), START_US).wanted[0]
    };
    assert_eq!(want(2, 9, false), Wanted::Granted(3));
    assert_eq!(want(2, 1, false), Wanted::Recall);
    let refused = Wanted::Refused { scope: crate::denial::Scope::Organization, limit: TOTAL };
    assert_eq!(want(2, 1, true), refused);
    assert_eq!(want(1, 9, false), Wanted::Granted(3));
    let refused = Wanted::Refused { scope: crate::denial::Scope::Account, limit: 3 };
    assert_eq!(want(1, 1, false), Wanted::Recall);
    assert_eq!(want(1, 1, true), refused);
    assert_eq!(want(0, 9, false), Wanted::Granted(2));
    assert_eq!(want(9, 1, false), Wanted::Unknown);
}

#[test]
fn a_tombstone_is_forgotten_after_its_time_and_its_call_id_may_come_again() {
    let mut shard = Shard::default();
    let first = call(1, 1, None);
    shard.apply(
        sync(vec![Event::Admitted { call: first.clone(), lease: lease(0) }], vec![]),
        START_US,
    );
    shard.apply(sync(vec![Event::Ended(record(first, 0, 0))], vec![]), START_US);
    assert_eq!((shard.calls.live(), shard.calls.ended()), (0, 1));
    shard.apply(sync(vec![], vec![]), START_US + 601 * crate::clock::SECOND_US);
    assert_eq!(shard.calls.ended(), 0);
    assert_eq!(shard.calls.entries().count(), 0);
}
