//! Who waits for news of a shard hears what others must act on soon, and nothing of ordinary exchanges.

use hub::redis::connect::channel;
use hub::state::exchange::{Exchange, Mail, Message, Standstill};
use hub::state::request::{Event, Sync, Want};
use support::redis::{Cluster, Redis};
use tokio::time::timeout;

use super::*;

/// A process that only listens.
struct Listener {
    process: Process,
    marked: Vec<Redis>,
}

impl Listener {
    fn at(redis: Redis) -> Self {
        let listener = Self { process: Process::at(&redis.url()), marked: vec![redis] };
        let mut missing: Vec<u8> = (0..=u8::MAX).collect();
        while !missing.is_empty() {
            let news = listener.next();
            missing.retain(|shard| !news.contains(shard));
        }
        listener
    }

    fn next(&self) -> Vec<u8> {
        let news = async { timeout(READY_MAX, self.process.hub.news()).await };
        self.process.wait(news).expect("there is news in time").iter().collect()
    }

    /// Whether there was news of the shard before a mark that is set now.
    fn has_heard(&self) -> bool {
        let mark = shard().wrapping_add(1);
        self.marked[0].command(&["SPUBLISH", &channel(mark), ""]);
        let mut heard = false;
        loop {
            let news = self.next();
            heard |= news.contains(&shard());
            if news.contains(&mark) {
                return heard;
            }
        }
    }

    #[track_caller]
    fn hears(&self, what: &str, act: impl FnOnce()) {
        act();
        assert!(self.has_heard(), "{what}");
    }

    #[track_caller]
    fn hears_nothing(&self, what: &str, act: impl FnOnce()) {
        act();
        assert!(!self.has_heard(), "{what}");
    }
}

fn letter(to: &Gateway, from: &Gateway) -> Exchange {
    let message = Message { from: from.id, ticket: 1, body: [1].into() };
    Exchange { mail: vec![(to.id, Mail::Message(message))], ..Exchange::default() }
}

#[test]
fn each_thing_that_others_must_act_on_is_heard_and_an_ordinary_exchange_is_not() {
    let redis = Redis::start(&[]);
    let control = Process::at(&redis.url());
    let [mut one, mut other] = [7, 8].map(|id| Gateway::new(&redis.url(), id));
    let listener = Listener::at(redis);
    listener.hears("a begin", || assert!(control.begin(1, &[])));
    listener.hears_nothing("one that is not newer", || assert!(!control.begin(1, &[])));
    listener.hears_nothing("a part of the whole", || {
        control.republish(1, &[organization_change(1)], false);
    });
    listener.hears("the whole", || control.republish(1, &[account_change(0, 1)], true));
    listener.hears("a publication", || control.publish(2, &[account_change(0, 2)]));
    listener.hears("a join", || one.join());
    other.join();
    let confirm = |id| control.wait(control.hub.confirm(shard(), id)).unwrap();
    listener.hears("a confirmation", || confirm(one.id));
    confirm(other.id);
    assert!(listener.has_heard());
    listener.hears_nothing("a confirmation again", || confirm(one.id));
    let wants = vec![Want { counter: account(0), units: CAP, recalled: false }];
    let want = Sync { wants, ..Sync::default() };
    listener.hears_nothing("a grant and calls", || {
        one.sync(want.clone());
        let admitted = Event::Admitted { call: call(1), lease: lease(0) };
        one.sync(Sync { events: vec![admitted], ..Sync::default() });
        one.sync(Sync::default());
    });
    listener.hears("a recall", || drop(other.sync(want.clone())));
    listener.hears_nothing("the same that waits already", || drop(other.sync(want.clone())));
    let to_one = letter(&one, &other);
    listener.hears("a letter", || drop(other.exchange(to_one).unwrap()));
    let to_itself = letter(&other, &other);
    listener.hears_nothing("one to itself", || drop(other.exchange(to_itself).unwrap()));
    let beats = one.sync(Sync::default()).reply.beats;
    let (holder, beat) = *beats.iter().find(|(id, _)| *id == other.id).unwrap();
    let reap = Exchange { reap: vec![Standstill { holder, beat }], ..Exchange::default() };
    listener.hears("a holder given up", || drop(one.exchange(reap).unwrap()));
    let bury = |id| control.wait(control.hub.bury(shard(), id)).unwrap();
    listener.hears_nothing("one that lives is not buried", || bury(one.id));
    listener.hears("a burial", || bury(other.id));
    listener.hears_nothing("what only reads", || {
        control.directory(0).unwrap();
        control.wait(control.hub.standing(shard())).unwrap();
        control.wait(control.hub.records(shard(), 0, 9)).unwrap();
    });
}

#[test]
fn a_cluster_serves_the_directory_and_wake_ups_of_each_shard_where_it_lies() {
    let cluster = Cluster::start();
    let process = Process::at(&cluster.url());
    let next = || {
        let news = async { timeout(READY_MAX, process.hub.news()).await };
        process.wait(news).expect("there is news in time")
    };
    let mut missing: Vec<u8> = (0..=u8::MAX).collect();
    while !missing.is_empty() {
        let news = next();
        missing.retain(|shard| !news.contains(*shard));
    }
    for number in 0..6 {
        let id = AccountId::new(AccountKind::Organization, Ulid(number));
        let begin = Begin {
            incarnation: 1,
            holders: vec![],
            learn_min_ms: 0,
            learn_max_ms: 0,
            call_lease_s: 90,
            clock_ms: 1,
            clock_seen_ms: 0,
        };
        let beginning = Beginning { begin, configuration: vec![] };
        assert!(process.wait(process.hub.begin(id.shard(), &beginning)).unwrap());
        while !next().contains(id.shard()) {}
        let Change::Organization(config) = organization_change(1) else { unreachable!() };
        let change = Change::Organization(OrganizationConfig { id, ..config });
        let changes = std::slice::from_ref(&change);
        process.wait(process.hub.republish(id.shard(), 1, changes, true)).unwrap();
        while !next().contains(id.shard()) {}
        let read = process.wait(process.hub.directory(id.shard(), 0)).unwrap();
        assert_eq!(read.changes, [change]);
    }
}
