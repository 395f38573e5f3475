//! Two holders share one limit and one wallet, and what becomes of their calls is told and posted once.

use hub::call::CallPlace;
use hub::denial::Scope;
use hub::embedded::{AccountUse, WalletUse};
use hub::money::Amount;
use hub::redis::hub::Member;
use hub::shared::CallsInUse;
use hub::state::exchange::{Exchange, Mail};
use hub::state::request::{Event, Fund, Funded, Holding, Purse, Sync, Want, Wanted};
use support::redis::Redis;

use super::*;

fn want(units: u32, recalled: bool) -> Sync {
    let wants = vec![Want { counter: account(0), units, recalled }];
    Sync { wants, ..Sync::default() }
}

fn holding(granted: u64, returned: u64) -> Vec<Holding> {
    vec![Holding { counter: account(0), granted, returned, unflushed_max: 0 }]
}

#[test]
fn two_holders_share_a_limit_and_a_refusal_comes_when_nothing_is_idle() {
    let redis = Redis::start(&[]);
    let control = Process::at(&redis.url());
    let unsealed = control.wait(control.hub.standing(shard()));
    assert_eq!(unsealed, Err(NoAnswer::Unsealed), "before anything began");
    assert!(control.begin(1, &[]));
    assert!(!control.begin(1, &[]), "not newer");
    let [mut one, mut other] = [7, 8].map(|id| Gateway::new(&redis.url(), id));
    one.join();
    let told = one.sync(want(4, false)).reply;
    assert_eq!(told.answer.wanted, [Wanted::Learning], "it does not stand in the database yet");
    other.join();
    let standing = control.wait(control.hub.standing(shard())).unwrap();
    let member = |id| Member { id, confirmed: false, dying: false };
    assert_eq!(standing.members, [member(one.id), member(other.id)]);
    assert_eq!((standing.incarnation, standing.is_learning, standing.directory), (1, false, 0));
    for id in [one.id, other.id] {
        control.wait(control.hub.confirm(shard(), id)).unwrap();
    }
    assert_eq!(one.sync(want(4, false)).reply.answer.wanted, [Wanted::Granted(4)]);
    assert_eq!(other.sync(want(1, false)).reply.answer.wanted, [Wanted::Recall]);
    let told = one.sync(Sync::default()).reply;
    assert_eq!(told.mail, [Mail::Recall(account(0))]);
    one.sync(Sync { holdings: holding(4, 1), ..Sync::default() });
    assert_eq!(other.sync(want(1, true)).reply.answer.wanted, [Wanted::Granted(1)]);
    let admitted = |name| Event::Admitted { call: call(name), lease: lease(0) };
    let live = |names: &[u32]| names.iter().map(|name| admitted(*name)).collect();
    one.sync(Sync { events: live(&[1, 2, 3]), holdings: holding(4, 1), ..Sync::default() });
    other.sync(Sync { events: live(&[4]), holdings: holding(1, 0), ..Sync::default() });
    let refused = Wanted::Refused { scope: Scope::Account, limit: CAP };
    assert_eq!(other.sync(want(1, true)).reply.answer.wanted, [refused]);
    let used = control.wait(control.hub.account_use(organization(), account(0))).unwrap();
    assert_eq!(used, AccountUse { leased: CAP, live: CAP });
    let of_nobody = control.wait(control.hub.account_use(organization(), account(9))).unwrap();
    assert_eq!(of_nobody, AccountUse::default());
    let asked = control.hub.calls_in_use(organization(), account(0), other.id);
    let (account_use, own) = (AccountUse { leased: CAP, live: CAP }, 1);
    let in_use = CallsInUse { account: account_use, own, organization: CAP };
    assert_eq!(control.wait(asked).unwrap(), in_use);
}

#[test]
fn live_calls_of_an_account_are_read_page_by_page_whoever_has_them() {
    let redis = Redis::start(&[]);
    let control = Process::at(&redis.url());
    assert!(control.begin(1, &[]));
    let [mut one, mut other] = [7, 8].map(|id| Gateway::new(&redis.url(), id));
    for gateway in [&mut one, &mut other] {
        gateway.join();
        gateway.sync(Sync::default());
        control.wait(control.hub.confirm(shard(), gateway.id)).unwrap();
    }
    let admitted = |name| Event::Admitted { call: call(name), lease: lease(0) };
    let live = |names: &[u32]| names.iter().map(|name| admitted(*name)).collect();
    one.sync(Sync { events: live(&[1, 3, 5, 6]), holdings: holding(4, 0), ..Sync::default() });
    other.sync(Sync { events: live(&[2, 4]), holdings: holding(2, 0), ..Sync::default() });
    one.sync(Sync { events: vec![Event::Withdrawn(call(5))], ..Sync::default() });
    let read = |of, after, most| {
        let read = control.hub.live_calls(organization(), account(of), after, most);
        let calls = control.wait(read).unwrap();
        calls.into_iter().map(|held| (held.holder.unwrap(), held.call)).collect::<Vec<_>>()
    };
    let all = [(1, one.id), (2, other.id), (3, one.id), (4, other.id), (6, one.id)];
    let all = all.map(|(name, id)| (id, call(name)));
    assert_eq!(read(0, None, 100), all);
    assert_eq!(read(0, None, 2), all[..2]);
    for (position, (_, last)) in all.iter().enumerate() {
        assert_eq!(
            read(0, Some(CallPlace::of(last)), 2),
            all[position + 1..].iter().take(2).cloned().collect::<Vec<_>>()
        );
    }
    assert_eq!(read(0, None, 0), []);
    assert_eq!(read(9, None, 100), []);
}

