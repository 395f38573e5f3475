//! The directory: what control planes publish is read by gateways, each time at least all that was
//! published up to the number that they are told.

use std::collections::HashMap;

use hub::state::request::{Sync, Want, Wanted};
use support::redis::Redis;
use support::wait::timed;

use super::*;

const PART: u32 = 1_000;

fn begun() -> (Redis, Process) {
    let redis = Redis::start(&[]);
    let process = Process::at(&redis.url());
    assert!(process.begin(1, &[]));
    (redis, process)
}

/// In an order that does not depend on the hash.
fn sorted(mut changes: Vec<Change>) -> Vec<String> {
    let mut texts: Vec<_> = changes.drain(..).map(|change| format!("{change:?}")).collect();
    texts.sort();
    texts
}

#[test]
fn what_is_published_is_read_whole_once_and_then_by_what_changed() {
    let (_redis, process) = begun();
    assert_eq!(process.directory(0), Ok(Published::default()), "nothing counts yet");
    let all = vec![organization_change(1), account_change(0, 1), key_change(0)];
    process.republish(1, &all, true);
    let first = process.directory(0).unwrap();
    assert!(first.is_whole && first.number > 0);
    assert_eq!(sorted(first.changes), sorted(all));
    process.publish(2, &[account_change(0, 2), wallet_change(2_000)]);
    let second = process.directory(first.number).unwrap();
    assert!(!second.is_whole && second.number > first.number);
    assert_eq!(second.changes, [account_change(0, 2)], "wallets come by leases");
    let none = process.directory(second.number).unwrap();
    assert_eq!((none.number, none.changes.len()), (second.number, 0));
    let told = process.exchange(&Exchange::default()).unwrap();
    assert_eq!(told.directory, second.number);
    let standing = process.wait(process.hub.standing(shard())).unwrap();
    assert_eq!(standing.directory, 2, "the control plane's own number");
}

#[test]
fn a_late_publication_is_read_and_replaces_nothing_newer() {
    let (_redis, process) = begun();
    process.republish(1, &[organization_change(1), account_change(0, 1), key_change(0)], true);
    let (hash, of) = (key_hash(0), Some(organization()));
    let gone = Change::KeyGone { hash, organization: of };
    process.publish(6, &[account_change(0, 6), gone.clone()]);
    let read = process.directory(0).unwrap();
    process.publish(5, &[account_change(0, 5), account_change(1, 5), key_change(0)]);
    let late = process.directory(read.number).unwrap();
    assert!(late.number > read.number);
    assert_eq!(late.changes, [account_change(1, 5)]);
    process.publish(6, &[account_change(0, 6), gone]);
    assert_eq!(process.directory(late.number).unwrap().number, late.number, "said already");
    let whole = process.directory(0).unwrap();
    let expected = vec![organization_change(1), account_change(0, 6), account_change(1, 5)];
    assert_eq!(sorted(whole.changes), sorted(expected), "what is gone is absent");
    process.republish(4, &[organization_change(1)], true);
    assert!(sorted(process.directory(0).unwrap().changes).len() == 3, "newer than that");
}

#[test]
fn the_directory_anew_counts_with_its_last_part_and_drops_what_was_not_named() {
    let (redis, process) = begun();
    process.republish(1, &[organization_change(1), account_change(0, 1), key_change(0)], true);
    let before = process.directory(0).unwrap();
    assert!(process.begin(2, &[]));
    process.republish(8, &[organization_change(8)], false);
    assert_eq!(process.directory(before.number), Ok(Published::default()));
    process.publish(9, &[account_change(2, 9)]);
    assert_eq!(process.directory(0), Ok(Published::default()), "with the last part");
    process.republish(8, &[account_change(1, 8)], true);
    let now = process.directory(before.number).unwrap();
    assert!(now.is_whole && now.number > before.number);
    let expected = vec![organization_change(8), account_change(1, 8), account_change(2, 9)];
    assert_eq!(sorted(now.changes), sorted(expected));
    let key = format!("{{rf:{}}}:directory", shard());
    assert_eq!(redis.command(&["HLEN", &key]), "3", "the rest was swept");
    process.publish(7, &[account_change(0, 1)]);
    assert_eq!(process.directory(now.number).unwrap().changes, [], "the whole was of 8");
}

#[test]
fn who_reads_again_after_more_changes_than_are_remembered_reads_the_whole() {
    let (_redis, process) = begun();
    process.republish(1, &[organization_change(1)], true);
    let first = process.directory(0).unwrap();
    for number in 2..5 {
        let of = u32::try_from(number).unwrap() * PART;
        let changes: Vec<_> = (of..of + PART / 2).map(|one| account_change(one, number)).collect();
        process.publish(number, &changes);
    }
    let whole = process.directory(first.number).unwrap();
    assert!(whole.is_whole);
    assert_eq!(whole.changes.len(), 3 * 500 + 1);
    process.publish(5, &[account_change(0, 5)]);
    assert_eq!(process.directory(whole.number).unwrap().changes, [account_change(0, 5)]);
}

