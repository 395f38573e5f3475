//! What holders that share a hub are promised, one promise each.

mod asked;

use std::collections::HashMap;

use super::*;
use crate::denial::Scope;
use crate::state::exchange::{
    Begin, CallKey, Claim, Exchange, Found, Mail, Reply, Standing, Standstill,
};
use crate::state::request::{Fund, Funded, Purse};

const CALL_LEASE_S: u32 = 90;
const START_MS: u64 = 1_800_000_000_000;
const ONE: HolderId = HolderId(1);
const TWO: HolderId = HolderId(2);
/// Of `account(1)`.
const CAP: u32 = 3;

/// A shard with two holders that may be granted something, and the number of each one's last exchange.
struct Hub {
    shard: Shard,
    incarnation: u64,
    numbers: HashMap<HolderId, u64>,
    clock_seen_ms: u64,
}

impl Hub {
    fn new() -> Self {
        let (shard, numbers) = (configured_shard(), HashMap::new());
        let mut hub = Self { shard, incarnation: 0, numbers, clock_seen_ms: 0 };
        hub.begin(&[], 0);
        for id in [ONE, TWO] {
            hub.tell(id, Exchange { incarnation: 0, ..Exchange::default() });
            hub.shard.confirm(id);
        }
        hub
    }

    fn begin(&mut self, holders: &[HolderId], learn_ms: u64) {
        self.incarnation += 1;
        let (incarnation, holders) = (self.incarnation, holders.to_vec());
        let (call_lease_s, clock_ms) = (CALL_LEASE_S, START_MS);
        let begin = Begin {
            incarnation,
            holders,
            learn_min_ms: 0,
            learn_max_ms: learn_ms,
            call_lease_s,
            clock_ms,
            clock_seen_ms: self.clock_seen_ms,
        };
        assert!(self.shard.begin(&begin));
    }

    /// As it is, with the holder's id and next number.
    fn tell(&mut self, id: HolderId, mut exchange: Exchange) -> Reply {
        let number = self.numbers.entry(id).or_default();
        *number += 1;
        (exchange.number, exchange.sync.holder) = (*number, id);
        let reply = self.shard.exchange(&mut exchange);
        assert_eq!(self.shard.check(), Ok(()));
        reply
    }

    /// In the incarnation that there is.
    fn sync(&mut self, id: HolderId, sync: Sync) -> Reply {
        self.tell(id, Exchange { incarnation: self.incarnation, sync, ..Exchange::default() })
    }

    fn report(&mut self, id: HolderId, events: Vec<Event>) -> Reply {
        self.sync(id, Sync { events, ..Sync::default() })
    }

    fn want(&mut self, id: HolderId, units: u32) -> Wanted {
        let wants = vec![Want { counter: account(1), units, recalled: false }];
        self.sync(id, Sync { wants, ..Sync::default() }).answer.wanted[0]
    }

    fn holding(&mut self, id: HolderId, granted: u64, returned: u64, unflushed_max: u32) -> Reply {
        let holdings = vec![Holding { counter: account(1), granted, returned, unflushed_max }];
        self.sync(id, Sync { holdings, ..Sync::default() })
    }

    fn fund(&mut self, id: HolderId, least: i64, most: i64) -> Funded {
        let (least, most) = (Amount::from_micros(least), Amount::from_micros(most));
        let funds = vec![Fund { owner: organization(), least, most }];
        self.sync(id, Sync { funds, ..Sync::default() }).answer.funded[0]
    }

    fn recharge(&mut self, escrow: i64) {
        self.shard.wallets.configure(&WalletConfig {
            owner: organization(),
            organization: organization(),
            currency: Currency::INR,
            escrow: Amount::from_micros(escrow),
            sequence: 1,
            posted: Amount::ZERO,
        });
    }

    /// By two seconds at a time: more than that no claim covers.
    fn pass(&mut self, id: HolderId, seconds: u32) {
        for _ in 0..seconds.div_ceil(2) {
            let claim = Some(Claim { saw_ms: self.clock_ms(), elapsed_ms: 2_000 });
            let incarnation = self.incarnation;
            self.tell(id, Exchange { incarnation, claim, ..Exchange::default() });
        }
    }