#[test]
fn money_is_held_and_spent_and_a_record_is_read_until_it_is_acknowledged() {
    let redis = Redis::start(&[]);
    let control = Process::at(&redis.url());
    assert!(control.begin(1, &[]));
    let mut gateway = Gateway::new(&redis.url(), 7);
    gateway.join();
    control.wait(control.hub.confirm(shard(), gateway.id)).unwrap();
    let (least, most) = (Amount::from_micros(60), Amount::from_micros(60));
    let funds = vec![Fund { owner: organization(), least, most }];
    let told = gateway.sync(Sync { funds, ..want(1, false) }).reply;
    assert_eq!(told.answer.funded, [Funded::Granted(most)]);
    let events = vec![Event::Admitted { call: call(1), lease: lease(60) }];
    gateway.sync(Sync { events, ..Sync::default() });
    let used = || control.wait(control.hub.wallet_use(organization(), organization())).unwrap();
    let none = Amount::ZERO;
    assert_eq!(used(), WalletUse { held: most, spent: none, idle: none });
    let events = vec![Event::Ended(record(call(1), 50))];
    let sync = Sync { events, ..Sync::default() };
    gateway.exchange(Exchange { sync, first_record: 1, ..Exchange::default() }).unwrap();
    let [spent, idle] = [50, 10].map(Amount::from_micros);
    assert_eq!(used(), WalletUse { held: none, spent, idle });
    let records = |after| control.wait(control.hub.records(shard(), after, 10)).unwrap();
    let read = records(0);
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].sequence, &read[0].record), (1, &record(call(1), 50)));
    assert!(records(1).is_empty());
    let streamed = || {
        let standing = control.wait(control.hub.standing(shard())).unwrap();
        (standing.last_record, standing.acknowledged)
    };
    assert_eq!(streamed(), (1, 0));
    control.wait(control.hub.acknowledge(shard(), 0, 1)).unwrap();
    assert_eq!(streamed(), (1, 0), "its number was another's");
    control.wait(control.hub.acknowledge(shard(), 1, 1)).unwrap();
    assert_eq!(streamed(), (1, 1));
    assert!(records(0).is_empty());
    assert_eq!(gateway.sync(Sync::default()).reply.records_acknowledged, 1);
    control.wait(control.hub.forget(shard(), 9)).unwrap();
}

#[test]
fn idle_money_of_a_wallet_is_asked_back_from_every_gateway() {
    let redis = Redis::start(&[]);
    let control = Process::at(&redis.url());
    assert!(control.begin(1, &[]));
    let mut gateway = Gateway::new(&redis.url(), 7);
    gateway.join();
    control.wait(control.hub.confirm(shard(), gateway.id)).unwrap();
    let (least, most) = (Amount::from_micros(60), Amount::from_micros(60));
    let funds = vec![Fund { owner: organization(), least, most }];
    let told = gateway.sync(Sync { funds, ..Sync::default() }).reply;
    let [Funded::Granted(granted)] = told.answer.funded[..] else { panic!("{told:?}") };
    let recall = || control.wait(control.hub.recall_money(organization(), organization())).unwrap();
    let none = WalletUse::default();
    assert_eq!(recall(), WalletUse { idle: granted, ..none });
    assert_eq!(gateway.sync(Sync::default()).reply.mail, [Mail::RecallMoney(organization())]);
    let unflushed_max = Amount::ZERO;
    let purse = Purse { owner: organization(), granted, returned: granted, unflushed_max };
    gateway.sync(Sync { purses: vec![purse], ..Sync::default() });
    assert_eq!(recall(), none);
}

#[test]
fn a_durable_exchange_says_whether_the_replicas_have_it_and_an_ordinary_one_does_not() {
    let redis = Redis::start(&[]);
    let process = Process::at(&redis.url());
    assert!(process.begin(1, &[]));
    let told = |durable| {
        let exchange = Exchange::default();
        process.wait(process.hub.exchange(shard(), &exchange, durable)).unwrap().is_durable
    };
    assert!(told(true), "none are configured");
    assert!(!told(false));
}
