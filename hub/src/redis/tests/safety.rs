//! Nothing is written by a script that fails, or that finds another server's memory or version.

use redis::{Commands, Connection, RedisError, Value};

use super::server::Server;
use super::world::{
    Answered, CALL_LEASE_S, Deed, SHARD, START_MS, account, call, configuration, lease,
    organization, record,
};
use crate::id::HolderId;
use crate::money::Amount;
use crate::redis::connect::Script;
use crate::redis::decode::Refusal;
use crate::redis::encode::{self, Beginning, OutOfRange, Part};
use crate::redis::{keys, scripts};
use crate::state::exchange::{Begin, CallKey, Exchange, Mail, Standing, Standstill};
use crate::state::request::{Event, Fund, Holding, Purse, Sync, Want};

const ID: HolderId = HolderId(5);
const OTHER: HolderId = HolderId(6);
/// The digest of empty memory.
const NOTHING: &str = "0000000000000000000000000000000000000000";

fn begin(incarnation: u64) -> Deed {
    let (call_lease_s, clock_ms) = (CALL_LEASE_S, START_MS);
    let begin = Begin {
        incarnation,
        holders: vec![ID, OTHER],
        learn_min_ms: 0,
        learn_max_ms: 5_000,
        call_lease_s,
        clock_ms,
        clock_seen_ms: 0,
    };
    Deed::Begin(Beginning { begin, configuration: configuration(1, 20, 500) })
}

fn join(incarnation: u64, holder: HolderId) -> Exchange {
    Exchange {
        incarnation,
        number: 1,
        sync: Sync { holder, ..Sync::default() },
        ..Exchange::default()
    }
}

fn join_as(number: u64) -> Exchange {
    Exchange { number, ..join(1, ID) }
}

/// Something of everything that an exchange can hold.
fn everything(number: u64) -> Exchange {
    let lease = lease(START_MS, 7);
    let call = |name| call(0, name, 1);
    let events = vec![
        Event::Admitted { call: call(1), lease },
        Event::Wanted { call: call(2), lease, has_unit: false },
        Event::Wanted { call: call(5), lease, has_unit: true },
        Event::Renewed { call: call(1), lease },
        Event::Adopted { call: call(3), lease },
        Event::Withdrawn(call(1)),
        Event::Ended(record(call(2), START_MS, 3, 0)),
        Event::Ended(record(call(4), START_MS, 3, 0)),
    ];
    let (units, money) = (account(0), organization(0));
    let granted = Amount::from_micros(9);
    let sync = Sync {
        holder: ID,
        events,
        holdings: vec![Holding { counter: units, granted: 2, returned: 1, unflushed_max: 1 }],
        wants: vec![Want { counter: units, units: 1, recalled: false }],
        purses: vec![Purse {
            owner: money,
            granted,
            returned: Amount::ZERO,
            unflushed_max: granted,
        }],
        funds: vec![Fund { owner: money, least: granted, most: granted }],
    };
    Exchange {
        incarnation: 1,
        number,
        sync,
        first_record: 1,
        mail: vec![(OTHER, Mail::Recall(units))],
        reap: vec![Standstill { holder: OTHER, beat: 0 }],
        find: vec![CallKey { account: units, call_id: b"call-1".as_slice().into() }],
        ..Exchange::default()
    }
}

fn apply(deed: &Deed, connection: &mut Connection) -> Result<Answered, Refusal> {
    deed.answered(invoke(deed, connection).expect("an answer"))
}

fn invoke(deed: &Deed, connection: &mut Connection) -> Result<Value, RedisError> {
    let (script, argument) = deed.call().expect("a script");
    run(script, &argument, connection)
}

fn run(script: &Script, argument: &[u8], connection: &mut Connection) -> Result<Value, RedisError> {
    script.load().query::<()>(connection)?;
    script.call(SHARD, &[argument]).query(connection)
}

/// The digest of all data: equal data has an equal one.
fn memory(connection: &mut Connection) -> String {
    redis::cmd("DEBUG").arg("DIGEST").query(connection).expect("a digest")
}

fn exchange(exchange: Exchange) -> Deed {
    Deed::Exchange(Box::new(exchange))
}