    fn clock_ms(&self) -> u64 {
        self.shard.membership.clock_ms
    }

    /// `by` has seen `id` stand still.
    fn reap(&mut self, by: HolderId, id: HolderId) {
        let beats = self.sync(by, Sync::default()).beats;
        let beat = beats.iter().find(|(holder, _)| *holder == id).expect("a member").1;
        let reap = vec![Standstill { holder: id, beat }];
        let incarnation = self.incarnation;
        let reply = self.tell(by, Exchange { incarnation, reap, ..Exchange::default() });
        assert!(reply.beats.iter().any(|(holder, _)| *holder == id));
        assert_eq!(self.shard.dying(), [id]);
        self.shard.bury(id);
        assert_eq!(self.shard.check(), Ok(()));
    }

    fn leased(&self) -> u32 {
        self.shard.counters.leased(account(1))
    }

    fn money(&self) -> (Amount, Amount) {
        let wallet = &self.shard.wallets.wallets[&organization()];
        (wallet.anonymous, wallet.free())
    }
}

fn admitted(number: u8, admission: u64) -> Event {
    Event::Admitted { call: call(number, admission, Some(pins())), lease: lease(20) }
}

fn named(number: u8) -> Call {
    call(number, 1, Some(pins()))
}

#[test]
fn a_refusal_for_the_cap_waits_for_a_recall_and_is_then_true() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(ONE, 2), Wanted::Granted(2));
    assert_eq!(hub.want(TWO, 9), Wanted::Granted(1));
    assert_eq!(hub.want(TWO, 1), Wanted::Recall);
    let told = hub.holding(ONE, 2, 1, 0).mail;
    assert_eq!(told, [Mail::Recall(account(1))]);
    assert_eq!(hub.want(TWO, 1), Wanted::Granted(1));
    hub.report(ONE, vec![admitted(1, 1)]);
    // Its own idle units first: it gives them back, or uses them.
    assert_eq!(hub.want(TWO, 1), Wanted::Recall);
    hub.report(TWO, vec![admitted(4, 1), admitted(7, 1)]);
    let refused = Wanted::Refused { scope: Scope::Account, limit: CAP };
    assert_eq!(hub.want(TWO, 1), refused);
}

#[test]
fn a_reaped_holder_leaves_its_idle_units_at_once_and_those_of_its_calls_after_a_call_lease() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(ONE, 3), Wanted::Granted(3));
    hub.report(ONE, vec![admitted(1, 1)]);
    hub.holding(ONE, 3, 0, 1);
    hub.reap(TWO, ONE);
    // One for the recorded call, one for a call that may not be recorded; the third is free.
    assert_eq!(hub.leased(), 2);
    assert_eq!(hub.want(TWO, 2), Wanted::Granted(1));
    hub.pass(TWO, CALL_LEASE_S);
    assert_eq!(hub.sync(TWO, Sync::default()).due, []);
    hub.pass(TWO, 4);
    let due = hub.sync(TWO, Sync::default()).due;
    assert_eq!(due.iter().map(|live| live.call.clone()).collect::<Vec<_>>(), [named(1)]);
    assert_eq!(hub.leased(), 2);
    hub.report(TWO, vec![Event::Ended(record(named(1), 0, 0))]);
    assert_eq!(hub.leased(), 1);
}

#[test]
fn an_unrecorded_call_of_a_reaped_holder_is_covered_by_what_is_kept_for_it() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(ONE, 3), Wanted::Granted(3));
    hub.holding(ONE, 3, 0, 1);
    hub.reap(TWO, ONE);
    let adopted = |number| Event::Adopted { call: named(number), lease: lease(0) };
    let rejected = hub.report(TWO, vec![adopted(1)]).answer.rejected;
    assert_eq!((rejected, hub.leased(), hub.shard.overshoot()), (vec![], 1, 0));
    hub.report(TWO, vec![adopted(4)]);
    assert_eq!(hub.shard.overshoot(), 1);
}