#[test]
fn limits_are_in_force_with_the_publication_that_names_them() {
    let (redis, process) = begun();
    let mut gateway = Gateway::new(&redis.url(), 7);
    gateway.join();
    process.wait(process.hub.confirm(shard(), gateway.id)).unwrap();
    process.republish(1, &[organization_change(1)], true);
    let want = |number| {
        let wants = vec![Want { counter: account(number), units: 1, recalled: false }];
        Sync { wants, ..Sync::default() }
    };
    assert_eq!(gateway.sync(want(1)).reply.answer.wanted, [Wanted::Unknown]);
    process.publish(2, &[account_change(1, 2)]);
    assert_eq!(gateway.sync(want(1)).reply.answer.wanted, [Wanted::Granted(1)]);
    let gone = Change::AccountGone { id: account(1), organization: organization() };
    process.publish(3, &[gone]);
    assert_eq!(gateway.sync(want(1)).reply.answer.wanted, [Wanted::Unknown]);
    let whole = process.directory(0).unwrap();
    assert_eq!(whole.changes, [organization_change(1)]);
}

#[test]
fn a_whole_read_contains_everything_up_to_its_number_while_others_publish() {
    const ACCOUNTS: u32 = 3_000;
    const PUBLICATIONS: u64 = 300;
    let (redis, process) = begun();
    let all: Vec<_> = (0..ACCOUNTS).map(|number| account_change(number, 1)).collect();
    for part in all.chunks(PART as usize) {
        process.republish(1, part, false);
    }
    process.republish(1, &[], true);
    let base = process.directory(0).unwrap().number;
    let reader = Process::at(&redis.url());
    // Publication `base + n` gives the account n a version of its own.
    let of = |position: u64| u32::try_from(position * 7 % u64::from(ACCOUNTS)).unwrap();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for position in 1..=PUBLICATIONS {
                process.publish(1 + position, &[account_change(of(position), 1 + position)]);
            }
        });
        let mut ended = false;
        while !ended {
            ended = publishing.is_finished();
            let read = reader.directory(0).unwrap();
            assert_eq!(read.changes.len(), ACCOUNTS as usize);
            let version = |change: &Change| match change {
                Change::Account(config) => (config.id, config.version),
                other => unreachable!("{other:?}"),
            };
            let known: HashMap<_, _> = read.changes.iter().map(version).collect();
            for position in 1..=read.number - base {
                assert!(known[&account(of(position))] > position, "{position} is missing");
            }
        }
    });
}

#[test]
fn a_hundred_thousand_entries_are_read_in_pages_that_are_short_for_the_server() {
    const ENTRIES: u32 = 100_000;
    let (redis, process) = begun();
    let all: Vec<_> = (0..ENTRIES).map(key_change).collect();
    let (published, ()) = timed(|| {
        for part in all.chunks(PART as usize) {
            process.republish(1, part, false);
        }
        process.republish(1, &[], true);
    });
    redis.command(&["CONFIG", "RESETSTAT"]);
    let (read, directory) = timed(|| process.directory(0).unwrap());
    assert_eq!(directory.changes.len(), ENTRIES as usize);
    let calls = redis.command(&["INFO", "commandstats"]);
    let calls = calls.lines().find(|line| line.starts_with("cmdstat_evalsha")).unwrap().to_owned();
    println!("{ENTRIES} entries: published in {published:?}, read in {read:?}; {calls}");
    println!("{}", latency(&redis));
    redis.command(&["CONFIG", "RESETSTAT"]);
    process.publish(2, &all[..PART as usize]);
    println!("a publication of {PART} keys: {}", latency(&redis));
    redis.command(&["CONFIG", "RESETSTAT"]);
    let accounts: Vec<_> = (0..PART).map(|number| account_change(number, 3)).collect();
    process.publish(3, &accounts);
    println!("a publication of {PART} accounts: {}", latency(&redis));
}

/// What scripts took, as the server counts it.
fn latency(redis: &Redis) -> String {
    let all = redis.command(&["INFO", "latencystats"]);
    let line = all.lines().find(|line| line.starts_with("latency_percentiles_usec_evalsha"));
    line.unwrap_or_default().to_owned()
}

#[test]
fn the_token_key_is_read_by_gateways_and_shown_to_nobody() {
    let redis = Redis::start(&[]);
    let process = Process::at(&redis.url());
    let token_key = hub::directory::TokenKey([0xab; 32]);
    let change = Change::TokenKey(token_key);
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
    assert!(process.wait(process.hub.begin(change.shard(), &beginning)).unwrap());
    let shard = change.shard();
    process.wait(process.hub.republish(shard, 1, std::slice::from_ref(&change), true)).unwrap();
    let read = process.wait(process.hub.directory(shard, 0)).unwrap();
    assert_eq!(read.changes, [change]);
    let shown = format!("{read:?}");
    assert!(shown.contains("TokenKey(hidden)") && !shown.contains("171"), "{shown}");
}