fn all_deeds() -> Vec<Deed> {
    vec![
        exchange(everything(4)),
        exchange(join(0, HolderId(8))),
        Deed::Configure(configuration(2, 21, 600)),
        Deed::Publish(Part::LastAnew),
        Deed::Confirm(ID),
        Deed::Bury(ID),
        Deed::Standing,
        Deed::Acknowledge(1, 1),
        Deed::Forget(1),
        Deed::RecallMoney(account(1)),
        Deed::Records(0, 9),
    ]
}

/// A shard in which something of everything happened.
fn begun(server: &Server) -> Connection {
    let mut connection = server.connect();
    assert_eq!(apply(&begin(1), &mut connection), Ok(Answered::Begun(true)));
    for told in [
        Exchange { complete: true, ..join(1, ID) },
        Exchange { complete: true, ..join(1, OTHER) },
        everything(2),
        // It is given up, and not buried.
        Exchange { reap: vec![Standstill { holder: OTHER, beat: 1 }], ..join_as(3) },
    ] {
        let Ok(Answered::Reply(reply)) = apply(&exchange(told), &mut connection) else {
            panic!("not sealed")
        };
        assert_eq!(reply.standing, Standing::Member);
    }
    connection
}

#[test]
fn a_shard_sealed_by_another_incarnation_is_left_alone_until_one_begins() {
    let server = Server::start();
    let mut connection = begun(&server);
    for seal in [Some("another server"), None] {
        drop(match seal {
            Some(seal) => connection.hset::<_, _, _, ()>(keys::shard(SHARD), "seal", seal),
            None => connection.hdel::<_, _, ()>(keys::shard(SHARD), "seal"),
        });
        let before = memory(&mut connection);
        for deed in all_deeds() {
            assert_eq!(apply(&deed, &mut connection), Err(Refusal::Unsealed), "{deed:?}");
        }
        assert_eq!(apply(&begin(1), &mut connection), Ok(Answered::Begun(false)));
        assert_eq!(memory(&mut connection), before);
    }
    assert_eq!(apply(&begin(2), &mut connection), Ok(Answered::Begun(true)));
    assert!(apply(&Deed::Confirm(ID), &mut connection).is_ok());
}

#[test]
fn memory_that_another_process_or_an_emptied_one_serves_is_unsealed() {
    let server = Server::start();
    begun(&server);
    let server = server.restart();
    let mut connection = server.connect();
    let before = memory(&mut connection);
    assert_ne!(before, NOTHING);
    for deed in all_deeds() {
        assert_eq!(apply(&deed, &mut connection), Err(Refusal::Unsealed), "{deed:?}");
    }
    assert_eq!(memory(&mut connection), before);
    redis::cmd("FLUSHALL").query::<()>(&mut connection).expect("empty");
    for deed in all_deeds() {
        assert_eq!(apply(&deed, &mut connection), Err(Refusal::Unsealed), "{deed:?}");
    }
    assert_eq!(memory(&mut connection), NOTHING);
}

#[test]
fn memory_of_another_protocol_is_left_alone_even_by_a_new_incarnation() {
    let server = Server::start();
    let mut connection = begun(&server);
    connection.hset::<_, _, _, ()>(keys::shard(SHARD), "protocol", 99).expect("set");
    let before = memory(&mut connection);
    for deed in all_deeds().into_iter().chain([begin(2)]) {
        let refused = Err(Refusal::OtherProtocol("99".to_owned()));
        assert_eq!(apply(&deed, &mut connection), refused, "{deed:?}");
    }
    assert_eq!(memory(&mut connection), before);
}

/// Cuts off the argument, puts bytes of other kinds in its places, adds to it.
fn spoiled(argument: &[u8]) -> Vec<Vec<u8>> {
    let cut = (0..argument.len()).step_by(3).map(|length| argument[..length].to_vec());
    let replaced = (0..argument.len()).flat_map(|position| {
        [0x00_u8, 0x90, 0xa1, 0xc0, 0xc2, 0xcb, 0xff].map(|byte| {
            let mut spoiled = argument.to_vec();
            spoiled[position] = byte;
            spoiled
        })
    });
    cut.chain(replaced).chain([vec![], vec![0xc1]]).collect()
}