#[test]
fn money_of_a_reaped_holder_returns_but_for_holds_and_what_unrecorded_calls_can_hold() {
    let mut hub = Hub::new();
    hub.recharge(1_000);
    assert_eq!(hub.fund(ONE, 100, 200), Funded::Granted(Amount::from_micros(200)));
    hub.want(ONE, 1);
    hub.report(ONE, vec![admitted(1, 1)]);
    let purses = vec![Purse {
        owner: organization(),
        granted: Amount::from_micros(200),
        returned: Amount::from_micros(50),
        unflushed_max: Amount::from_micros(30),
    }];
    hub.sync(ONE, Sync { purses, ..Sync::default() });
    hub.reap(TWO, ONE);
    assert_eq!(hub.money(), (Amount::from_micros(30), Amount::from_micros(950)));
    hub.pass(TWO, CALL_LEASE_S + 4);
    hub.sync(TWO, Sync::default());
    assert_eq!(hub.money(), (Amount::ZERO, Amount::from_micros(980)));
    assert_eq!(hub.shard.wallets.used(organization()).held, Amount::from_micros(20));
}

#[test]
fn empty_is_said_of_a_wallet_only_when_no_holder_has_idle_money() {
    let mut hub = Hub::new();
    hub.recharge(100);
    assert_eq!(hub.fund(ONE, 80, 80), Funded::Granted(Amount::from_micros(80)));
    assert_eq!(hub.fund(TWO, 40, 40), Funded::Recall);
    let purses = vec![Purse {
        owner: organization(),
        granted: Amount::from_micros(80),
        returned: Amount::from_micros(80),
        unflushed_max: Amount::ZERO,
    }];
    let told = hub.sync(ONE, Sync { purses, ..Sync::default() }).mail;
    assert_eq!(told, [Mail::RecallMoney(organization())]);
    assert_eq!(hub.fund(TWO, 100, 100), Funded::Granted(Amount::from_micros(100)));
    hub.want(TWO, 1);
    let spent = Event::Ended(record(named(1), 100, 0));
    hub.report(TWO, vec![admitted(1, 1), spent]);
    assert_eq!(hub.fund(ONE, 1_000, 1_000), Funded::Recall);
    let purses = vec![Purse {
        owner: organization(),
        granted: Amount::from_micros(100),
        returned: Amount::from_micros(25),
        unflushed_max: Amount::ZERO,
    }];
    hub.sync(TWO, Sync { purses, ..Sync::default() });
    assert_eq!(hub.fund(ONE, 1_000, 1_000), Funded::Empty(Amount::from_micros(25)));
}

#[test]
fn a_repeated_and_a_late_exchange_change_nothing() {
    let mut hub = Hub::new();
    let late = Exchange {
        incarnation: 1,
        number: 2,
        sync: Sync { holder: ONE, events: vec![admitted(1, 1)], ..Sync::default() },
        ..Exchange::default()
    };
    let wants = vec![Want { counter: account(1), units: 2, recalled: false }];
    let sync = Sync { holder: ONE, events: vec![admitted(0, 1)], wants, ..Sync::default() };
    let counted = Exchange { incarnation: 1, number: 3, sync, ..Exchange::default() };
    assert_eq!(hub.shard.exchange(&mut counted.clone()).standing, Standing::Member);
    let before = hub.shard.canonical();
    for mut again in [counted, late] {
        assert_eq!(hub.shard.exchange(&mut again).standing, Standing::Outdated);
        assert_eq!(hub.shard.canonical(), before);
    }
}

#[test]
fn learning_grants_nothing_until_all_have_reported() {
    let mut hub = Hub::new();
    hub.shard = configured_shard();
    hub.begin(&[ONE, TWO], 60_000);
    let told = |granted| Sync {
        holdings: vec![Holding { counter: account(1), granted, returned: 0, unflushed_max: 0 }],
        wants: vec![Want { counter: account(1), units: 9, recalled: false }],
        ..Sync::default()
    };
    assert_eq!(hub.sync(ONE, told(2)).standing, Standing::Unreported);
    let incarnation = hub.incarnation;
    let complete = |sync| Exchange { incarnation, complete: true, sync, ..Exchange::default() };
    let reply = hub.tell(ONE, complete(told(2)));
    assert_eq!((reply.learning, &reply.answer.wanted[..]), (true, &[Wanted::Learning][..]));
    assert!(!hub.tell(TWO, complete(told(1))).learning);
    assert_eq!(hub.leased(), CAP);
    assert_eq!(hub.want(ONE, 1), Wanted::Recall);
}