#[test]
fn a_script_that_fails_on_its_argument_has_written_nothing() {
    let server = Server::start();
    let mut connection = begun(&server);
    let mut before = memory(&mut connection);
    let (mut failed, mut applied) = (0, 0);
    for deed in [
        exchange(everything(4)),
        begin(2),
        Deed::Configure(configuration(2, 21, 600)),
        Deed::Publish(Part::LastAnew),
        Deed::Publish(Part::Whole),
        Deed::Confirm(ID),
        Deed::Bury(OTHER),
        Deed::Acknowledge(1, 1),
        Deed::Forget(1),
        Deed::RecallMoney(account(1)),
        Deed::Records(0, 9),
    ] {
        let (script, argument) = deed.call().expect("a script");
        for argument in spoiled(&argument) {
            match run(script, &argument, &mut connection) {
                // What still is an argument is another one: it counts.
                Ok(_) => {
                    applied += 1;
                    before = memory(&mut connection);
                }
                Err(error) => {
                    failed += 1;
                    assert!(error.to_string().contains("ringfence: malformed"), "{error}");
                    assert_eq!(memory(&mut connection), before, "after {argument:?}");
                }
            }
        }
    }
    assert!(failed > 1_000, "{failed} failed, {applied} were applied");
}

/// Stands in front of a script: its `FAIL_AT`-th call of Redis fails, and whether it had written before
/// is told by the error.
const FAILING: &str = r"
local calls_left, has_written, real = FAIL_AT, false, redis.call
local redis = setmetatable({}, { __index = redis })
function redis.call(command, ...)
  calls_left = calls_left - 1
  if calls_left == 0 then
    error((has_written and 'after a write: ' or 'before a write: ') .. command, 0)
  end
  if command == 'HSET' or command == 'HDEL' or command == 'SADD' or command == 'SREM'
    or command == 'ZADD' or command == 'ZREM' or command == 'RPUSH' or command == 'LTRIM'
    or command == 'DEL' then
    has_written = true
  end
  return real(command, ...)
end
";

/// The commands that follow a first write, with the script's call at which they come.
#[test]
fn after_its_first_write_a_script_only_writes_what_cannot_fail_or_reads_what_is_there() {
    let server = Server::start();
    for (code, deed) in [
        (scripts::EXCHANGE, exchange(everything(4))),
        (scripts::EXCHANGE, exchange(Exchange { complete: true, leaving: true, ..everything(4) })),
        (scripts::BEGIN, begin(2)),
        (scripts::PUBLISH, Deed::Configure(configuration(2, 21, 600))),
        (scripts::PUBLISH, Deed::Publish(Part::Whole)),
        (scripts::PUBLISH, Deed::Publish(Part::LastAnew)),
        (scripts::CONFIRM, Deed::Confirm(ID)),
        (scripts::BURY, Deed::Bury(OTHER)),
        (scripts::ACKNOWLEDGE, Deed::Acknowledge(1, 1)),
        (scripts::FORGET, Deed::Forget(1)),
        (scripts::RECALL_MONEY, Deed::RecallMoney(account(1))),
        (scripts::RECORDS, Deed::Records(0, 9)),
    ] {
        let (_, argument) = deed.call().expect("a script");
        let (flags, body) = code.split_once('\n').expect("a first line");
        let (mut unharmed, mut has_ended) = (0, false);
        for fail_at in 1..400 {
            let mut connection = server.connect();
            redis::cmd("FLUSHALL").query::<()>(&mut connection).expect("empty");
            let mut connection = begun(&server);
            let before = memory(&mut connection);
            let failing = FAILING.replace("FAIL_AT", &fail_at.to_string());
            let mut eval = redis::cmd("EVAL");
            eval.arg(format!("{flags}\n{failing}{body}")).arg(2);
            eval.arg(keys::shard(SHARD)).arg("{rf:7}:never").arg(&argument);
            let Err(error) = eval.query::<Value>(&mut connection) else {
                has_ended = true;
                break;
            };
            let error = error.to_string();
            if error.contains("before a write") {
                unharmed += 1;
                assert_eq!(memory(&mut connection), before, "{error}");
                continue;
            }
            let command = error.split("after a write: ").nth(1).expect("a command");
            let command = command.split([' ', '\n']).next().unwrap_or_default();
            let sure = ["HSET", "HDEL", "SADD", "SREM", "ZADD", "ZREM", "RPUSH", "LTRIM", "DEL"];
            let reads_due = command.starts_with("ZRANGEBYSCORE") || command.starts_with("HMGET");
            assert!(sure.contains(&command) || reads_due, "{error}");
        }
        assert!(has_ended && unharmed > 3, "{unharmed} failures before a write");
    }
}

#[test]
fn memory_that_is_full_refuses_an_exchange_whole_and_still_takes_acknowledgements() {
    let server = Server::start();
    let mut connection = begun(&server);
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg(1)
        .query::<()>(&mut connection)
        .expect("set");
    let before = memory(&mut connection);
    let refused = invoke(&exchange(everything(4)), &mut connection);
    assert!(refused.is_err_and(|error| error.code() == Some("OOM")));
    assert_eq!(memory(&mut connection), before);
    assert_eq!(apply(&Deed::Acknowledge(1, 9), &mut connection), Ok(Answered::Done));
    assert_eq!(apply(&Deed::Forget(9), &mut connection), Ok(Answered::Done));
    assert_eq!(apply(&Deed::Records(0, 9), &mut connection), Ok(Answered::Records(vec![])));
}

#[test]
fn an_exchange_that_no_replica_would_have_is_refused_whole() {
    let server = Server::start();
    let mut connection = begun(&server);
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("min-replicas-to-write").arg(1).query::<()>(&mut connection).expect("set");
    let before = memory(&mut connection);
    let refused = invoke(&exchange(everything(4)), &mut connection);
    assert!(refused.is_err_and(|error| error.code() == Some("NOREPLICAS")));
    assert_eq!(memory(&mut connection), before);
    assert!(apply(&Deed::Records(0, 9), &mut connection).is_ok());
}

#[test]
fn the_scripts_know_the_same_limits_as_the_state_machine() {
    use crate::state::counters::recall;
    use crate::state::exchange::{CLAIM_MAX_MS, reply};
    let size = |number: usize| u64::try_from(number).expect("small");
    for (name, value) in [
        ("CLAIM_MAX_MS", CLAIM_MAX_MS),
        ("DUE_MAX", size(reply::DUE_MAX)),
        ("MAILBOX_MAX", size(crate::state::holders::MAILBOX_MAX)),
        ("FAST_CAP_MIN", recall::FAST_CAP_MIN.into()),
        ("UNFLUSHED_MAX", recall::UNFLUSHED_MAX.into()),
        ("UNFLUSHED_PART", recall::UNFLUSHED_PART.into()),
        ("EXACT_PART", recall::EXACT_PART.into()),
    ] {
        let line = format!("local {name} = {value}\n");
        assert!(scripts::EXCHANGE.contains(&line), "the scripts lack {line}");
    }
    let forgotten = (size(crate::state::FORGET_PER_SYNC), size(crate::state::FORGET_PER_END));
    let line =
        format!("local FORGET_PER_SYNC, FORGET_PER_END = {}, {}\n", forgotten.0, forgotten.1);
    assert!(scripts::EXCHANGE.contains(&line), "the scripts lack {line}");
}

#[test]
fn a_number_that_lua_could_not_hold_exactly_is_refused_before_anything_is_sent() {
    let largest = (1_u64 << 53) - 1;
    let exchange = |number| Exchange { number, ..join(1, ID) };
    assert!(encode::exchange(&exchange(largest)).is_ok());
    let refused = |number| encode::exchange(&exchange(number)).err();
    assert_eq!(refused(largest + 1), Some(OutOfRange((1_i64 << 53).into())));
    let mut exchange = everything(1);
    exchange.sync.funds[0].most = Amount::from_micros(i64::MIN);
    let refused = encode::exchange(&exchange).err();
    assert_eq!(refused, Some(OutOfRange(i64::MIN.into())));
}

#[test]
fn the_largest_numbers_come_back_as_they_were() {
    let server = Server::start();
    let mut connection = begun(&server);
    let largest = (1_u64 << 53) - 1;
    let mut told = everything(largest);
    told.sync.events.clear();
    told.sync.wants.clear();
    told.sync.funds.clear();
    told.reap.clear();
    told.sync.holdings[0] =
        Holding { counter: account(2), granted: largest, returned: largest - 3, unflushed_max: 1 };
    told.sync.purses[0].granted = Amount::MAX;
    told.sync.purses[0].returned = Amount::MAX;
    let Ok(Answered::Reply(reply)) = apply(&exchange(told), &mut connection) else {
        panic!("not sealed")
    };
    assert_eq!(reply.terms[0].granted, largest);
    assert_eq!(reply.funding[0].granted, Amount::MAX);
    let beats = apply(&exchange(join_as(largest)), &mut connection);
    assert!(matches!(beats, Ok(Answered::Reply(reply)) if reply.standing == Standing::Outdated));
}