#[test]
fn learning_ends_without_those_who_do_not_report_when_their_time_is_over() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(TWO, 2), Wanted::Granted(2));
    hub.begin(&[ONE, TWO], 3_000);
    let complete = Exchange { incarnation: hub.incarnation, complete: true, ..Exchange::default() };
    assert!(hub.tell(ONE, complete).learning);
    assert_eq!(hub.want(ONE, 3), Wanted::Learning);
    hub.pass(ONE, 4);
    assert_eq!(hub.want(ONE, 1), Wanted::Granted(1));
    assert_eq!(hub.sync(TWO, Sync::default()).standing, Standing::Gone);
    hub.shard.bury(TWO);
    assert_eq!(hub.want(ONE, 2), Wanted::Granted(2));
}

#[test]
fn who_was_not_waited_for_and_still_stands_in_the_database_comes_back_with_what_it_had() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(TWO, 2), Wanted::Granted(2));
    hub.holding(TWO, 2, 0, 100);
    hub.begin(&[ONE, TWO], 0);
    hub.begin(&[ONE, TWO], 3_000);
    let holdings =
        vec![Holding { counter: account(1), granted: 2, returned: 0, unflushed_max: 100 }];
    let sync = Sync { holdings, ..Sync::default() };
    let incarnation = hub.incarnation;
    hub.tell(TWO, Exchange { incarnation, complete: true, sync, ..Exchange::default() });
    assert_eq!(hub.leased(), 2, "nothing of it was kept without a name as well");
}

#[test]
fn a_graceful_leave_leaves_nothing_without_a_name() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(ONE, 3), Wanted::Granted(3));
    hub.holding(ONE, 3, 0, 2);
    let sync = Sync { events: vec![admitted(1, 1)], ..Sync::default() };
    let incarnation = hub.incarnation;
    hub.tell(ONE, Exchange { incarnation, leaving: true, sync, ..Exchange::default() });
    assert_eq!(hub.leased(), 1);
    assert!(hub.shard.canonical().anonymous.is_empty());
    let key = CallKey { account: account(1), call_id: b"call-1".as_slice().into() };
    let incarnation = hub.incarnation;
    let reply = hub.tell(TWO, Exchange { incarnation, find: vec![key], ..Exchange::default() });
    assert!(matches!(&reply.found[..], [Found::Live(None, live)] if live.call == named(1)));
}

#[test]
fn the_clock_never_runs_faster_than_claims() {
    let mut hub = Hub::new();
    let incarnation = hub.incarnation;
    let start = hub.clock_ms();
    let claim = |saw_ms, elapsed_ms| Exchange {
        incarnation,
        claim: Some(Claim { saw_ms, elapsed_ms }),
        ..Exchange::default()
    };
    assert_eq!(hub.tell(ONE, claim(start, 700)).clock_ms, start + 700);
    // Both measured the same time: the second finds it gone by.
    assert_eq!(hub.tell(TWO, claim(start, 900)).clock_ms, start + 700);
    assert_eq!(hub.tell(TWO, claim(start + 700, 3_600_000)).clock_ms, start + 2_700);
    assert_eq!(hub.tell(TWO, claim(start + 9_000, 50)).clock_ms, start + 2_700);
}

#[test]
fn an_overdue_call_of_nobody_is_named_again_until_somebody_ends_or_adopts_it() {
    let mut hub = Hub::new();
    hub.want(ONE, 2);
    hub.report(ONE, vec![admitted(1, 1), admitted(4, 1)]);
    hub.reap(TWO, ONE);
    hub.pass(TWO, CALL_LEASE_S + 4);
    for _ in 0..2 {
        assert_eq!(hub.sync(TWO, Sync::default()).due.len(), 2);
    }
    let adopted = Event::Adopted { call: named(4), lease: lease(20) };
    let left = hub.report(TWO, vec![Event::Ended(record(named(1), 0, 0)), adopted]).due;
    assert_eq!(left, []);
}

#[test]
fn calls_of_an_old_memory_are_over_as_soon_as_it_has_learned_what_there_is() {
    let mut hub = Hub::new();
    assert_eq!(hub.want(TWO, CAP), Wanted::Granted(CAP));
    hub.report(TWO, vec![admitted(1, 1), admitted(4, 1)]);
    let backup = hub.shard.clone();
    hub.report(TWO, vec![Event::Withdrawn(named(1)), Event::Withdrawn(named(4))]);
    hub.pass(ONE, 2 * CALL_LEASE_S);
    hub.clock_seen_ms = hub.clock_ms();
    hub.shard = backup;
    let another = HolderId(3);
    hub.begin(&[ONE, another], 10_000);
    assert_eq!(hub.clock_ms(), hub.clock_seen_ms);
    let complete = Exchange { incarnation: hub.incarnation, complete: true, ..Exchange::default() };
    let told = hub.tell(ONE, complete.clone());
    assert!(told.learning, "the other one may report them as its own");
    assert_eq!((told.due, hub.leased()), (Vec::new(), 2));
    let told = hub.tell(another, complete);
    assert_eq!((told.learning, told.due.len()), (false, 2));
}

#[test]
fn a_call_that_a_complete_report_does_not_name_is_gone_with_its_unit_and_hold() {
    let mut hub = Hub::new();
    hub.recharge(1_000);
    hub.want(ONE, 2);
    hub.report(ONE, vec![admitted(1, 1), admitted(4, 1)]);
    let holdings = vec![Holding { counter: account(1), granted: 1, returned: 0, unflushed_max: 0 }];
    let owned = Event::Admitted { call: named(4), lease: lease(20) };
    let sync = Sync { events: vec![owned], holdings, ..Sync::default() };
    let incarnation = hub.incarnation;
    hub.tell(ONE, Exchange { incarnation, complete: true, sync, ..Exchange::default() });
    assert_eq!((hub.leased(), hub.shard.calls.live()), (1, 1));
    assert_eq!(hub.shard.wallets.used(organization()).held, Amount::from_micros(20));
    assert_eq!((hub.shard.last_record(), hub.shard.calls.ended()), (0, 0));
}

#[test]
fn a_counter_with_live_calls_is_removed_only_when_they_have_ended() {
    let mut hub = Hub::new();
    hub.recharge(1_000);
    hub.want(ONE, 1);
    hub.report(ONE, vec![admitted(1, 1)]);
    let gone = Request::CounterGone { id: account(1) };
    hub.shard.apply(gone.clone(), START_US);
    assert_eq!(hub.shard.counters.live(account(1)), 1);
    assert!(matches!(hub.want(ONE, 1), Wanted::Refused { scope: Scope::Account, limit: 0 }));
    hub.report(ONE, vec![Event::Ended(record(named(1), 40, 0))]);
    assert_eq!(hub.shard.wallets.used(organization()).held, Amount::ZERO);
    assert_eq!(hub.shard.wallets.used(organization()).spent, Amount::from_micros(30));
    hub.shard.apply(gone, START_US);
    assert_eq!(hub.want(ONE, 1), Wanted::Unknown);
}

#[test]
fn a_record_told_again_after_it_reached_the_ledger_is_acknowledged_at_once() {
    let mut hub = Hub::new();
    let told = |first_record| Exchange {
        incarnation: 1,
        first_record,
        sync: Sync { events: vec![Event::Ended(record(named(1), 0, 0))], ..Sync::default() },
        ..Exchange::default()
    };
    assert_eq!(hub.tell(ONE, told(1)).records_acknowledged, 0);
    hub.shard.apply(Request::Acknowledge { through: 1 }, START_US);
    assert_eq!(hub.sync(ONE, Sync::default()).records_acknowledged, 1);
    assert_eq!(hub.tell(ONE, told(2)).records_acknowledged, 2);
    assert_eq!(hub.shard.last_record(), 1);
}
